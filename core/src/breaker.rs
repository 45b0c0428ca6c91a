//! The circuit breaker.
//!
//! A breaker stops calling what keeps failing, and finds out with a few probes when it works again.
//! Its whole state is one packed word (`breaker/state.rs` has the layout): every decision is a pure
//! function of the old word, committed by one compare-and-swap. What it remembers of past calls
//! beyond failures in a row is a part chosen by type (`breaker/window.rs`), and so is what it
//! counts for people (`breaker/meter.rs`): who does not ask for them does not pay.
//!
//! # Synchronization
//!
//! * A call that is let in carries the generation of the word it saw. Every transition makes a new
//!   generation, in the same compare-and-swap; a result with another generation is dropped. So a
//!   late result can neither close, nor open, nor decide a later half-open.
//! * The swap that lets a probe in counts it, so there are never more probes than allowed, whoever
//!   asks at the same moment.
//! * Closed and clean, acquire and success are two loads. A success that loads the word just before
//!   a failure is committed and writes nothing counts as having come before that failure.
//! * Two threads that judge a window at the same moment: see `breaker/ring.rs`.
//! * Loads of the word are Acquire and swaps AcqRel: whoever is let in as a probe, or finds the
//!   breaker closed again, comes after the call that brought this about, as with any lock, and may
//!   rely on what that call left in memory.

mod calls;
mod config;
mod counts;
mod live;
mod meter;
mod ramp;
mod ready;
mod ring;
mod room;
mod rules;
mod state;
mod window;

use core::fmt;
use core::time::Duration;

pub use config::BreakerConfig;
pub use counts::{BreakerSnapshot, Counts, State};
pub use meter::{Meter, Metering};
pub use ramp::{Ramp, RampUp};
pub use ready::UntilReady;
pub(crate) use window::Slide;
pub use window::{Consecutive, LastCalls, LastTime, Rates, Window};

use crate::error::{ConfigError, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Gate, Outcome};
use crate::sync::{AtomicWord, Ordering, constructor, swap};
use crate::time::{Clock, Ticks, Timer, duration_from_ticks};
use crate::word::Word;
use rules::Rules;
pub(crate) use state::GENERATION_BITS;
use state::{Generation, Snapshot};

/// A circuit breaker over the clock `C`, with a window `W`, a meter `M` and an observer `O`.
///
/// It is a [`Gate`]: use [`call`](Gate::call), [`guard`](Gate::guard) or [`permit`](Gate::permit).
///
/// | question | answer |
/// |---|---|
/// | when does open become half-open? | when a call comes at or after the end of the open time; looking never changes the state |
/// | a rate equal to the threshold? | trips |
/// | which outcomes are judged? | both: a success can be the call that reaches the minimum |
/// | a result from before the last transition? | dropped |
/// | `Ignored`? | counts in no denominator; gives its probe back |
/// | `Abandoned`? | the same, unless [`abandoned_is_failure`](BreakerConfig::abandoned_is_failure) |
/// | half-open? | at most [`max_probes`](BreakerConfig::max_probes) at once; one failure reopens, [`success_threshold`](BreakerConfig::success_threshold) successes close; or judged [by rate](BreakerConfig::probe_failure_rate); probes that never report [time out](BreakerConfig::half_open_timeout) |
/// | half-open has gone well? | closed, or [ramping up](RampUp) first |
/// | forced open, disabled, metrics only? | set by hand and left by hand, never by time |
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Error, Gate, ManualClock, Reason, State};
///
/// let clock: ManualClock = ManualClock::new();
/// let config = BreakerConfig::standard().consecutive_failures(2).open_for(Duration::from_secs(10));
/// let db = CircuitBreaker::new(config, &clock);
///
/// for _ in 0..2 {
///     assert_eq!(db.call(|| Err::<(), _>("no route")), Err(Error::Inner("no route")));
/// }
/// let refused = db.permit().unwrap_err();
/// assert_eq!(refused.reason(), Reason::CircuitOpen);
/// assert_eq!(refused.retry_after(), Some(Duration::from_secs(10)));
///
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(db.call(|| Ok::<_, &str>(42)), Ok(42));
/// assert_eq!(db.state(), State::Closed);
/// ```
///
/// In a `static`, where a bad configuration does not compile:
///
/// ```
/// # use fusebox_core::{Clock, Ticks};
/// # struct Rtc;
/// # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
/// use fusebox_core::{BreakerConfig, CircuitBreaker};
///
/// static SENSOR: CircuitBreaker<Rtc> = CircuitBreaker::new(BreakerConfig::standard().max_probes(2), Rtc);
/// # assert!(!SENSOR.is_open());
/// ```
///
/// ```compile_fail
/// # use fusebox_core::{Clock, Ticks};
/// # struct Rtc;
/// # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
/// use fusebox_core::{BreakerConfig, CircuitBreaker};
///
/// static SENSOR: CircuitBreaker<Rtc> = CircuitBreaker::new(BreakerConfig::standard().max_probes(0), Rtc);
/// # assert!(!SENSOR.is_open());
/// ```
///
/// # Interrupt safety
///
/// Lock-free and without waiting: any method may be called from an interrupt that preempts any
/// other. An observer's [`on_event`](Observer::on_event) runs inside the call that caused the
/// event, in an interrupt if that was one.
pub struct CircuitBreaker<C, W = Consecutive, M = (), O = ()> {
    word: AtomicWord,
    rules: Rules,
    clock: C,
    window: W,
    meter: M,
    observer: O,
}

