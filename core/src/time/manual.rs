//! A clock that moves only when told to, for tests and simulations.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::{Clock, Ticks, Timer, duration_from_ticks, ticks_from_duration};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::word::Word;

/// A clock that moves only when told to. `HZ` is its ticks per second, nanoseconds by default.
///
/// Share it by reference: `&ManualClock` is a [`Clock`] and a [`Timer`].
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Clock, ManualClock, Ticks};
///
/// let clock: ManualClock = ManualClock::new();
/// clock.advance(Duration::from_millis(5));
/// assert_eq!(clock.now(), Ticks(5_000_000));
/// clock.rewind(Duration::from_millis(1));
/// assert_eq!(clock.elapsed(), Duration::from_millis(4));
/// ```
///
/// # Interrupt safety
///
/// Lock-free. Where words are 32 bits wide the reading takes two of them, and a reader that
/// interrupts `advance` in the middle of a carry sees the time before it: a late reading, which
/// everything here must bear anyway.
#[derive(Debug)]
pub struct ManualClock<const HZ: u64 = 1_000_000_000> {
    low: AtomicWord,
    /// The bits that do not fit into `low`; unused where words are 64 bits wide.
    high: AtomicWord,
}

impl<const HZ: u64> ManualClock<HZ> {
    constructor! {
        /// A clock that reads 0.
        #[must_use]
        pub const fn new() -> Self {
            Self { low: AtomicWord::new(0), high: AtomicWord::new(0) }
        }
    }

    /// Moves the clock forward by `duration`, rounded up to a tick.
    pub fn advance(&self, duration: Duration) {
        self.advance_ticks(ticks_from_duration(duration, HZ));
    }

    /// Moves the clock forward by `ticks`, wrapping at `u64::MAX`.
    pub fn advance_ticks(&self, ticks: u64) {
        // SeqCst here and below: a fake clock should surprise nobody, and its speed is no concern.
        let low = self.low.fetch_add(ticks as Word, Ordering::SeqCst);
        if Word::BITS < u64::BITS {
            let carry = Word::from(low.checked_add(ticks as Word).is_none());
            let rest = (ticks.checked_shr(Word::BITS).unwrap_or(0) as Word).wrapping_add(carry);
            if rest != 0 {
                self.high.fetch_add(rest, Ordering::SeqCst);
            }
        }
    }

    /// Moves the clock back by `duration`, rounded up to a tick, as broken hardware might.
    pub fn rewind(&self, duration: Duration) {
        self.advance_ticks(ticks_from_duration(duration, HZ).wrapping_neg());
    }

    /// Sets the reading. Not atomic against a concurrent `advance` where words are 32 bits wide.
    pub fn set(&self, at: Ticks) {
        self.low.store(at.0 as Word, Ordering::SeqCst);
        self.high.store(at.0.checked_shr(Word::BITS).unwrap_or(0) as Word, Ordering::SeqCst);
    }

    /// How far the clock is from its origin.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        duration_from_ticks(self.reading(), HZ)
    }

    fn reading(&self) -> u64 {
        let low = self.low.load(Ordering::SeqCst);
        if Word::BITS == u64::BITS {
            #[allow(clippy::useless_conversion, reason = "a conversion where words are 32 bits")]
            return low.into();
        }
        let high = self.high.load(Ordering::SeqCst);
        // A carry between the two loads shows as a changed low word; one re-read pairs them again,
        // and whoever interrupts an `advance` gets the time before it.
        let again = self.low.load(Ordering::SeqCst);
        let high = if again < low { self.high.load(Ordering::SeqCst) } else { high };
        #[allow(clippy::useless_conversion, reason = "a conversion where words are 32 bits")]
        let (high, low): (u64, u64) = (high.into(), again.into());
        high.checked_shl(Word::BITS).unwrap_or(0) | low
    }
}

impl<const HZ: u64> Default for ManualClock<HZ> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const HZ: u64> Clock for ManualClock<HZ> {
    const TICKS_PER_SECOND: u64 = HZ;

    fn now(&self) -> Ticks {
        Ticks(self.reading())
    }
}

impl<'a, const HZ: u64> Timer for &'a ManualClock<HZ> {
    type Sleep = ManualSleep<'a, HZ>;

    fn sleep_until(&self, at: Ticks) -> Self::Sleep {
        ManualSleep { clock: self, at }
    }
}

/// The sleep of a [`ManualClock`]: pending until the clock has been moved far enough.
///
/// It asks to be polled again at once, as nothing tells it when the clock moves; an executor
/// keeps turning until some other task advances the clock.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ManualSleep<'a, const HZ: u64 = 1_000_000_000> {
    clock: &'a ManualClock<HZ>,
    at: Ticks,
}

impl<const HZ: u64> Future for ManualSleep<'_, HZ> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.at {
            Poll::Ready(())
        } else {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_between_words_and_wraps() {
        let clock: ManualClock = ManualClock::new();
        clock.set(Ticks(u64::from(u32::MAX)));
        clock.advance_ticks(1);
        assert_eq!(clock.now(), Ticks(1 << 32));
        clock.rewind(Duration::from_nanos(1));
        assert_eq!(clock.now(), Ticks(u64::from(u32::MAX)));
        clock.set(Ticks::MAX);
        clock.advance_ticks(2);
        assert_eq!(clock.now(), Ticks(1));
        clock.advance_ticks((7 << 32) + 5);
        assert_eq!(clock.now(), Ticks((7 << 32) + 6));
    }
}
