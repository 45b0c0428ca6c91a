//! Shared primitives, used by many contexts at once.
//!
//! A [`Storm`] holds one of every primitive that has shared state. Each context that uses it (a
//! thread, a hart, a task, an interrupt) has a [`Worker`] of its own and calls [`Worker::step`] as
//! often as it likes. A step makes one use of one of the primitives, chosen at random, and notes in
//! the worker what it was granted. When all contexts are done, [`Storm::verify`] compares what the
//! workers have noted with what the primitives say, and with what they promise. An asynchronous
//! task calls [`Worker::call`] as well, which goes through a whole pipeline.
//!
//! ```
//! use fusebox_core::Clock;
//! use fusebox_std::StdClock;
//! use fusebox_suite::storm::{Storm, Worker};
//!
//! static STORM: Storm<StdClock> = Storm::new(StdClock);
//! static WORKERS: [Worker; 2] = [Worker::new(1), Worker::new(2)];
//!
//! let began = StdClock.now();
//! std::thread::scope(|scope| {
//!     for worker in &WORKERS {
//!         scope.spawn(|| (0..1_000).for_each(|_| worker.step(&STORM)));
//!     }
//! });
//! STORM.verify(&WORKERS, began, |name, result| {
//!     assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
//! });
//! println!("{}", STORM.totals(&WORKERS));
//! ```
//!
//! # What must hold
//!
//! * Of the bucket: granted is at most the burst and what has come in since, at its rate. The storm
//!   asks for more than that, so that a single token too many shows. A second bucket, the *ledger*,
//!   is asked at one and the same time, for ever: nothing comes in, and every token that is out and
//!   every token that is left add up to its burst.
//! * Of the breakers: never more probes at once than allowed, which the storm counts by itself from
//!   when one was let in until it is about to report; each change of state begins where the one
//!   before has led to; and what their meters count is what the workers have seen.
//! * Of the semaphores: never more permits out than there are, all of them back in the end, nobody
//!   left in the queue; and one permit excludes, so that a counter may be changed by a load and a
//!   store under it.
//! * Of the budget: its balance is what was put in less what was taken out, to the unit.
//! * Nothing is wedged: each primitive still does what it is for.
//!
//! # Contention
//!
//! All of this could hold because the contexts never met. So each step counts itself in a word that
//! all of them share, by a compare-and-swap loop as the primitives have it, and notes how often
//! that had to be repeated, and whether another step began before this one was over
//! ([`Totals::retries`], [`Totals::interleaved`]). Go on until these are what the platform should
//! give: thousands of steps that were not alone, and of contexts that run at the same time, some
//! hundred retries.
//!
//! # Interrupt safety
//!
//! A step may preempt another one at any instruction, as long as each context has its own worker.
//!
//! # Synchronization
//!
//! Whoever verifies comes after the steps of all workers: it has joined the threads, been told by
//! the harts through a Release store, or masked the interrupt. A worker is written by one context
//! alone, so that its tallies need no compare-and-swap and cannot lose anything themselves.

mod call;
mod changes;
mod gauge;
mod parts;
mod tally;
mod verify;
mod watched;
mod worker;

use core::fmt;
use core::time::Duration;

use fusebox_core::{
    BreakerConfig, BucketConfig, BudgetConfig, CircuitBreaker, Clock, Consecutive, LastCalls,
    Meter, Queue, Rates, Ratio, RetryBudget, Semaphore, Ticks, TokenBucket, WORD_BITS,
};
use portable_atomic::AtomicU32;

pub use gauge::Gauge;
pub use verify::Totals;
pub use worker::Worker;

use changes::Changes;
use gauge::Probes;

/// The primitives that a storm is about. `C` is the clock of all of them.
///
/// With `LOSES` it has a mistake in it: the counter that a semaphore guards is changed without it.
/// [`verify`](Self::verify) must report that; where it does not, the contexts did not really
/// interrupt each other, and the storm proves nothing.
pub struct Storm<C, const LOSES: bool = false> {
    shared: Shared<C>,
}

type Breaker<C, W> = CircuitBreaker<C, W, Meter, Changes>;

/// The same, with the mistake known only at run time: a program with both has one copy of the code.
struct Shared<C> {
    loses: bool,
    clock: C,
    /// How many steps were made.
    turns: AtomicU32,

