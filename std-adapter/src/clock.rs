//! The clock of the standard library, and the axis that all clocks of this crate share.
//!
//! Every clock here counts nanoseconds from one origin, so that a [`Deadline`](crate::Deadline)
//! made with one may be used with another, as long as tokio's time is not paused.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fusebox_core::{Clock, Ticks};

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What the clocks read at the origin: 13 days. An instant may lie before the origin, where a tokio
/// runtime paused its time before any clock was read, and must still be told from others. So may
/// the first reading, by what it takes to note the origin.
///
/// Not a power of two: a state word that is new reads 0, and every wrap of its time is 0 again. A
/// reading just before that would take the word for one from the near future, and refuse.
const AT_ORIGIN: u64 = 13 * 86_400 * NANOS_PER_SECOND;

/// The first reading of any clock in this process.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

pub(crate) fn ticks_at(instant: Instant) -> Ticks {
    let origin = origin();
    Ticks(match instant.checked_duration_since(origin) {
        Some(after) => AT_ORIGIN.saturating_add(nanos(after)),
        None => AT_ORIGIN.saturating_sub(nanos(origin.duration_since(instant))),
    })
}

/// `None` where the platform's instants do not reach that far.
#[cfg(any(feature = "tokio", test))]
pub(crate) fn instant_at(ticks: Ticks) -> Option<Instant> {
    let from_origin = Duration::from_nanos;
    match ticks.0.checked_sub(AT_ORIGIN) {
        Some(after) => origin().checked_add(from_origin(after)),
        None => origin().checked_sub(from_origin(AT_ORIGIN - ticks.0)),
    }
}

/// Saturates after 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The monotonic clock of the standard library, in nanoseconds.
///
/// # Examples
///
/// ```
/// use fusebox_std::{Clock, Deadline, StdClock};
/// use std::time::Duration;
///
/// let before = StdClock.now();
/// assert!(StdClock.now() >= before);
/// assert!(!Deadline::after(&StdClock, Duration::from_secs(60)).expired(&StdClock));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StdClock;

impl Clock for StdClock {
    const TICKS_PER_SECOND: u64 = NANOS_PER_SECOND;

    #[inline]
    fn now(&self) -> Ticks {
        ticks_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_and_after_the_origin_come_back() {
        for ticks in [AT_ORIGIN - 1_000_000, AT_ORIGIN, AT_ORIGIN + NANOS_PER_SECOND] {
            // Some platforms have no instants before they were started.
            if let Some(instant) = instant_at(Ticks(ticks)) {
                assert_eq!(ticks_at(instant), Ticks(ticks));
            }
        }
    }
}
