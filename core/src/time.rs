//! Time in the ticks of a pluggable clock.
//!
//! A primitive asks its [`Clock`] for native ticks and turns durations into ticks once, in its
//! constructor, so that a microcontroller never divides 64-bit numbers on the way. What is kept in
//! a state word is a scaled, wrapping reading; the rules for comparing such readings are in
//! `time/scale.rs`.

mod extended;
mod manual;
pub(crate) mod packed;
pub(crate) mod scale;

use core::future::Future;
use core::time::Duration;

use crate::error::{ConfigError, Setting, setting};

pub use extended::{Counter, Extended};
pub use manual::{ManualClock, ManualSleep};

use crate::pointer::through_pointers;
use crate::wide::{billions, divide, multiply_add, product};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A reading of a [`Clock`], in that clock's ticks since an origin of its choice.
///
/// Readings of different clocks must not be mixed. Arithmetic wraps and is named so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticks(pub u64);

impl Ticks {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// The last reading there is; [`Deadline::NEVER`](crate::Deadline::NEVER) is this.
    pub const MAX: Self = Self(u64::MAX);

    /// This reading and `ticks` more, wrapping at `u64::MAX`.
    #[must_use]
    pub const fn wrapping_add(self, ticks: u64) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// This reading and `ticks` more, at most [`Ticks::MAX`].
    #[must_use]
    pub const fn saturating_add(self, ticks: u64) -> Self {
        Self(self.0.saturating_add(ticks))
    }

    /// The ticks from `earlier` to this reading; 0 where `earlier` is the later one.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A source of monotonic time.
///
/// Readings may come late, repeat, or step back between threads: no primitive panics or wedges
/// because of that, and none grants too much as long as they are late by no more than the
/// primitive's `max_lateness`, one second unless told otherwise. What is later than that may be
/// taken for time that has passed.
///
/// It counts on for as long as the program runs: a hardware counter that wraps is a clock only by
/// way of [`Extended`].
///
/// # Examples
///
/// A clock over a free-running hardware counter of 64 bits:
///
/// ```
/// use fusebox_core::{Clock, Ticks};
///
/// struct Rtc;
/// # fn read_counter() -> u64 { 7 }
///
/// impl Clock for Rtc {
///     const TICKS_PER_SECOND: u64 = 32_768;
///     fn now(&self) -> Ticks {
///         Ticks(read_counter())
///     }
/// }
/// assert_eq!(Rtc.now(), Ticks(7));
/// ```
pub trait Clock {
    /// How many ticks make a second: 1 to 10^10.
    const TICKS_PER_SECOND: u64;

    /// The time now.
    fn now(&self) -> Ticks;
}

/// Checks [`Clock::TICKS_PER_SECOND`].
pub(crate) const fn check_rate(per_second: u64) -> Result<u64, ConfigError> {
    setting!("the clock's `TICKS_PER_SECOND`" must "be from 1 to 10^10").check(
        per_second,
        1,
        10_000_000_000,
    )
}

/// The longest setting that is taken, in ticks: sums of a few must stay clear of the 64-bit end.
pub(crate) const LONGEST: u64 = u64::MAX >> 2;

/// A setting in ticks, from `least` to [`LONGEST`].
pub(crate) const fn in_ticks(
    setting: Setting,
    duration: Duration,
    per_second: u64,
    least: u64,
) -> Result<u64, ConfigError> {
    in_ticks_up_to(setting, duration, per_second, least, LONGEST)
}

/// A setting in ticks, from `least` to `most`.
pub(crate) const fn in_ticks_up_to(
    setting: Setting,
    duration: Duration,
    per_second: u64,
    least: u64,
    most: u64,
) -> Result<u64, ConfigError> {
    let ticks = ticks_from_duration(duration, per_second);
    if ticks < least || ticks > most {
        let min = duration_from_ticks(least, per_second);
        return Err(setting.duration(duration, min, Duration::from_secs(most / per_second)));
    }
    Ok(ticks)
}

/// A clock that can also wake a task.
#[diagnostic::on_unimplemented(
    note = "`&ManualClock` is a `Timer`, while `ManualClock` itself is not"
)]
pub trait Timer: Clock {
    /// Completes once [`Clock::now`] has reached the instant it was made for.
    type Sleep: Future<Output = ()>;

    /// A future that completes at `at`, or at its first poll where `at` has passed.
    fn sleep_until(&self, at: Ticks) -> Self::Sleep;
}

macro_rules! pointer_clock {
    ($pointer:ty) => {
        impl<T: Clock + ?Sized> Clock for $pointer {
            const TICKS_PER_SECOND: u64 = T::TICKS_PER_SECOND;

            #[inline]
            fn now(&self) -> Ticks {
                (**self).now()
            }
        }

        impl<T: Timer + ?Sized> Timer for $pointer {
            type Sleep = T::Sleep;

            fn sleep_until(&self, at: Ticks) -> Self::Sleep {
                (**self).sleep_until(at)
            }
        }
    };
}

through_pointers!(pointer_clock, T);

