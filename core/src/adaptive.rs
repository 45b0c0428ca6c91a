//! Adaptive limits: as much at once as the service can take, found out by trying.
//!
//! **Background.** How many calls a service can work on at once is not known: it differs from
//! machine to machine, and changes with each deployment, neighbour and query. A limit that is too
//! low wastes the service; one that is too high fills its queues, which serves nobody better and
//! everybody later. By Little's law what is useful in flight is throughput times latency without
//! queueing, and TCP has found just that number for its packets for decades, from what ends and how
//! long it took.
//!
//! **Solution.** The limit and what is in flight share a word (`inflight.rs`), so that entering and
//! leaving are a compare-and-swap each. Calls that end add their latency to the word of the present
//! window, or to the count of drops (`adaptive/window.rs`). Once a window is over, one of the calls
//! that end turns it into the next limit, by one of four published rules (`adaptive/algorithm.rs`
//! and beside it), in integers.
//!
//! **Why windows.** A rule that changes the limit with each call, as Netflix's do by themselves,
//! has every call pay for it, needs a lock around all that it remembers, and reacts to single
//! latencies, which say little. With a window, what is remembered has one writer at a time, and
//! needs no more than words that are handed from one to the next.
//!
//! **Drift.** The latency without load is measured again and again, with less load; why it must be
//! and how that ends the known runaway is told in `adaptive/algorithm.rs`.
//!
//! # Synchronization
//!
//! * Who folds a window has claimed it: a compare-and-swap of the whole word of the phase, which
//!   says when the window began, so the window that was seen to be over is folded once. Nobody
//!   waits for the claim: whoever finds it taken, an interrupt in the middle of a fold too, goes
//!   on, and its sample is in this window or the next.
//! * The claim is Acquire and its end Release: the words of the memory are handed from one fold to
//!   the next, and need no ordering of their own.
//! * The samples of a window are in one word, taken by one swap: each sample is in a window as a
//!   whole, and in one window only. Drops are in another: a call adds to one of the two.
//! * A call that ends looks at the phase, and adds its sample then. Should the window be folded in
//!   between, the sample counts in the next one, which it can move no more than any other one can.
//! * The estimate of a percentile is changed by every call with a compare-and-swap, and only begun
//!   afresh by a fold.

mod aimd;
mod algorithm;
mod config;
mod envoy;
mod gradient2;
mod latency;
mod vegas;
mod window;

use core::fmt;
use core::time::Duration;

pub use aimd::Aimd;
pub use algorithm::{LimitAlgorithm, MeasuresLatency};
pub use config::LimitConfig;
pub use envoy::EnvoyGradient;
pub use gradient2::Gradient2;
pub use vegas::Vegas;

use crate::error::{ConfigError, Reason, Rejection};
use crate::gate::{Gate, Idle, Outcome};
use crate::inflight::{InFlight, Share};
use crate::on_drop::OnDrop;
use crate::priority::{AtPriority, Priority, Shares};
use crate::shedder::Load;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::scale::Scale;
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::word::Word;
use algorithm::{Memory, Over, Plan, Rules, latency_of, transition_percentile};
use config::Resolved;
use latency::Latency;
use window::{Judged, Phase, Spans, Stage, Window};