    breaker: Breaker<C, Consecutive>,
    probes: Probes,
    windowed: Breaker<C, LastCalls<C, 4>>,
    windowed_probes: Probes,
    /// Says when a worker may change by hand what is not changed by calls.
    chores: TokenBucket<C>,

    bucket: TokenBucket<C>,
    ledger: TokenBucket<C>,
    tokens_out: Gauge,

    permits: Semaphore<Queue<PLACES>>,
    permits_out: Gauge,
    /// Excludes, so that the guarded counter can be changed by a load and a store.
    single: Semaphore<Queue<PLACES>>,
    guarded: AtomicU32,

    budget: RetryBudget<C>,
}

/// Tokens per second of the bucket: few enough for the storm to ask for more.
const RATE: u32 = 1_000;
const BURST: u32 = 16;
/// How far ahead its tokens may be reserved.
const AHEAD: Duration = Duration::from_millis(10);
/// The tokens of the ledger, and when it is asked.
const LEDGER: u32 = 8;
const AT: Ticks = Ticks(1 << 20);

const MAX_PROBES: u32 = 2;
const PROBES_TO_CLOSE: u32 = 3;
/// How long the breakers are open.
///
/// Where words are 32 bits wide a call must not take 64 transitions, as the breaker would then take
/// it for one of the present generation: a thread may lose its CPU in a call for as long as those
/// take at this.
const OPEN_FOR: Duration =
    if WORD_BITS == 32 { Duration::from_millis(10) } else { Duration::from_micros(200) };
/// Changes by hand per second; few, for the same reason.
const CHORES: u32 = 50;
const WINDOW: u32 = 16;

const PERMITS: u32 = 3;
/// Places to wait for them: fewer than there may be contexts.
const PLACES: usize = 2;

/// The most workers.
const WORKERS: u32 = 16;
/// How many units a worker may put into the budget that it has not taken out.
const CREDIT: i32 = 20;
/// The budget's reserve in retries, of 2 units each: more than all workers may put in together,
/// each of them one deposit beyond its credit.
const RESERVE: u32 = 200;
const _: () = assert!(WORKERS * (CREDIT as u32 + 1) < RESERVE * 2);

const BREAKER: BreakerConfig = BreakerConfig::standard()
    .consecutive_failures(3)
    .open_for(OPEN_FOR)
    .max_probes(MAX_PROBES)
    .success_threshold(PROBES_TO_CLOSE)
    .half_open_timeout(Duration::from_secs(20))
    .max_lateness(Duration::from_millis(20));

impl<C: Clock + Copy, const LOSES: bool> Storm<C, LOSES> {
    /// A storm in the time of `clock`, which all contexts can read.
    #[must_use]
    pub const fn new(clock: C) -> Self {
        Self { shared: Shared::new(LOSES, clock) }
    }
}

impl<C: Clock + Copy> Shared<C> {
    const fn new(loses: bool, clock: C) -> Self {
        let rates = Rates::failures(Ratio::percent(50)).minimum_calls(8);
        let limits = BucketConfig::per_second(RATE).burst(BURST).max_wait(AHEAD);
        // At one time for ever no reading is late.
        let ledger = BucketConfig::per_second(RATE)
            .burst(LEDGER)
            .max_wait(Duration::ZERO)
            .max_lateness(Duration::ZERO);
        let budget = BudgetConfig::new(Ratio::percent(50)).floor_per_second(0).reserve(RESERVE);
        Self {
            loses,
            clock,
            turns: AtomicU32::new(0),
            breaker: CircuitBreaker::with_parts(
                BREAKER,
                Consecutive,
                Meter::new(),
                Changes::new(),
                clock,
            ),
            probes: Probes::new(),
            windowed: CircuitBreaker::with_parts(
                BREAKER,
                LastCalls::new(WINDOW, rates),
                Meter::new(),
                Changes::new(),
                clock,
            ),
            windowed_probes: Probes::new(),
            chores: TokenBucket::new(BucketConfig::per_second(CHORES).burst(1), clock),
            bucket: TokenBucket::new(limits, clock),
            ledger: TokenBucket::new(ledger, clock),
            tokens_out: Gauge::new(),
            permits: Semaphore::new(PERMITS),
            permits_out: Gauge::new(),
            single: Semaphore::new(1),
            guarded: AtomicU32::new(0),
            budget: RetryBudget::new(budget, clock),
        }
    }
}

impl<C, const LOSES: bool> fmt::Debug for Storm<C, LOSES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storm").field("turns", &self.shared.turns).finish_non_exhaustive()
    }
}
