//! Letting calls back in little by little after half-open.
//!
//! **Background.** A few probes that go well say that what is called works again, not that it
//! bears the whole load at once: caches are cold, pools are empty, and callers have waited. A
//! breaker that lets everybody in the moment it closes knocks it over again.
//!
//! **Solution.** Between half-open and closed there is a state of its own, in which a share of the
//! calls is let in that grows with time. Those are judged as when closed. Which of them: call
//! number n is, where the fractional part of n times the golden ratio is below the share, as in a
//! [`Switch`](crate::Switch).
//!
//! **Why it works.** That sequence is as even as any: of each run of calls the share is let in to
//! within a few calls, where drawing lots would be off by the root of their number, and needs no
//! seed. Nor does a pattern among the callers bias it, as it would with every tenth call: who comes
//! every second time meets a sequence that is as even (the multiples of an irrational number are).
//! The clock only says how large the share is.
//!
//! It is chosen by type, as a window is, around which it stands: a breaker without it has neither
//! the state nor the code.
//!
//! # Synchronization
//!
//! The counter is a figure of its own. Two calls that ask at once get different numbers, so the
//! share holds whoever asks; who is let in goes by the state word alone.

use core::marker::PhantomData;
use core::time::Duration;

use super::counts::Counts;
use super::state::{Generation, RAMP_BITS, RAMP_HEADROOM};
use super::window::{Ended, sealed};
use super::{Consecutive, Window};
use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::rng::spread;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::scale::{Coarse, DEFAULT_LATENESS};
use crate::time::{Clock, Ticks, check_rate, in_ticks};
use crate::word::{Word, low_half, widen};

const FROM: Setting = setting!("the ramp's `from`" must "be more than 0 % and at most 100 %");
const OVER: Setting = setting!(
    "the ramp's `over`" must "be from one tick of the clock to a quarter of its range"
);
const LATENESS: Setting =
    setting!("the ramp's `max_lateness`" must "be at most a quarter of the clock's range");

/// How the share of the calls that a breaker lets in grows after half-open; see [`RampUp`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Ramp {
    from: Ratio,
    over: Duration,
    is_exponential: bool,
    lateness: Duration,
}

impl Ramp {
    /// From the share `from` (above 0, at most 1) to all calls, by the same amount in the same
    /// time: `from + (1 - from) * t / over`.
    pub const fn linear(from: Ratio, over: Duration) -> Self {
        Self { from, over, is_exponential: false, lateness: DEFAULT_LATENESS }
    }

    /// From the share `from` (above 0, at most 1) to all calls, doubling in the same time:
    /// `from^(1 - t / over)`, in straight lines between the powers of two, which come within 7 % of
    /// the curve.
    pub const fn exponential(from: Ratio, over: Duration) -> Self {
        Self { is_exponential: true, ..Self::linear(from, over) }
    }

    /// The largest lateness of a clock reading that is supported; one second unless told otherwise.
    /// A reading that is later than that may be taken for one from after the ramp.
    pub const fn max_lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }
}

/// A window that has its breaker ramp up after half-open, over the clock `C` and around the window
/// `W`.
///
/// Once half-open has gone well, the breaker is [`RampingUp`](crate::State::RampingUp): it lets in
/// a growing share of the calls and refuses the others with
/// [`Reason::RampingUp`](crate::Reason::RampingUp) and the time until all are let in. Whom it lets
/// in is judged as when closed, by all rules, with a fresh count: a rule that trips reopens, for
/// the longer time where that grows. The first call after the ramp closes it.
///
/// The share steps in units of time, of which the ramp and its lateness have together at least 2^17
/// (where words are 32 bits 2^9), or in ticks if those are longer. Failures in a row are counted up
/// to 4095 (where words are 32 bits 63) while it ramps up, and as many trip, where
/// [`consecutive_failures`](crate::BreakerConfig::consecutive_failures) is more. A breaker that no
/// call came to for about 2^10 times (where words are 32 bits 2^4 times) as long as the ramp may
/// ramp up once more.
///
/// Each call costs a clock reading and a `fetch_add` while it ramps up; then nothing.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{
///     BreakerConfig, CircuitBreaker, Gate, ManualClock, Ramp, RampUp, Ratio, Reason, State,
/// };
///
/// let clock: ManualClock = ManualClock::new();
/// // A tenth of the calls at first, all of them after a minute.
/// let ramp = Ramp::linear(Ratio::percent(10), Duration::from_secs(60));
/// let db = CircuitBreaker::with_window(BreakerConfig::standard(), RampUp::new(ramp), &clock);
///
/// db.trip();
/// clock.advance(Duration::from_secs(30));
/// db.permit().unwrap().success();
/// assert_eq!(db.state(), State::RampingUp);
///
/// let let_in = |calls| (0..calls).filter(|_| db.call(|| Ok::<_, ()>(())).is_ok()).count();
/// assert!((9..=11).contains(&let_in(100)));
/// clock.advance(Duration::from_secs(30));
/// assert!((54..=56).contains(&let_in(100)));
/// clock.advance(Duration::from_secs(30));
/// assert_eq!(let_in(100), 100);
/// assert_eq!(db.state(), State::Closed);
/// # let refused = fusebox_core::Rejection::new(Reason::RampingUp);
/// # assert!(refused.reason().is_transient());
/// ```
#[derive(Debug)]
pub struct RampUp<C, W = Consecutive> {
    ramping: Ramping,
    window: W,
    clock: PhantomData<fn() -> C>,
}