/// What a call that a breaker let in carries: its generation and, where slow calls matter or
/// latencies are metered, its start.
#[derive(Clone, Copy, Debug)]
pub struct BreakerToken<S = (), L = ()> {
    generation: Generation,
    /// For the window.
    start: S,
    /// For the meter.
    metered: L,
}

/// An observer and the name under which it is told of events.
///
/// # Examples
///
/// One that is chosen when the program starts, in a `static`; without the `Sync`, no `static` could
/// hold the breaker:
///
/// ```
/// # use fusebox_core::{Clock, Consecutive, Ticks};
/// # struct Rtc;
/// # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Event, Named, Observer};
///
/// type AnyObserver = &'static (dyn Observer + Sync);
///
/// struct Log;
/// impl Observer for Log {
///     fn on_event(&self, event: &Event<'_>) {
///         println!("{event:?}");
///     }
/// }
/// static LOG: Log = Log;
///
/// static SENSOR: CircuitBreaker<Rtc, Consecutive, (), Named<AnyObserver>> =
///     CircuitBreaker::with_parts(
///         BreakerConfig::standard(),
///         Consecutive,
///         (),
///         Named::new("sensor", &LOG),
///         Rtc,
///     );
/// # assert!(!SENSOR.is_open());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Named<O> {
    name: &'static str,
    observer: O,
}

impl<O> Named<O> {
    /// Tells `observer` of events under `name`.
    #[must_use]
    pub const fn new(name: &'static str, observer: O) -> Self {
        Self { name, observer }
    }
}

impl<O: Observer> Observer for Named<O> {
    fn on_event(&self, event: &Event<'_>) {
        self.observer.on_event(event);
    }

    #[inline]
    fn is_active(&self) -> bool {
        self.observer.is_active()
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

impl<C: Clock> CircuitBreaker<C> {
    constructor! {
        /// A closed breaker that trips on failures in a row, or by a rule of your own.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: BreakerConfig, clock: C) -> Self {
            if !config.has_rule() {
                ConfigError::NoTripRule.fail();
            }
            Self::with_window(config, Consecutive, clock)
        }
    }

    /// A closed breaker that trips on failures in a row, or by a rule of your own.
    ///
    /// # Errors
    ///
    /// As [`try_with_window`](CircuitBreaker::try_with_window).
    pub fn try_new(config: BreakerConfig, clock: C) -> Result<Self, ConfigError> {
        Self::try_with_window(config, Consecutive, clock)
    }
}

impl<C: Clock, W> CircuitBreaker<C, W> {
    constructor! {
        /// A closed breaker that also trips on rates over `window`.
        ///
        /// # Panics
        ///
        /// Where [`try_with_window`](Self::try_with_window) errs; in a `static` that is a compile
        /// error. Only that no rule at all could trip it goes unnoticed here: a constant function
        /// cannot ask a window of any type for its rates.
        #[must_use]
        #[track_caller]
        pub const fn with_window(config: BreakerConfig, window: W, clock: C) -> Self {
            CircuitBreaker::with_parts(config, window, (), (), clock)
        }
    }