/// A limit of calls in flight that adapts itself, by the algorithm `A`, in the time of the clock
/// `C`.
///
/// As a [`Gate`] it lets calls in while less than its limit is in flight, and refuses the others at
/// once with [`Reason::Overloaded`]. [`at`](Self::at) is a gate for calls of one [`Priority`], as
/// with a [`LoadShedder`](crate::LoadShedder); calls without a priority may use the whole limit.
///
/// A success counts with its latency, and as dropped where it took longer than
/// [`max_latency`](LimitConfig::max_latency). A failure counts as dropped: where some of them say
/// nothing about load, tell them apart, with [`FailureIf`](crate::FailureIf) for example. What was
/// ignored, abandoned or refused gives its place back and says nothing.
///
/// Which algorithm? [`Gradient2`] and [`Vegas`] where this limit sees all or most of the service's
/// load, as at its own door: they keep latency low. [`EnvoyGradient`] there where latencies vary
/// widely. [`Aimd`] where it sees a part of it only, as one client among many: it needs no measure
/// of what only an idle service would show. The example `adaptive` of `fusebox-std` shows how they
/// compare.
///
/// # Examples
///
/// A server that takes on as much as it can do:
///
/// ```
/// use fusebox_core::{AdaptiveLimit, Clock, Error, Gate, Gradient2, LimitConfig, Priority, Ticks};
///
/// #[derive(Debug)]
/// struct Uptime;
/// # fn nanoseconds() -> u64 { 5 }
///
/// impl Clock for Uptime {
///     const TICKS_PER_SECOND: u64 = 1_000_000_000;
///     fn now(&self) -> Ticks {
///         Ticks(nanoseconds())
///     }
/// }
///
/// static REQUESTS: AdaptiveLimit<Uptime, Gradient2> =
///     AdaptiveLimit::new(LimitConfig::gradient2().max(1000), Uptime);
///
/// fn handle(paying: bool) -> u16 {
///     let priority = if paying { Priority::High } else { Priority::Normal };
///     match REQUESTS.at(priority).call(|| Ok::<u16, u16>(200)) {
///         Ok(status) | Err(Error::Inner(status)) => status,
///         Err(_) => 503,
///     }
/// }
/// assert_eq!(handle(true), 200);
/// ```
///
/// The limit follows what calls tell:
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{AdaptiveLimit, Gate, LimitConfig, ManualClock};
///
/// let clock: ManualClock = ManualClock::new();
/// let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(10), &clock);
/// let batch = |succeeds: bool| {
///     let calls: Vec<_> = (0..limit.limit()).map(|_| limit.permit().unwrap()).collect();
///     clock.advance(Duration::from_millis(50));
///     for call in calls {
///         if succeeds { call.success() } else { call.failure() }
///     }
/// };
/// // Two batches are a window of 100 ms.
/// (0..20).for_each(|_| batch(true));
/// assert_eq!(limit.limit(), 20);
/// batch(false);
/// batch(false);
/// assert_eq!(limit.limit(), 18);
/// ```
///
/// # Interrupt safety
///
/// Lock-free: entering is one compare-and-swap, leaving two and for an [`EnvoyGradient`] three.
/// Whoever ends a window computes the next limit, in a few hundred instructions; a context that
/// interrupts it does not wait for it.
///
/// # Memory ordering
///
/// What a call did before it left happens before what the next one does in its place.
pub struct AdaptiveLimit<C, A> {
    load: InFlight,
    window: AtomicWord,
    drops: AtomicWord,
    phase: AtomicWord,
    memory: MemoryWords,
    rules: Rules<A>,
    spans: Spans,
    shares: Shares,
    latency: Scale,
    /// The least latency that is too long, in units.
    longest: u32,
    clock: C,
}

/// Seven words, and as much of configuration; the clock comes on top.
#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = {
    assert!(size_of::<AdaptiveLimit<(), Aimd>>() <= 120);
    assert!(size_of::<AdaptiveLimit<(), Vegas>>() <= 120);
    assert!(size_of::<AdaptiveLimit<(), Gradient2>>() <= 120);
    assert!(size_of::<AdaptiveLimit<(), EnvoyGradient>>() <= 120);
};

/// The atomic form of [`Memory`].
struct MemoryWords {
    base: AtomicWord,
    own: AtomicWord,
    plan: AtomicWord,
}

