//! What a breaker remembers of the calls it judges by: a part that is chosen by type.

mod calls;
mod counting;
mod rates;
mod slide;
mod time;

pub use calls::LastCalls;
pub use rates::Rates;
pub(crate) use slide::Slide;
pub use time::LastTime;

use super::counts::Counts;
use super::ramp::Ramping;
use super::state::Generation;
use crate::meter::Start;
use crate::time::Ticks;

/// A call that ended, as a window sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ended<S> {
    pub(super) generation: Generation,
    pub(super) failed: bool,
    pub(super) slow: S,
    pub(super) now: Ticks,
}

/// Whether a call was slow, to a window that asks; to each of a pair.
pub trait Slow: Copy {
    /// Whether it was to any of them.
    fn is_slow(self) -> bool;
}

impl Slow for () {
    #[inline]
    fn is_slow(self) -> bool {
        false
    }
}

impl Slow for bool {
    #[inline]
    fn is_slow(self) -> bool {
        self
    }
}

impl<A: Slow, B: Slow> Slow for (A, B) {
    #[inline]
    fn is_slow(self) -> bool {
        self.0.is_slow() || self.1.is_slow()
    }
}

/// The kinds of window: [`Consecutive`], [`LastCalls`], [`LastTime`], a pair of windows, which
/// trips when either does, and [`RampUp`](crate::RampUp) around any of them. Sealed.
pub trait Window<C>: sealed::Window<C> {}

pub(super) mod sealed {
    use super::{Counts, Ended, Generation, Ramping, Slow, Start, Ticks};

    pub trait Window<C> {
        /// What a call carries for this window.
        type Start: Start;

        /// What it says about how long a call took.
        type Slow: Slow;

        /// How the breaker ramps up, if it does.
        #[inline]
        fn ramp(&self) -> Option<&Ramping> {
            None
        }

        /// Whether a rate of its own can trip the breaker.
        fn has_rate(&self) -> bool;

        /// Whether a success is counted, too.
        const COUNTS_SUCCESSES: bool;

        /// Whether calls carry the time they began at.
        fn needs_start(&self) -> bool;

        /// Whether the window wants to know the time when a call ends.
        fn needs_end(&self) -> bool;

        /// Whether a call counts as slow.
        fn slow(&self, start: Ticks, now: Ticks) -> Self::Slow;

        /// Counts a call and judges: `None` where the call came too late, else whether a rate
        /// trips.
        fn record(&self, ended: Ended<Self::Slow>, is_over: &dyn Fn() -> bool) -> Option<bool>;

        /// Asks a rule of the user's own about a call that was counted. `base` has the counts that
        /// the breaker itself keeps.
        fn ask(
            &self,
            generation: Generation,
            failed: bool,
            base: Counts,
            rule: fn(&Counts) -> bool,
        ) -> bool;

        /// Adds what the window has counted in `generation` to `counts`.
        fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts;
    }
}

/// No window: the breaker trips on failures in a row, which its state word counts. A call that
/// succeeds on a closed, clean breaker writes nothing and reads no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consecutive;

impl<C> Window<C> for Consecutive {}

impl<C> sealed::Window<C> for Consecutive {
    type Start = ();
    type Slow = ();
    const COUNTS_SUCCESSES: bool = false;

    fn has_rate(&self) -> bool {
        false
    }

    #[inline]
    fn needs_start(&self) -> bool {
        false
    }

    #[inline]
    fn needs_end(&self) -> bool {
        false
    }

    #[inline]
    fn slow(&self, _start: Ticks, _now: Ticks) {}

    #[inline]
    fn record(&self, _ended: Ended<()>, _is_over: &dyn Fn() -> bool) -> Option<bool> {
        Some(false)
    }

    fn ask(
        &self,
        _generation: Generation,
        failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        failed && rule(&base)
    }

    fn read(&self, _generation: Generation, _now: Ticks, counts: Counts) -> Counts {
        counts
    }
}

/// Two windows: either trips. The snapshot shows the counts of the first.
impl<C, V: Window<C>, W: Window<C>> Window<C> for (V, W) {}

impl<C, V: sealed::Window<C>, W: sealed::Window<C>> sealed::Window<C> for (V, W) {
    type Start = Ticks;
    type Slow = (V::Slow, W::Slow);
    const COUNTS_SUCCESSES: bool = true;

    #[inline]
    fn ramp(&self) -> Option<&Ramping> {
        self.0.ramp().or(self.1.ramp())
    }

    fn has_rate(&self) -> bool {
        self.0.has_rate() || self.1.has_rate()
    }

    #[inline]
    fn needs_start(&self) -> bool {
        self.0.needs_start() || self.1.needs_start()
    }

    #[inline]
    fn needs_end(&self) -> bool {
        self.0.needs_end() || self.1.needs_end()
    }

    #[inline]
    fn slow(&self, start: Ticks, now: Ticks) -> Self::Slow {
        (self.0.slow(start, now), self.1.slow(start, now))
    }

    fn record(&self, ended: Ended<Self::Slow>, is_over: &dyn Fn() -> bool) -> Option<bool> {
        let Ended { generation, failed, slow, now } = ended;
        let first = Ended { generation, failed, slow: slow.0, now };
        let second = Ended { generation, failed, slow: slow.1, now };
        // Both count, whatever the first one says.
        let first = self.0.record(first, is_over)?;
        let second = self.1.record(second, is_over)?;
        Some(first || second)
    }

    fn ask(
        &self,
        generation: Generation,
        failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        self.0.ask(generation, failed, base, rule) || self.1.ask(generation, failed, base, rule)
    }

    fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts {
        self.0.read(generation, now, counts)
    }
}