    /// A closed breaker that also trips on rates over `window`.
    ///
    /// # Errors
    ///
    /// A setting out of the range that its documentation gives; or no rule at all: no failures in a
    /// row, no rate in the window, no [`trip_when`](BreakerConfig::trip_when).
    pub fn try_with_window(config: BreakerConfig, window: W, clock: C) -> Result<Self, ConfigError>
    where
        W: Window<C>,
    {
        let rules = Rules::new(&config, C::TICKS_PER_SECOND)?;
        if !config.has_rule() && !window.has_rate() {
            return Err(ConfigError::NoTripRule);
        }
        Ok(Self::by(rules, window, (), (), clock))
    }
}

impl<C: Clock, W, M, O> CircuitBreaker<C, W, M, O> {
    constructor! {
        /// A closed breaker of all its parts: a window ([`Consecutive`] for none), a [`Meter`] and a
        /// [`Named`] observer (`()` for none), in a `static` too, where
        /// [`metered`](CircuitBreaker::metered) and [`observed_by`](CircuitBreaker::observed_by)
        /// cannot be called. An observer behind a pointer there is a
        /// `&'static (dyn Observer + Sync)`; see [`Named`].
        ///
        /// # Panics
        ///
        /// As [`with_window`](CircuitBreaker::with_window).
        ///
        /// # Examples
        ///
        /// ```
        /// # use fusebox_core::{Clock, Ticks};
        /// # struct Rtc;
        /// # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
        /// # struct Log;
        /// # impl fusebox_core::Observer for Log { fn on_event(&self, _: &fusebox_core::Event<'_>) {} }
        /// use fusebox_core::{BreakerConfig, CircuitBreaker, LastCalls, Meter, Named, Rates, Ratio};
        ///
        /// static SENSOR: CircuitBreaker<Rtc, LastCalls<Rtc>, Meter, Named<Log>> =
        ///     CircuitBreaker::with_parts(
        ///         BreakerConfig::standard(),
        ///         LastCalls::new(50, Rates::failures(Ratio::percent(40))),
        ///         Meter::new(),
        ///         Named::new("sensor", Log),
        ///         Rtc,
        ///     );
        /// # assert!(!SENSOR.is_open());
        /// ```
        #[must_use]
        #[track_caller]
        pub const fn with_parts(
            config: BreakerConfig,
            window: W,
            meter: M,
            observer: O,
            clock: C,
        ) -> Self {
            match Rules::new(&config, C::TICKS_PER_SECOND) {
                Ok(rules) => Self::by(rules, window, meter, observer, clock),
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        const fn by(rules: Rules, window: W, meter: M, observer: O, clock: C) -> Self {
            let word = AtomicWord::new(Snapshot::NEW.0);
            Self { word, rules, clock, window, meter, observer }
        }
    }
}

impl<C, W, O> CircuitBreaker<C, W, (), O> {
    /// The same breaker with a [`Meter`].
    #[must_use]
    pub fn metered<L>(self, meter: Meter<L>) -> CircuitBreaker<C, W, Meter<L>, O> {
        let Self { word, rules, clock, window, meter: (), observer } = self;
        CircuitBreaker { word, rules, clock, window, meter, observer }
    }
}

impl<C, W, M> CircuitBreaker<C, W, M> {
    /// The same breaker with an observer that is told of state changes and refusals under `name`.
    #[must_use]
    pub fn observed_by<O>(
        self,
        name: &'static str,
        observer: O,
    ) -> CircuitBreaker<C, W, M, Named<O>> {
        let Self { word, rules, clock, window, meter, observer: () } = self;
        let observer = Named { name, observer };
        CircuitBreaker { word, rules, clock, window, meter, observer }
    }
}

impl<C, W, M, O> CircuitBreaker<C, W, M, O> {
    #[inline]
    fn load(&self) -> Snapshot {
        // Acquire: pairs with the AcqRel of `swap`; see the module docs.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// In a loop only: it may fail for no reason.
    #[inline]
    fn swap(&self, old: Snapshot, new: Snapshot) -> bool {
        // Publishes what this call did before it to whoever sees the new word, and takes part in
        // the chain of those before. Pairs with the Acquire of `load`.
        swap(&self.word, old.0, new.0)
    }

    /// The state now. An open breaker whose open time is over is still open until a call comes.
    #[must_use]
    #[inline]
    pub fn state(&self) -> State {
        self.load().state()
    }

    /// The observer that it was made with.
    #[must_use]
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// Whether the state is open or forced open: for people and metrics.
    ///
    /// True also when the open time is over, until a call comes: whoever decides by it whether to
    /// call never sends the probe that would close the breaker. Ask with a [`call`](Gate::call) or
    /// a [`permit`](Gate::permit).
    #[must_use]
    #[inline]
    pub fn is_open(&self) -> bool {
        matches!(self.state(), State::Open | State::ForcedOpen)
    }
}

impl<C, W, M, O> CircuitBreaker<C, W, M, O>
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    /// Asks to be let in at `now`; [`Gate::enter`] reads the clock only where it must.
    ///
    /// # Errors
    ///
    /// As [`Gate::enter`].
    pub fn enter_at(&self, now: Ticks) -> Result<BreakerToken<W::Start, M::Start>, Rejection> {
        self.admit(Some(now))
    }

    /// Tells how a call ended at `now`; [`Gate::exit`] reads the clock only where it must.
    pub fn exit_at(&self, token: BreakerToken<W::Start, M::Start>, outcome: Outcome, now: Ticks) {
        self.settle(token, outcome, Some(now));
    }

    /// The breaker at this moment.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, ManualClock, State};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    /// breaker.permit().unwrap().failure();
    /// let now = breaker.snapshot();
    /// assert_eq!((now.state, now.counts.consecutive_failures), (State::Closed, 1));
    /// assert_eq!(now.running, None, "only a meter knows");
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.snapshot_by(|| self.clock.now())
    }

    /// The [`snapshot`](Self::snapshot) as of `now`.
    #[must_use]
    pub fn snapshot_at(&self, now: Ticks) -> BreakerSnapshot {
        self.snapshot_by(|| now)
    }

    fn snapshot_by(&self, now: impl Fn() -> Ticks) -> BreakerSnapshot {
        let word = self.load();
        let reading = self.meter.read(&now);
        let consecutive_failures = u64::from(word.failures());
        BreakerSnapshot {
            state: word.state(),
            generation: word.generation(),
            counts: self.counts_of(word, &now),
            totals: reading.totals.map(|totals| Counts { consecutive_failures, ..totals }),
            running: reading.running,
            since_last_failure: reading.since_failure,
            since_last_change: reading.since_change,
            latency: reading.latency,
            until_closed: self.until_closed(word, &now),
            until_half_open: self.until_half_open(word, now),
        }
    }

    /// The time left until a probe may be let in: zero once the open time is over, `None` unless
    /// open.
    #[must_use]
    pub fn time_until_half_open(&self) -> Option<Duration> {
        self.until_half_open(self.load(), || self.clock.now())
    }

    /// [`time_until_half_open`](Self::time_until_half_open) as of `now`.
    #[must_use]
    pub fn time_until_half_open_at(&self, now: Ticks) -> Option<Duration> {
        self.until_half_open(self.load(), || now)
    }

    fn until_half_open(&self, word: Snapshot, now: impl FnOnce() -> Ticks) -> Option<Duration> {
        if word.state() != State::Open {
            return None;
        }
        Some(duration_from_ticks(word.open_ticks(self.rules.room, now()), C::TICKS_PER_SECOND))
    }

    fn until_closed(&self, word: Snapshot, now: impl FnOnce() -> Ticks) -> Option<Duration> {
        let ramp = self.window.ramp().filter(|_| word.is(State::RampingUp))?;
        Some(duration_from_ticks(word.ramp_ticks(ramp, now()), C::TICKS_PER_SECOND))
    }

    /// Waits until a call may be let in: at once unless open or busy, otherwise until the open time
    /// is over or a probe has come back.
    ///
    /// Nothing is reserved: many that waited come back together, and all but the probes are refused
    /// again. While all probes are out it looks again after a sixteenth of the open time, as
    /// nothing tells it when they come back.
    ///
    /// # Errors
    ///
    /// [`Reason::CircuitOpen`](crate::Reason::CircuitOpen) without a time where the breaker is
    /// forced open: nobody knows for how long.
    ///
    /// # Cancellation
    ///
    /// It holds nothing. **Cancel safety:** Strict.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BreakerConfig, CircuitBreaker, ManualClock};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    /// assert!(breaker.until_ready(&clock).await.is_ok());
    /// breaker.force_open();
    /// assert!(breaker.until_ready(&clock).await.is_err());
    /// # });
    /// ```
    pub fn until_ready<T: Timer>(&self, timer: T) -> UntilReady<'_, C, W, M, O, T> {
        UntilReady::new(self, timer)
    }

