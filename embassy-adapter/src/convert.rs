//! Between embassy's instants and durations, and those of the core.

use core::time::Duration;

use embassy_time::{Instant, TICK_HZ};
use fusebox_core::{Ticks, duration_from_ticks, ticks_from_duration};

/// What an [`EmbassyClock`](crate::EmbassyClock) reads at `instant`: exact.
///
/// # Examples
///
/// ```
/// use embassy_time::{Duration, Instant};
/// use fusebox_embassy::{Deadline, EmbassyClock, ticks_at};
///
/// let begun = Instant::now();
/// let deadline = Deadline::at(ticks_at(begun + Duration::from_secs(2)));
/// assert!(!deadline.expired(&EmbassyClock));
/// ```
#[must_use]
pub const fn ticks_at(instant: Instant) -> Ticks {
    Ticks(instant.as_ticks())
}

/// The instant at which an [`EmbassyClock`](crate::EmbassyClock) reads `ticks`: exact.
/// [`Ticks::MAX`] is [`Instant::MAX`].
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use embassy_time::{Timer, with_deadline};
/// use fusebox_embassy::{Deadline, EmbassyClock, instant_at};
///
/// # embassy_futures::block_on(async {
/// let deadline = Deadline::after(&EmbassyClock, Duration::from_secs(2));
/// let answer = with_deadline(instant_at(deadline.ticks()), async { 7 }).await;
/// assert_eq!(answer, Ok(7));
/// # });
/// ```
#[must_use]
pub const fn instant_at(ticks: Ticks) -> Instant {
    Instant::from_ticks(ticks.0)
}

/// A duration of embassy's as one of the core library, which every setting here takes; rounded up
/// to the nanosecond.
///
/// `Into` rounds down to the microsecond, so that a tick of 32768 a second loses 2 % of itself.
///
/// # Examples
///
/// ```
/// use embassy_time::Duration;
/// use fusebox_embassy::prelude::*;
/// use fusebox_embassy::core_duration;
///
/// const PERIOD: Duration = Duration::from_millis(250);
/// static RADIO: CircuitBreaker = CircuitBreaker::new(
///     BreakerConfig::standard().open_for(core_duration(PERIOD)),
///     EmbassyClock,
/// );
/// ```
#[must_use]
pub const fn core_duration(duration: embassy_time::Duration) -> Duration {
    duration_from_ticks(duration.as_ticks(), TICK_HZ)
}

/// A duration of the core library as one of embassy's; rounded up to a tick, at most
/// [`embassy_time::Duration::MAX`].
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_embassy::embassy_duration;
///
/// assert_eq!(embassy_duration(Duration::from_millis(5)), embassy_time::Duration::from_millis(5));
/// assert_eq!(embassy_duration(Duration::MAX), embassy_time::Duration::MAX);
/// ```
#[must_use]
pub const fn embassy_duration(duration: Duration) -> embassy_time::Duration {
    embassy_time::Duration::from_ticks(ticks_from_duration(duration, TICK_HZ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_never_comes_out_shorter() {
        for nanos in [0, 1, 999, 1_000, 1_001, 30_517, 1_000_000_000, u64::MAX] {
            let asked = Duration::from_nanos(nanos);
            let got = embassy_duration(asked);
            assert!(core_duration(got) >= asked);
            assert_eq!(embassy_duration(core_duration(got)), got);
        }
        assert_eq!(embassy_duration(Duration::from_nanos(1)).as_ticks(), 1);
        let longest = core_duration(embassy_time::Duration::MAX);
        assert_eq!(embassy_duration(longest), embassy_time::Duration::MAX);
    }

    #[test]
    fn instants_come_back() {
        for ticks in [Ticks::ZERO, Ticks(1), Ticks(1 << 32), Ticks::MAX] {
            assert_eq!(ticks_at(instant_at(ticks)), ticks);
        }
        assert_eq!(instant_at(Ticks::MAX), Instant::MAX);
    }
}
