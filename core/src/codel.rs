//! Shedding by queue delay: `CoDel`, as services use it.
//!
//! **Background.** A queue that is only full now and then absorbs bursts, and is good. A queue that
//! never empties delays everybody by the same time and serves nobody better: it is bad, however
//! short it is. Length does not tell the two apart, and the mean delay does not either; the
//! *least* delay over an interval does (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue
//! 10(5), 2012; RFC 8289): if everything that left the queue in 100 ms had waited more than
//! 5 ms, the queue stands.
//!
//! **Solution.** The measure is that of the RFC; what is done about it is what Facebook does for
//! requests (Maurer, "Fail at Scale", ACM Queue 13(8), 2015; the class `Codel` of its library
//! folly): while the queue stands, whatever has waited for more than twice the target is shed when
//! its turn comes. The RFC drops one packet, and the next one sooner by a square root, because
//! a sender of TCP halves its rate for each packet it misses. A client that gets an error does no
//! such thing, so that law would shed far too little.
//!
//! **Why it works.** What has waited longest is shed first and at no cost, so the delay falls at
//! once to twice the target and stays just below, where the queue still stands (all delays are
//! above the target) and what comes is served. When the load is gone, delays fall below the target;
//! at the end of that interval nothing is shed any more. Between one and two targets lies the
//! hysteresis.
//!
//! Judged is when an interval has passed and something leaves the queue, so an idle queue costs
//! nothing. The delay of that call itself is part of what is judged: the first call after an idle
//! time has not waited, and ends an overload from before.
//!
//! # Synchronization
//!
//! One word, changed by compare-and-swap on a pure function of what it was, and no other memory:
//! every access is Relaxed.

mod queue;
mod state;

use core::fmt;
use core::time::Duration;

pub use queue::{CoDelQueue, Sojourn};

use crate::error::{ConfigError, Reason, Rejection, Setting, check, setting};
use crate::gate::{Gate, Outcome};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::scale::DEFAULT_LATENESS;
use crate::time::{Clock, Ticks, check_rate, duration_from_ticks, ticks_from_duration};
use state::{Rules, State};

const TARGET: Setting =
    setting!("CoDel's `target`" must "be at least one nanosecond, and at most the `interval`");
const INTERVAL: Setting = setting!("CoDel's `interval`" must "be at most an hour");
const LATENESS: Setting = setting!("CoDel's `max_lateness`" must "be at most an hour");

const HOUR: Duration = Duration::from_secs(3_600);

/// The settings of [`CoDel`].
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::CoDelConfig;
///
/// // For work that takes seconds.
/// const BATCH: CoDelConfig =
///     CoDelConfig::new().target(Duration::from_millis(250)).interval(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a configuration does nothing by itself"]
pub struct CoDelConfig {
    target: Duration,
    interval: Duration,
    lateness: Duration,
}

impl CoDelConfig {
    /// A target of 5 ms and an interval of 100 ms: those of RFC 8289 (sections 4.2 and 4.3), and of
    /// Facebook for requests that take milliseconds.
    pub const fn new() -> Self {
        Self {
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
            lateness: DEFAULT_LATENESS,
        }
    }

    /// The delay that is fine at any time; above 0 and at most the interval. RFC 8289 advises 5 to
    /// 10 % of a round trip, which is what the interval stands for.
    pub const fn target(mut self, target: Duration) -> Self {
        self.target = target;
        self
    }

    /// How long no delay may be on target before there is too much load; at most an hour. RFC 8289
    /// advises a time in which nearly all calls are done.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How late a reading of the clock may be when it is used; at most an hour, one second unless
    /// told otherwise. A later one may end an interval too early.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    const fn resolve(self, hz: u64) -> Result<Rules, ConfigError> {
        check!(check_rate(hz));
        if self.interval.as_nanos() > HOUR.as_nanos() {
            return Err(INTERVAL.duration(self.interval, Duration::ZERO, HOUR));
        }
        if self.lateness.as_nanos() > HOUR.as_nanos() {
            return Err(LATENESS.duration(self.lateness, Duration::ZERO, HOUR));
        }
        if self.target.is_zero() || self.target.as_nanos() > self.interval.as_nanos() {
            return Err(TARGET.duration(self.target, Duration::from_nanos(1), self.interval));
        }
        Ok(Rules::new(
            ticks_from_duration(self.target, hz),
            ticks_from_duration(self.interval, hz),
            ticks_from_duration(self.lateness, hz),
        ))
    }
}

impl Default for CoDelConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Sheds what has waited too long in a queue, while that queue never empties ("controlled delay").
///
/// [`since`](CoDel::since) an instant is a gate for a call that has waited since then, for queues
/// of your own: ask it when the call's turn has come. [`queue`](CoDel::queue) around a gate that
/// waits, such as a [`Bulkhead`](crate::Bulkhead), measures the wait itself.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Clock, CoDel, CoDelConfig, Gate, ManualClock, Reason};
///
/// let clock: ManualClock = ManualClock::new();
/// let codel = CoDel::new(CoDelConfig::new(), &clock);
///
/// // Whatever leaves the queue has waited for 30 ms.
/// let mut served = 0;
/// for _ in 0..50 {
///     let enqueued = clock.now();
///     clock.advance(Duration::from_millis(30));
///     match codel.since(enqueued).call(|| Ok::<_, ()>("work")) {
///         Ok(_) => served += 1,
///         Err(error) => assert_eq!(error.rejection().unwrap().reason(), Reason::Overloaded),
///     }
/// }
/// assert_eq!(served, 4, "it may last 100 ms, but not longer");
///
/// // One that has not waited: there is no queue any more.
/// clock.advance(Duration::from_millis(100));
/// assert!(codel.since(clock.now()).permit().is_ok());
/// assert!(!codel.is_overloaded());
/// ```
///
/// # Interrupt safety
///
/// Lock-free: one load, and a compare-and-swap at most twice in an interval and for each call that
/// comes at the same moment.
///
/// # Memory ordering
///
/// Relaxed throughout: it publishes nothing.
pub struct CoDel<C> {
    word: AtomicWord,
    rules: Rules,
    clock: C,
}