    /// Opens now, as if a rule had tripped, or while half-open as if a probe had failed. Does
    /// nothing where it is open already, or in a state that was set by hand.
    pub fn trip(&self) {
        self.trip_at(self.clock.now());
    }

    /// [`trip`](Self::trip) as of `now`.
    pub fn trip_at(&self, now: Ticks) {
        let tripped = |old: Snapshot| {
            let can = matches!(old.state(), State::Closed | State::HalfOpen | State::RampingUp);
            can.then(|| old.transition_trip(&self.rules, self.rules.room.reading(now)))
        };
        self.replace(tripped, || now);
    }

    /// Refuses every call until [`reset`](Self::reset) or another state is set.
    pub fn force_open(&self) {
        self.set(State::ForcedOpen, || self.clock.now());
    }

    /// [`force_open`](Self::force_open) as of `now`.
    pub fn force_open_at(&self, now: Ticks) {
        self.set(State::ForcedOpen, || now);
    }

    /// Lets every call in and counts none (but a meter goes on counting and limiting), until
    /// [`reset`](Self::reset) or another state is set.
    pub fn disable(&self) {
        self.set(State::Disabled, || self.clock.now());
    }

    /// [`disable`](Self::disable) as of `now`.
    pub fn disable_at(&self, now: Ticks) {
        self.set(State::Disabled, || now);
    }