impl<C: Clock, A: LimitAlgorithm> AdaptiveLimit<C, A> {
    constructor! {
        /// A limit with nothing in flight.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) has an error; in a `static`, that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: LimitConfig<A>, clock: C) -> Self {
            match config.resolve(C::TICKS_PER_SECOND) {
                Ok(resolved) => Self::resolved(resolved, clock),
                Err(error) => error.fail(),
            }
        }
    }

    /// [`new`](Self::new) for settings that are known only at run time.
    ///
    /// # Errors
    ///
    /// A setting that is outside of what it may be; see [`LimitConfig`].
    pub fn try_new(config: LimitConfig<A>, clock: C) -> Result<Self, ConfigError> {
        config.resolve(C::TICKS_PER_SECOND).map(|resolved| Self::resolved(resolved, clock))
    }

    constructor! {
        const fn resolved(resolved: Resolved<A>, clock: C) -> Self {
            let Memory { base, own, plan } = resolved.memory;
            Self {
                load: InFlight::new(resolved.initial),
                window: AtomicWord::new(Window::EMPTY.word()),
                drops: AtomicWord::new(0),
                phase: AtomicWord::new(Phase::UNSTARTED.word()),
                memory: MemoryWords {
                    base: AtomicWord::new(base.0 as Word),
                    own: AtomicWord::new(own.0 as Word),
                    plan: AtomicWord::new(plan.word()),
                },
                rules: resolved.rules,
                spans: resolved.spans,
                shares: resolved.shares,
                latency: resolved.latency,
                longest: resolved.longest,
                clock,
            }
        }
    }

    /// A gate for calls of this priority.
    #[inline]
    #[must_use]
    pub const fn at(&self, priority: Priority) -> AtPriority<'_, Self> {
        AtPriority { gate: self, priority }
    }

    /// The most calls at once, at present.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.load.load().limit().calls()
    }

    /// How many calls are running: more than the limit, where that has shrunk.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.load.load().in_flight()
    }

    /// All figures, for metrics and tests.
    pub fn snapshot(&self) -> AdaptiveSnapshot {
        // Relaxed: figures that are each right, taken one after the other.
        let base = latency_of(self.memory.base.load(Ordering::Relaxed));
        let duration =
            |base: Latency| duration_from_ticks(base.ticks(self.latency), C::TICKS_PER_SECOND);
        AdaptiveSnapshot {
            load: Load::new(self.load.load()),
            base_latency: if base.is_known() { Some(duration(base)) } else { None },
            probing: self.phase().is_probing(),
        }
    }

    /// The clock it goes by.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// [`enter`](Gate::enter) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`Reason::Overloaded`]. When to come back is not known.
    #[inline]
    pub fn enter_at(&self, now: Ticks) -> Result<Ticks, Rejection> {
        self.admit(Share::WHOLE, || now)
    }

    /// [`exit`](Gate::exit) at a time of the caller's choice.
    #[inline]
    pub fn exit_at(&self, entered: Ticks, outcome: Outcome, now: Ticks) {
        self.leave(entered, outcome, || now);
    }

    /// Gives the place back before anything else, should the clock panic.
    #[inline]
    fn leave(&self, entered: Ticks, outcome: Outcome, now: impl FnOnce() -> Ticks) {
        let busy = self.load.leave().is_half_used();
        let (now, latency) = match outcome {
            Outcome::Success => {
                let now = now();
                (now, self.sample(now.saturating_since(entered)))
            }
            Outcome::Failure => (now(), None),
            // What says nothing needs no time.
            Outcome::Ignored | Outcome::Abandoned | Outcome::Refused => return,
        };
        self.ended(entered, latency, busy, now);
    }

    #[inline]
    fn admit(&self, share: Share, now: impl FnOnce() -> Ticks) -> Result<Ticks, Rejection> {
        if !self.load.enter(share) {
            return Err(Rejection::new(Reason::Overloaded));
        }
        // Given back should the clock panic.
        let lost = OnDrop(|| {
            let _ = self.load.leave();
        });
        let now = now();
        core::mem::forget(lost);
        Ok(now)
    }

    /// A latency in units; `None` where it is too long.
    #[inline]
    fn sample(&self, ticks: u64) -> Option<Word> {
        // At least one unit: nothing takes no time, and nothing divides by it.
        let units = self.latency.units_up(ticks).max(1);
        if units < Word::from(self.longest) { Some(units) } else { None }
    }

    #[inline]
    fn phase(&self) -> Phase {
        // Relaxed: what a fold has left is read by the next fold only, which acquires it.
        Phase::new(self.phase.load(Ordering::Relaxed))
    }

    /// A call has ended that says something: with a latency, or dropped.
    fn ended(&self, entered: Ticks, latency: Option<Word>, busy: bool, now: Ticks) {
        let mut phase = self.phase();
        if phase.stage() == Stage::Unstarted {
            phase = self.start(entered);
        }
        if phase.is_after(&self.spans, entered, now) {
            return;
        }
        let judged = match latency {
            Some(units) => self.add(units, busy),
            None => self.add_drop(),
        };
        let dropped = judged.is_dropped(self.rules.drops);
        if !phase.is_folding() && phase.is_over(&self.spans, judged, dropped, now) {
            self.fold(phase, now);
        }
    }

    /// The first call that ends begins the first window.
    #[cold]
    fn start(&self, began: Ticks) -> Phase {
        let started = Phase::begun(&self.spans, self.rules.first_stage(), began);
        // Relaxed, both: publishes nothing; on failure, another call has begun it.
        let swap = self.phase.compare_exchange(
            Phase::UNSTARTED.word(),
            started.word(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        match swap {
            Ok(_) => started,
            Err(current) => Phase::new(current),
        }
    }

    /// Adds a latency to the window, unless that is full, and returns what is in it.
    fn add(&self, units: Word, busy: bool) -> Judged {
        // Relaxed, both: the sum publishes nothing. Lock-free: a failed swap is another's progress.
        let more = |word| Window::new(word).transition_sample(units, busy).map(Window::word);
        let update = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let window = match update {
            Ok(old) => Window::new(more(old).unwrap_or(old)),
            Err(full) => return self.judged(Window::new(full)),
        };
        if let Some(percentile) = self.rules.algorithm.percentile() {
            let latency = Latency::of(crate::word::widen(units));
            let n = window.count();
            let step = |word| {
                Some(transition_percentile(latency_of(word), latency, percentile, n).0 as Word)
            };
            // Relaxed, both: the estimate publishes nothing.
            let _ = self.memory.own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        }
        self.judged(window)
    }

    /// Counts a drop, unless the window is full, and returns what is in it.
    fn add_drop(&self) -> Judged {
        // Relaxed: samples and drops are independent counts.
        let window = Window::new(self.window.load(Ordering::Relaxed));
        if window.is_full() {
            return self.judged(window);
        }
        // Relaxed: a counter publishes nothing.
        let drops = self.drops.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Judged { window, drops }
    }

    /// `window` with the drops beside it.
    fn judged(&self, window: Window) -> Judged {
        // Relaxed: how many there are decides when the window is over, and a few more or less are
        // no matter.
        Judged { window, drops: self.drops.load(Ordering::Relaxed) }
    }

    /// Turns the window into the next limit, unless somebody else does.
    #[cold]
    fn fold(&self, seen: Phase, now: Ticks) {
        // Acquire: the memory that the last fold left; pairs with the Release below. Relaxed on
        // failure: somebody else has folded this window, or is about to.
        let claim = self.phase.compare_exchange(
            seen.word(),
            seen.transition_claim().word(),
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if claim.is_err() {
            return;
        }
        // Relaxed, all: the claim keeps others away from the memory, and orders it; the samples
        // are words of their own.
        let judged = Judged {
            window: Window::new(self.window.swap(Window::EMPTY.word(), Ordering::Relaxed)),
            drops: self.drops.swap(0, Ordering::Relaxed),
        };
        let memory = Memory {
            base: latency_of(self.memory.base.load(Ordering::Relaxed)),
            own: latency_of(self.memory.own.load(Ordering::Relaxed)),
            plan: Plan::from_word(self.memory.plan.load(Ordering::Relaxed)),
        };
        let limit = self.load.load().limit();
        let over = Over { stage: seen.stage(), now, windows: seen.windows(&self.spans, now) };
        let next = self.rules.fold(memory, limit, judged, over);
        self.memory.base.store(next.memory.base.0 as Word, Ordering::Relaxed);
        self.memory.plan.store(next.memory.plan.word(), Ordering::Relaxed);
        // An estimate that is going on belongs to the calls.
        if next.memory.own != memory.own {
            self.memory.own.store(next.memory.own.0 as Word, Ordering::Relaxed);
        }
        self.load.set_limit(next.limit);
        let phase = Phase::begun(&self.spans, next.stage, now);
        // A store will do: nobody else changes the phase while it is claimed. Release: hands the
        // memory to the next fold; pairs with the Acquire above.
        self.phase.store(phase.word(), Ordering::Release);
    }
}

/// Idle as long as it has learnt nothing; stale when nothing is in flight.
impl<C: Clock, A: LimitAlgorithm> Idle for AdaptiveLimit<C, A> {
    fn is_idle(&self) -> bool {
        self.is_stale() && self.phase().word() == Phase::UNSTARTED.word()
    }

    fn is_stale(&self) -> bool {
        self.in_flight() == 0
    }
}

impl<C: Clock, A: LimitAlgorithm> Gate for AdaptiveLimit<C, A> {
    /// When the call began.
    type Token = Ticks;

    #[inline]
    fn enter(&self) -> Result<Ticks, Rejection> {
        self.admit(Share::WHOLE, || self.clock.now())
    }

    #[inline]
    fn exit(&self, entered: Ticks, outcome: Outcome) {
        self.leave(entered, outcome, || self.clock.now());
    }
}

impl<C: Clock, A: LimitAlgorithm> Gate for AtPriority<'_, AdaptiveLimit<C, A>> {
    type Token = Ticks;

    #[inline]
    fn enter(&self) -> Result<Ticks, Rejection> {
        self.gate.admit(self.gate.shares.of(self.priority), || self.gate.clock.now())
    }

    #[inline]
    fn exit(&self, entered: Ticks, outcome: Outcome) {
        self.gate.exit(entered, outcome);
    }
}

impl<C: Clock, A: LimitAlgorithm> fmt::Debug for AdaptiveLimit<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AdaptiveSnapshot { load, base_latency, probing } = self.snapshot();
        f.debug_struct("AdaptiveLimit")
            .field("limit", &load.limit())
            .field("in_flight", &load.in_flight())
            .field("base_latency", &base_latency)
            .field("probing", &probing)
            .finish_non_exhaustive()
    }
}

/// What an [`AdaptiveLimit`] was at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct AdaptiveSnapshot {
    load: Load,
    base_latency: Option<Duration>,
    probing: bool,
}

impl AdaptiveSnapshot {
    /// The most calls at once; while the latency without load is measured, the reduced limit.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.load.limit()
    }

    /// How many calls were running: more than the limit, where that has shrunk.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// The latency without load, as it was measured last; `None` before the first time, and for
    /// [`Aimd`], which does not need it.
    #[must_use]
    pub const fn base_latency(&self) -> Option<Duration> {
        self.base_latency
    }

    /// Whether the latency without load was being measured, for which the limit is reduced.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.probing
    }
}