impl<C: Clock> RampUp<C> {
    constructor! {
        /// For a breaker without a window.
        ///
        /// # Panics
        ///
        /// Where [`try_around`](Self::try_around) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(ramp: Ramp) -> Self {
            Self::around(ramp, Consecutive)
        }
    }
}

impl<C: Clock, W> RampUp<C, W> {
    constructor! {
        /// For a breaker with this window.
        ///
        /// # Panics
        ///
        /// Where [`try_around`](Self::try_around) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn around(ramp: Ramp, window: W) -> Self {
            match Ramping::new(ramp, C::TICKS_PER_SECOND) {
                Ok(ramping) => Self { ramping, window, clock: PhantomData },
                Err(error) => error.fail(),
            }
        }
    }

    /// For a breaker with this window.
    ///
    /// # Errors
    ///
    /// `from` is 0 or above 1; `over` is 0, or it or the lateness longer than a quarter of the
    /// clock's range.
    pub fn try_around(ramp: Ramp, window: W) -> Result<Self, ConfigError> {
        let ramping = Ramping::new(ramp, C::TICKS_PER_SECOND)?;
        Ok(Self { ramping, window, clock: PhantomData })
    }

    /// The window: to change its rates while it is in use.
    #[must_use]
    pub const fn window(&self) -> &W {
        &self.window
    }
}

/// A [`Ramp`] in units of the state word.
#[derive(Debug)]
pub struct Ramping {
    /// How many calls have asked, wrapping.
    asked: AtomicWord,
    /// The first share, in parts of 2^32.
    from: u32,
    /// What is missing to the whole one unit before the end: linear in parts of 2^32, exponential
    /// in halvings, of which it is 2^27 parts.
    slope: u32,
    time: u32,
    horizon: u32,
    scale: Coarse,
    is_exponential: bool,
}

/// How many bits of a number of halvings are its fraction.
const FRACTION: u32 = 27;

// Of at most 31 halvings, and of the units of a ramp.
const _: () = assert!(u32::BITS - FRACTION == 5 && RAMP_BITS - RAMP_HEADROOM < u32::BITS);

impl Ramping {
    constructor! {
        const fn new(ramp: Ramp, hz: u64) -> Result<Self, ConfigError> {
            check!(check_rate(hz));
            if !ramp.from.is_share() {
                return Err(FROM.ratio(ramp.from));
            }
            let over = check!(in_ticks(OVER, ramp.over, hz, 1));
            let late = check!(in_ticks(LATENESS, ramp.lateness, hz, 0));
            // Each is at most a quarter of the range.
            let reach = over.saturating_add(late);
            let scale = Coarse::fit(reach, RAMP_BITS, RAMP_HEADROOM);
            let time = scale.units_up(over);
            let from = parts(ramp.from);
            let missing = if ramp.is_exponential { halvings(from) } else { WHOLE.saturating_sub(from) };
            // Never zero; but the compiler cannot know that, and would link a panic.
            let slope = missing.div_ceil(if time == 0 { 1 } else { widen(time) });
            Ok(Self {
                asked: AtomicWord::new(0),
                from: if from == WHOLE { u32::MAX } else { from as u32 },
                slope: if slope > u32::MAX as u64 { u32::MAX } else { slope as u32 },
                time: time as u32,
                // The time is rounded up by itself: so must the lateness be.
                horizon: time.saturating_add(scale.units_up(late)) as u32,
                scale,
                is_exponential: ramp.is_exponential,
            })
        }
    }

    pub(super) fn units(&self, now: Ticks) -> Word {
        self.scale.units(now)
    }

    pub(super) fn ticks_until(&self, left: Word, now: Ticks) -> u64 {
        self.scale.ticks_until(left, now)
    }

    pub(super) fn time(&self) -> Word {
        Word::from(self.time)
    }

    pub(super) fn horizon(&self) -> Word {
        Word::from(self.horizon)
    }

    /// Whether the next call is within the share of so many units before the end.
    pub(super) fn take_turn(&self, left: Word) -> bool {
        // Relaxed: a figure; publishes nothing.
        let number = low_half(self.asked.fetch_add(1, Ordering::Relaxed));
        spread(number) < self.share(low_half(left))
    }