impl<C: Clock> CoDel<C> {
    constructor! {
        /// One that has seen nothing yet.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) has an error; in a `static`, that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: CoDelConfig, clock: C) -> Self {
            let rules = match config.resolve(C::TICKS_PER_SECOND) {
                Ok(rules) => rules,
                Err(error) => error.fail(),
            };
            Self { word: AtomicWord::new(State::UNSTARTED.word()), rules, clock }
        }
    }

    /// [`new`](Self::new) for settings that are known only at run time.
    ///
    /// # Errors
    ///
    /// A time that is outside of what it may be; see [`CoDelConfig`].
    pub fn try_new(config: CoDelConfig, clock: C) -> Result<Self, ConfigError> {
        let rules = config.resolve(C::TICKS_PER_SECOND)?;
        Ok(Self { word: AtomicWord::new(State::UNSTARTED.word()), rules, clock })
    }

    /// A gate for a call that has waited since `enqueued`, an instant of the same clock, and whose
    /// turn it is now.
    ///
    /// # Errors
    ///
    /// The gate refuses with [`Reason::Overloaded`] and the time until it is judged again whether
    /// the queue stands.
    #[inline]
    #[must_use]
    pub const fn since(&self, enqueued: Ticks) -> Waited<'_, C> {
        Waited { codel: self, enqueued }
    }

    /// A gate that waits in `gate` and sheds what has waited there too long.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Bulkhead, BulkheadConfig, CoDel, CoDelConfig, ManualClock, Pipeline, Queue};
    ///
    /// static CLOCK: ManualClock = ManualClock::new();
    /// static WORKERS: Bulkhead<Queue<64>> = Bulkhead::new(BulkheadConfig::new(8));
    /// static CODEL: CoDel<&ManualClock> = CoDel::new(CoDelConfig::new(), &CLOCK);
    ///
    /// # pollster::block_on(async {
    /// let answer = Pipeline::new(&CLOCK)
    ///     .per_call_waiting(CODEL.queue(&WORKERS))
    ///     .call(|_| async { Ok::<_, ()>("row") })
    ///     .await;
    /// assert_eq!(answer, Ok("row"));
    /// # });
    /// ```
    #[must_use]
    pub const fn queue<G>(&self, gate: G) -> CoDelQueue<'_, C, G> {
        CoDelQueue::new(self, gate)
    }

    /// Judges a call that has waited since `enqueued`, an instant of the same clock, and whose turn
    /// it is now: [`since`](Self::since) for what is not a call.
    ///
    /// # Errors
    ///
    /// As [`since`](Self::since).
    pub fn admit(&self, enqueued: Ticks) -> Result<(), Rejection> {
        self.admit_at(enqueued, self.clock.now())
    }

    /// [`admit`](Self::admit) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`since`](Self::since).
    pub fn admit_at(&self, enqueued: Ticks, now: Ticks) -> Result<(), Rejection> {
        let delay = now.saturating_since(enqueued);
        let at = self.rules.units(now);
        let mut old = self.load();
        let state = loop {
            let new = old.transition_dequeued(&self.rules, delay, at);
            if new == old {
                break new;
            }
            // Relaxed: the word is all there is; nothing is published with it. Lock-free: a swap
            // fails only because another one succeeded.
            let swap = self.word.compare_exchange_weak(
                old.word(),
                new.word(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swap {
                Ok(_) => break new,
                Err(current) => old = State::new(current),
            }
        };
        if state.sheds(&self.rules, delay) {
            let left = state.ticks_left(&self.rules, now);
            return Err(Rejection::after_ticks(Reason::Overloaded, left, C::TICKS_PER_SECOND));
        }
        Ok(())
    }

    /// Whether the queue stood when it was judged last.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.load().is_overloaded()
    }

    /// The clock it goes by.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C> CoDel<C> {
    fn load(&self) -> State {
        // Relaxed: whatever was read, a compare-and-swap checks it; and what is not written is as
        // if it had been read a moment earlier.
        State::new(self.word.load(Ordering::Relaxed))
    }
}

impl<C: Clock> fmt::Debug for CoDel<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = |ticks| duration_from_ticks(ticks, C::TICKS_PER_SECOND);
        f.debug_struct("CoDel")
            .field("overloaded", &self.is_overloaded())
            .field("target", &duration(self.rules.target))
            .finish_non_exhaustive()
    }
}

/// A [`CoDel`] as a gate for a call that has waited; see [`CoDel::since`].
pub struct Waited<'a, C> {
    codel: &'a CoDel<C>,
    enqueued: Ticks,
}

impl<C: Clock> Gate for Waited<'_, C> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.codel.admit(self.enqueued)
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}

impl<C> Clone for Waited<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Waited<'_, C> {}

impl<C: Clock> fmt::Debug for Waited<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waited")
            .field("codel", &self.codel)
            .field("enqueued", &self.enqueued)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    #[test]
    fn an_instance_with_its_configuration_stays_small() {
        assert!(size_of::<CoDel<&ManualClock>>() <= 48, "{}", size_of::<CoDel<&ManualClock>>());
    }
}