    /// Lets every call in and counts them, but never trips, until [`reset`](Self::reset) or another
    /// state is set.
    pub fn metrics_only(&self) {
        self.set(State::MetricsOnly, || self.clock.now());
    }

    /// [`metrics_only`](Self::metrics_only) as of `now`.
    pub fn metrics_only_at(&self, now: Ticks) {
        self.set(State::MetricsOnly, || now);
    }

    /// Closes and forgets what was counted, whatever the state; results of calls that are still
    /// running are dropped. The totals of a meter go on.
    pub fn reset(&self) {
        self.replace(|old| Some(old.transition_reset()), || self.clock.now());
    }

    /// [`reset`](Self::reset) as of `now`.
    pub fn reset_at(&self, now: Ticks) {
        self.replace(|old| Some(old.transition_reset()), || now);
    }

    fn set(&self, state: State, now: impl Fn() -> Ticks) {
        self.replace(|old| old.transition_to(state), now);
    }

    /// Commits the transition that `next` says, if it says one.
    fn replace(&self, next: impl Fn(Snapshot) -> Option<Snapshot>, now: impl Fn() -> Ticks) {
        loop {
            let old = self.load();
            let Some(new) = next(old) else { return };
            if self.swap(old, new) {
                return self.changed(old, new, &now);
            }
        }
    }
}

impl<C, W, M, O> Gate for CircuitBreaker<C, W, M, O>
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    type Token = BreakerToken<W::Start, M::Start>;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        self.admit(None)
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        self.settle(token, outcome, None);
    }
}

impl<C, W, M, O> fmt::Debug for CircuitBreaker<C, W, M, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CircuitBreaker");
        self.load().show(&mut out);
        out.finish_non_exhaustive()
    }
}

const _: () = assert!(size_of::<Snapshot>() == size_of::<Word>());