    /// The share of so many units before the end, in parts of 2^32, all ones for the whole.
    fn share(&self, left: u32) -> u32 {
        // Whoever is late comes with the first share, not with less.
        let missing = self.slope.saturating_mul(left.min(self.time));
        let share = if self.is_exponential {
            let part = missing & ((1 << FRACTION) - 1);
            // Half of the fraction: a straight line from the whole to its half.
            let line = u32::MAX.wrapping_sub(part.wrapping_shl(u32::BITS - FRACTION - 1));
            line.wrapping_shr(missing >> FRACTION)
        } else {
            u32::MAX.saturating_sub(missing)
        };
        share.max(self.from)
    }
}

/// The whole, in the parts of which a share is given.
const WHOLE: u64 = 1 << 32;

/// A ratio of at most 1 in parts of the whole, rounded down, but at least one of them.
const fn parts(ratio: Ratio) -> u64 {
    match ((ratio.numerator() as u64) << 32).checked_div(ratio.denominator() as u64) {
        None | Some(0) => 1,
        Some(parts) => parts,
    }
}

/// How often to halve the whole until this many of its 2^32 parts are left, in straight lines
/// between the halves; a number with [`FRACTION`] bits after the point.
const fn halvings(parts: u64) -> u64 {
    // From 1 to 2^32, so that there are 0 to 32 of them.
    let times = parts.saturating_sub(1).leading_zeros().saturating_sub(u32::BITS);
    // From the whole to just above its half.
    let line = parts.wrapping_shl(times);
    ((times as u64) << FRACTION).saturating_add(WHOLE.saturating_sub(line) >> (31 - FRACTION))
}

impl<C, W: Window<C>> Window<C> for RampUp<C, W> {}

impl<C, W: Window<C>> sealed::Window<C> for RampUp<C, W> {
    type Start = W::Start;
    type Slow = W::Slow;
    const COUNTS_SUCCESSES: bool = W::COUNTS_SUCCESSES;

    #[inline]
    fn ramp(&self) -> Option<&Ramping> {
        Some(&self.ramping)
    }

    fn has_rate(&self) -> bool {
        self.window.has_rate()
    }

    #[inline]
    fn needs_start(&self) -> bool {
        self.window.needs_start()
    }

    #[inline]
    fn needs_end(&self) -> bool {
        self.window.needs_end()
    }

    #[inline]
    fn slow(&self, start: Ticks, now: Ticks) -> Self::Slow {
        self.window.slow(start, now)
    }

    #[inline]
    fn record(&self, ended: Ended<Self::Slow>, is_over: &dyn Fn() -> bool) -> Option<bool> {
        self.window.record(ended, is_over)
    }

    fn ask(
        &self,
        generation: Generation,
        failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        self.window.ask(generation, failed, base, rule)
    }

    fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts {
        self.window.read(generation, now, counts)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const UNITS: u32 = 100;

    fn ramping(ramp: Ramp) -> Ramping {
        Ramping::new(ramp.max_lateness(Duration::ZERO), 1).unwrap()
    }

    fn shares(ramp: Ramp) -> Vec<f64> {
        let ramping = ramping(ramp);
        (0..=UNITS).map(|at| f64::from(ramping.share(UNITS - at)) / 2_f64.powi(32)).collect()
    }

    #[test]
    fn a_linear_share_is_a_straight_line() {
        for percent in [1, 10, 50, 100] {
            let from = f64::from(percent) / 100.0;
            let ramp = Ramp::linear(Ratio::percent(percent), Duration::from_secs(UNITS.into()));
            for (at, share) in shares(ramp).into_iter().enumerate() {
                let exact = from + (1.0 - from) * at as f64 / f64::from(UNITS);
                assert!((share - exact).abs() < 1e-6, "{share}, not {exact}, at {at} from {from}");
            }
        }
    }

    #[test]
    fn an_exponential_share_doubles_in_equal_times() {
        for from in [Ratio::percent(1), Ratio::percent(25), Ratio::new(1, 1 << 20)] {
            let first = f64::from(from.numerator()) / f64::from(from.denominator());
            let ramp = Ramp::exponential(from, Duration::from_secs(UNITS.into()));
            let mut before = 0.0;
            for (at, share) in shares(ramp).into_iter().enumerate() {
                let exact = first.powf(1.0 - at as f64 / f64::from(UNITS));
                let off = share / exact;
                assert!((0.93..1.07).contains(&off), "{share}, not {exact}, at {at}");
                assert!(share >= before, "it never falls");
                before = share;
            }
            assert!((shares(ramp)[0] - first).abs() < 1e-8);
        }
    }

    #[test]
    fn a_late_reader_gets_the_first_share() {
        let ramping = ramping(Ramp::linear(Ratio::percent(10), Duration::from_secs(UNITS.into())));
        assert_eq!(ramping.share(UNITS + 50), ramping.share(UNITS));
        assert_eq!(ramping.share(0), u32::MAX);
    }
}
