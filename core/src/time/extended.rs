//! A clock over a hardware counter that is too narrow to count for ever.
//!
//! **Background.** A [`Clock`] counts in 64 bits, and a timer of a microcontroller in 16, 24 or 32:
//! after 65 ms, 17 s or 71 minutes at 1 MHz it starts again from zero. Taken as it is, each wrap is
//! a clock that was set back for good: deadlines never come, and a bucket is full again. Counting
//! the wraps in an interrupt has a race: a reader may see the counter wrapped and the interrupt
//! still pending, or it interrupted the reader in between, or is masked.
//!
//! **Solution.** Count half periods, not wraps, and let the readers do it. The number of half
//! periods that have begun says which half of its period the counter was in; the counter's own
//! reading says which one it is in now. Where they agree, no half has begun since. Where they do
//! not, exactly one has, if the clock is read at least once in each half: the reader counts it, by
//! one compare-and-swap, and carries on with the new number whether or not another was faster.
//! (Half periods are how `rtic-time` and embassy's drivers extend a counter too; there two
//! interrupts per period count them.)
//!
//! **Why it works.** The number of halves is read first, then the counter, then the number again;
//! where that has changed, all is read anew. So between its two looks no other reader has counted a
//! half, and the counter's reading is of the half that was counted last or of the one after it,
//! which the lowest bit of the number tells apart. A reader that read the counter first would,
//! where it is interrupted for half a period, put its old reading into a later half: a reading from
//! the future, and the half that follows would be counted twice. A compare-and-swap that comes late
//! finds the number changed and does nothing; the reading that goes with it is right for when it
//! was taken, and late, as any may be.
//!
//! # Lock freedom
//!
//! A reader starts over only where another one has counted a half meanwhile: once in half a period.
//! There is one compare-and-swap in half a period, and no 64-bit atomic at all.

use core::fmt;

use super::{Clock, Ticks};
use crate::pointer::through_pointers;
use crate::sync::{AtomicWord, Ordering, constructor, fence};
use crate::word::widen;

/// A hardware counter that counts up and wraps; see [`Extended`].
pub trait Counter {
    /// How many ticks make a second: 1 to 10^10.
    const TICKS_PER_SECOND: u64;

    /// After how many ticks it starts again from zero: 2 to 2^32, which is a full 32-bit counter.
    const PERIOD: u64 = 1 << 32;

    /// The counter now, less than [`PERIOD`](Self::PERIOD).
    fn read(&self) -> u32;
}

macro_rules! pointer_counter {
    ($pointer:ty) => {
        impl<T: Counter + ?Sized> Counter for $pointer {
            const TICKS_PER_SECOND: u64 = T::TICKS_PER_SECOND;
            const PERIOD: u64 = T::PERIOD;

            #[inline]
            fn read(&self) -> u32 {
                (**self).read()
            }
        }
    };
}

through_pointers!(pointer_counter, T);

