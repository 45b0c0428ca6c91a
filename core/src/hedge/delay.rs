//! When the next attempt is started.

use core::time::Duration;

use crate::pointer::through_pointers;
use crate::time::{Clock, Ticks, ticks_of};

/// How long a [`Hedge`](super::Hedge) waits before it starts another attempt beside those that run,
/// on a timer of the type `T`: a [`Duration`], an [`AfterPercentile`](super::AfterPercentile), or a
/// rule of your own.
///
/// # Examples
///
/// ```
/// use core::sync::atomic::{AtomicU64, Ordering};
/// use fusebox_core::{Hedge, HedgeDelay, Ticks};
///
/// /// Ticks, set by whoever watches the service.
/// struct Tuned(AtomicU64);
///
/// impl<T> HedgeDelay<T> for Tuned {
///     fn delay(&self, _now: Ticks) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
/// }
///
/// static TUNED: Tuned = Tuned(AtomicU64::new(50_000_000));
/// let hedge = Hedge::idempotent(&TUNED);
/// ```
pub trait HedgeDelay<T> {
    /// The wait from the start of one attempt at `now` to that of the next one, in ticks of the
    /// timer; 0 starts all at once.
    fn delay(&self, now: Ticks) -> u64;

    /// Whether it learns from how long first attempts take; where not, no clock is read for that.
    #[inline]
    fn learns(&self) -> bool {
        false
    }

    /// The first attempt of a call took so many ticks of the timer, until `now`; or that long at
    /// least, as it was cut off, or another attempt was faster. A wait at its gates is part of it.
    /// Not told of attempts that failed, that were dropped together with their call, or that were
    /// cut off before the delay was over.
    #[inline]
    fn learn(&self, took: u64, now: Ticks) {
        let _ = (took, now);
    }
}

/// Always the same.
impl<T: Clock> HedgeDelay<T> for Duration {
    #[inline]
    fn delay(&self, _now: Ticks) -> u64 {
        ticks_of::<T>(*self)
    }
}

macro_rules! pointer_delay {
    ($pointer:ty) => {
        impl<T, D: HedgeDelay<T> + ?Sized> HedgeDelay<T> for $pointer {
            #[inline]
            fn delay(&self, now: Ticks) -> u64 {
                (**self).delay(now)
            }

            #[inline]
            fn learns(&self) -> bool {
                (**self).learns()
            }

            #[inline]
            fn learn(&self, took: u64, now: Ticks) {
                (**self).learn(took, now);
            }
        }
    };
}

through_pointers!(pointer_delay, D);