/// The ticks of a clock that runs at `per_second` in `duration`, rounded up, at most `u64::MAX`.
///
/// Rounded up because a wait that ends early is a broken promise, and one tick more is not.
#[must_use]
pub const fn ticks_from_duration(duration: Duration, per_second: u64) -> u64 {
    let whole = duration.as_secs().saturating_mul(per_second);
    let nanos = duration.subsec_nanos() as u64;
    let part = match nanos.checked_mul(per_second) {
        Some(product) => match billions(product) {
            (whole, 0) => whole,
            (whole, _) => whole.saturating_add(1),
        },
        // Only a clock faster than 18 GHz comes here: coarser, but still rounded up.
        None => (per_second / NANOS_PER_SECOND + 1).saturating_mul(nanos),
    };
    whole.saturating_add(part)
}

/// As [`ticks_from_duration`], at the rate of the clock `C`: where a tick is so many whole
/// nanoseconds, as it mostly is, 32 bits do.
pub(crate) const fn ticks_of<C: Clock + ?Sized>(duration: Duration) -> u64 {
    let nanos_per_tick = const {
        match NANOS_PER_SECOND.checked_rem(C::TICKS_PER_SECOND) {
            Some(0) => (NANOS_PER_SECOND / C::TICKS_PER_SECOND) as u32,
            _ => 0,
        }
    };
    if nanos_per_tick == 0 {
        return ticks_from_duration(duration, C::TICKS_PER_SECOND);
    }
    // Both are at most 10^9.
    let part =
        duration.subsec_nanos().wrapping_add(nanos_per_tick.wrapping_sub(1)) / nanos_per_tick;
    // At most 10^9 too, as it divides that.
    multiply_add(duration.as_secs(), C::TICKS_PER_SECOND as u32, part as u64)
}

/// How long `ticks` of a clock that runs at `per_second` last, rounded up to the nanosecond.
// One copy where it is long.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
#[must_use]
pub const fn duration_from_ticks(ticks: u64, per_second: u64) -> Duration {
    let per_second = if per_second == 0 { 1 } else { per_second };
    let (seconds, rest) = divide((0, ticks), per_second);
    // The rest is less than a second, so that this is at most 10^9, and that only rounded up.
    let nanos = match divide(product(rest, NANOS_PER_SECOND), per_second) {
        (floor, 0) => floor as u32,
        (floor, _) => (floor as u32).wrapping_add(1),
    };
    if nanos < 1_000_000_000 {
        Duration::new(seconds, nanos)
    } else {
        Duration::from_secs(seconds.saturating_add(1))
    }
}

/// How many whole parts of a second, of which it has `parts`, so many ticks are; saturates.
pub(crate) const fn whole_parts(ticks: u64, parts: u32, per_second: u64) -> u64 {
    let product = product(ticks, parts as u64);
    if product.0 < per_second { divide(product, per_second).0 } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_round_up_and_saturate() {
        let second = Duration::from_secs(1);
        assert_eq!(ticks_from_duration(second, NANOS_PER_SECOND), NANOS_PER_SECOND);
        assert_eq!(ticks_from_duration(Duration::from_nanos(1), 32_768), 1);
        assert_eq!(ticks_from_duration(Duration::from_micros(31), 32_768), 2);
        assert_eq!(ticks_from_duration(Duration::MAX, NANOS_PER_SECOND), u64::MAX);
        assert_eq!(ticks_from_duration(Duration::ZERO, 1), 0);
        assert_eq!(duration_from_ticks(1, 32_768), Duration::from_nanos(30_518));
        assert_eq!(duration_from_ticks(u64::MAX, 1), Duration::from_secs(u64::MAX));
        assert_eq!(duration_from_ticks(3, 3), second);
        assert_eq!(duration_from_ticks(5, 0), Duration::from_secs(5));
    }

    #[test]
    fn the_rate_of_a_clock_is_as_good_as_a_number() {
        fn check<const HZ: u64>() {
            let (nanos, second) = (Duration::from_nanos, Duration::from_secs(1));
            for near in [0, 1, 999, 1_000, 1_001, 999_999_999] {
                for asked in [nanos(near), 3 * second + nanos(near), Duration::MAX - nanos(near)] {
                    let ticks = ticks_of::<ManualClock<HZ>>(asked);
                    assert_eq!(ticks, ticks_from_duration(asked, HZ), "{asked:?} at {HZ}");
                }
            }
        }
        check::<1>();
        check::<32_768>();
        check::<1_000_000>();
        check::<1_000_000_000>();
        check::<10_000_000_000>();
    }

    #[test]
    fn a_round_trip_never_comes_out_shorter() {
        for per_second in [1, 3, 32_768, 1_000_000, 1_000_000_000, 3_000_000_001] {
            for nanos in [0, 1, 999, 1_000_000, 1_500_000_001, 86_400_000_000_007] {
                let asked = Duration::from_nanos(nanos);
                let got = duration_from_ticks(ticks_from_duration(asked, per_second), per_second);
                assert!(got >= asked, "{asked:?} became {got:?} at {per_second} per second");
            }
        }
    }
}