/// A [`Clock`] over a [`Counter`] of 32 bits or fewer, extended to 64.
///
/// It must be read at least once in each half period of the counter, by whatever runs: a timer
/// interrupt that calls [`now`](Clock::now) three times a period is enough, or a main loop that is
/// never longer than a third of one. Each reading that begins and ends within one half counts. A
/// half in which it is not read is lost, and with it a whole period: the clock is late by that from
/// then on.
///
/// Where words are 32 bits wide it counts 2^31 periods, and then begins again from zero: after
/// 292 000 years for 32 bits at 1 MHz, but after 4.4 years for 16 bits at 1 MHz; slow such a
/// counter down.
///
/// # Examples
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Clock, Counter, Extended};
///
/// /// A 24-bit timer at 1 MHz.
/// struct Timer3;
/// # fn read_register() -> u32 { 7 }
///
/// impl Counter for Timer3 {
///     const TICKS_PER_SECOND: u64 = 1_000_000;
///     const PERIOD: u64 = 1 << 24;
///     fn read(&self) -> u32 {
///         read_register()
///     }
/// }
///
/// static CLOCK: Extended<Timer3> = Extended::new(Timer3);
/// static SENSOR: CircuitBreaker<&Extended<Timer3>> =
///     CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
///
/// fn five_second_interrupt() {
///     CLOCK.now();
/// }
/// # five_second_interrupt();
/// # assert!(!SENSOR.is_open());
/// ```
///
/// `SysTick` counts down from a reload value, which makes its period one more than that:
///
/// ```
/// use fusebox_core::{Clock, Counter, Extended};
///
/// const RELOAD: u32 = 11_999_999;
/// # fn current_value() -> u32 { 11_999_990 }
///
/// struct SysTick;
/// impl Counter for SysTick {
///     const TICKS_PER_SECOND: u64 = 12_000_000;
///     const PERIOD: u64 = RELOAD as u64 + 1;
///     fn read(&self) -> u32 {
///         RELOAD - current_value()
///     }
/// }
/// assert_eq!(Extended::new(SysTick).now().0, 9);
/// ```
///
/// A period that no counter has does not compile:
///
/// ```compile_fail
/// # use fusebox_core::{Counter, Extended};
/// struct Stuck;
/// impl Counter for Stuck {
///     const TICKS_PER_SECOND: u64 = 1_000;
///     const PERIOD: u64 = 1;
///     fn read(&self) -> u32 {
///         0
///     }
/// }
/// static CLOCK: Extended<Stuck> = Extended::new(Stuck);
/// ```
///
/// # Interrupt safety
///
/// Lock-free: an interrupt may read a clock that it has interrupted the reading of. What was
/// interrupted then reads late, by as long as the interrupt took, and never early.
pub struct Extended<C> {
    counter: C,
    /// How many halves of the counter's period have begun since the one in which it was at zero,
    /// wrapping: twice the whole periods, and 1 in the second half of one.
    halves: AtomicWord,
}

impl<C: Counter> Extended<C> {
    /// The first reading of the second half.
    const HALF: u64 = C::PERIOD / 2;

    constructor! {
        /// A clock that reads as `counter` does until that wraps, and counts on from there.
        ///
        /// A period that is not from 2 to 2^32 does not compile.
        #[must_use]
        pub const fn new(counter: C) -> Self {
            const {
                assert!(
                    C::PERIOD >= 2 && C::PERIOD <= 1 << 32,
                    "the counter's `PERIOD` must be from 2 to 2^32"
                );
            }
            Self { counter, halves: AtomicWord::new(0) }
        }
    }
}

impl<C: Counter> Clock for Extended<C> {
    const TICKS_PER_SECOND: u64 = C::TICKS_PER_SECOND;

    fn now(&self) -> Ticks {
        // Acquire: the counter is read after it, or its reading might be from before a half that
        // others have counted already; pairs with the Release below.
        let mut halves = self.halves.load(Ordering::Acquire);
        let count = loop {
            let count = self.counter.read();
            // Acquire: the second look comes after the counter was read. Where the counter has gone
            // on to another half, whoever read it before has counted by now.
            fence(Ordering::Acquire);
            // Acquire: as the first, should it be that.
            let again = self.halves.load(Ordering::Acquire);
            if again == halves {
                break u64::from(count);
            }
            halves = again;
        };
        let is_second = count >= Self::HALF;
        if is_second != (halves & 1 == 1) {
            let next = halves.wrapping_add(1);
            // Where it fails, another reader has counted this half.
            let _ = self.halves.compare_exchange(
                halves,
                next,
                // Release: who sees this half counted reads the counter after it was read here,
                // and does not find it in the half before; pairs with the Acquire
                // loads above.
                Ordering::Release,
                // Relaxed: not used.
                Ordering::Relaxed,
            );
            halves = next;
        }
        Ticks((widen(halves) >> 1).wrapping_mul(C::PERIOD).wrapping_add(count))
    }
}

impl<C: fmt::Debug> fmt::Debug for Extended<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extended").field("counter", &self.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Word;
    use core::cell::Cell;

    /// A counter that is moved by hand, and does what it is told while it is being read.
    #[derive(Default)]
    struct Fake<const PERIOD: u64> {
        at: Cell<u64>,
    }

    impl<const PERIOD: u64> Counter for Fake<PERIOD> {
        const TICKS_PER_SECOND: u64 = 1_000;
        const PERIOD: u64 = PERIOD;

        fn read(&self) -> u32 {
            (self.at.get() % PERIOD) as u32
        }
    }

    #[track_caller]
    fn counts_on<const PERIOD: u64>(step: u64) {
        let clock = Extended::new(Fake::<PERIOD>::default());
        for turn in 0..10_000 {
            assert_eq!(clock.now(), Ticks(turn * step), "period {PERIOD}, step {step}");
            clock.counter.at.set((turn + 1) * step);
        }
    }

    #[test]
    fn counts_on_across_any_number_of_wraps() {
        for step in [1, 7, 499] {
            counts_on::<1_000>(step);
            counts_on::<999>(step);
        }
        for step in [1, 1_000, (1 << 31) - 1] {
            counts_on::<{ 1 << 32 }>(step);
        }
        counts_on::<2>(1);
        counts_on::<3>(1);
    }

    #[test]
    fn begins_wherever_the_counter_is() {
        for begin in [0, 499, 500, 999] {
            let clock = Extended::new(Fake::<1_000>::default());
            clock.counter.at.set(begin);
            assert_eq!(clock.now(), Ticks(begin));
            clock.counter.at.set(begin + 400);
            assert_eq!(clock.now(), Ticks(begin + 400));
        }
    }

    #[test]
    fn a_half_without_a_reading_costs_a_period_and_no_more() {
        let clock = Extended::new(Fake::<1_000>::default());
        assert_eq!(clock.now(), Ticks(0));
        clock.counter.at.set(1_100);
        assert_eq!(clock.now(), Ticks(100), "late, not early");
        clock.counter.at.set(1_500);
        assert_eq!(clock.now(), Ticks(500));
    }

    #[test]
    fn counts_to_the_end_of_its_words() {
        let clock = Extended::new(Fake::<{ 1 << 32 }>::default());
        clock.halves.store(Word::MAX, Ordering::Relaxed);
        clock.counter.at.set((1 << 32) - 1);
        // The last tick that it can tell: 2^63 - 1 of 32-bit words, 2^64 - 1 of 64-bit ones.
        let last = if Word::BITS == 32 { u64::MAX >> 1 } else { u64::MAX };
        assert_eq!(clock.now(), Ticks(last));
        clock.counter.at.set(1 << 32);
        assert_eq!(clock.now(), Ticks(0));
    }

    /// The reading of what was interrupted is neither from the future nor from a period ago,
    /// however long the interrupt took and wherever it came.
    #[test]
    fn an_interrupted_reading_is_right() {
        /// Is interrupted just before it is read; the interrupt reads the clock now and then.
        struct Interrupted<'a> {
            /// Taken while an interrupt is on, as none interrupts another here.
            clock: &'a Cell<Option<&'a Extended<Self>>>,
            at: &'a Cell<u64>,
            /// How often it was read, and how far the counter goes on at each such reading.
            reads: Cell<usize>,
            goes_on: &'a [&'a [u64]],
        }

        impl Counter for Interrupted<'_> {
            const TICKS_PER_SECOND: u64 = 1_000;
            const PERIOD: u64 = 1_000;

            fn read(&self) -> u32 {
                if let Some(clock) = self.clock.take() {
                    let turn = self.reads.replace(self.reads.get() + 1);
                    for step in self.goes_on.get(turn).copied().unwrap_or_default() {
                        self.at.set(self.at.get() + step);
                        assert_eq!(clock.now(), Ticks(self.at.get()));
                    }
                    self.clock.set(Some(clock));
                }
                (self.at.get() % Self::PERIOD) as u32
            }
        }

        let cases: [&[&[u64]]; 7] = [
            &[&[300]],
            &[&[499]],
            &[&[400, 400]],
            &[&[499; 4]],
            &[&[499; 9]],
            &[&[400, 400], &[400]],
            &[&[400; 3], &[400; 5], &[], &[400; 2]],
        ];
        for goes_on in cases {
            let (cell, at) = (Cell::new(None), Cell::new(0));
            let reads = Cell::new(0);
            let clock = Extended::new(Interrupted { clock: &cell, at: &at, reads, goes_on });
            cell.set(Some(&clock));
            assert_eq!(clock.now(), Ticks(at.get()), "{goes_on:?}");
        }
    }
}
