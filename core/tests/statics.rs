//! Every primitive fits in a `static` without a cell, lazy or otherwise, and is small.
//!
//! That a bad configuration there does not compile is checked by `core/src/bad_statics.rs`.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use fusebox_core::*;

/// The most bytes of one instance, its configuration and a reference to its clock included.
/// Windows, meters, observers and the places of a queue are parts that come on top.
const AT_MOST: usize = 100;

static CLOCK: ManualClock = ManualClock::new();
static RAMPING: CircuitBreaker<&ManualClock, RampUp<&ManualClock>> = CircuitBreaker::with_window(
    BreakerConfig::standard(),
    RampUp::new(Ramp::linear(Ratio::percent(10), Duration::from_secs(60))),
    &CLOCK,
);
static BREAKER: CircuitBreaker<&ManualClock> =
    CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
static BUDGET: RetryBudget<&ManualClock> =
    RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), &CLOCK);
static BUCKET: TokenBucket<&ManualClock> =
    TokenBucket::new(BucketConfig::per_second(100).burst(10), &CLOCK);
static SHARED: SharedBucket<&ManualClock> = SharedBucket::new(BucketConfig::per_day(9), &CLOCK);
static STATES: [BucketState; 9] = [const { BucketState::new() }; 9];
static SKETCH: BucketSketch<&ManualClock, [SketchColumn; 32]> =
    BucketSketch::new(BucketConfig::per_day(9), &CLOCK, [const { SketchColumn::new() }; 32]);
static LOG: SlidingLog<4, &ManualClock> = SlidingLog::new(SlidingLogConfig::per_second(), &CLOCK);
static COUNTER: SlidingWindowCounter<&ManualClock> =
    SlidingWindowCounter::new(SlidingWindowConfig::per_second(100), &CLOCK);
static WARM_UP: WarmUp<&ManualClock> =
    WarmUp::new(WarmUpConfig::new(Rate::per_second(10), Duration::from_secs(10)), &CLOCK);
static SEMAPHORE: Semaphore<Queue<4>> = Semaphore::new(2);
static SHADOW: Shadow<&Bulkhead> = Shadow::new(&BULKHEAD);
static SWITCH: Switch = Switch::new();
static SWITCHES: Switches = Switches::new();
static BULKHEAD: Bulkhead = Bulkhead::new(BulkheadConfig::new(64));
static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(64));
static CODEL: CoDel<&ManualClock> = CoDel::new(CoDelConfig::new(), &CLOCK);
static QUEUE: CoDelQueue<'static, &ManualClock, &Bulkhead> = CODEL.queue(&BULKHEAD);
static THROTTLE: AdaptiveThrottle<&ManualClock, Rng> =
    AdaptiveThrottle::new(ThrottleConfig::new(), &CLOCK, Rng::from_seed(1));
static AIMD: AdaptiveLimit<&ManualClock, Aimd> = AdaptiveLimit::new(LimitConfig::aimd(), &CLOCK);
static VEGAS: AdaptiveLimit<&ManualClock, Vegas> = AdaptiveLimit::new(LimitConfig::vegas(), &CLOCK);
static GRADIENT: AdaptiveLimit<&ManualClock, Gradient2> =
    AdaptiveLimit::new(LimitConfig::gradient2(), &CLOCK);
static ENVOY: AdaptiveLimit<&ManualClock, EnvoyGradient> =
    AdaptiveLimit::new(LimitConfig::envoy_gradient(), &CLOCK);
static TIMER: Extended<Timer> = Extended::new(Timer);
static ON_TIMER: TokenBucket<&Extended<Timer>> =
    TokenBucket::new(BucketConfig::per_second(100), &TIMER);
static LATENCIES: Histogram<&ManualClock> = Histogram::new(HistogramConfig::standard());
static LAST_MINUTE: WindowedHistogram<&ManualClock> =
    WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &CLOCK);
static METERED: CircuitBreaker<&ManualClock, Consecutive, Meter<&WindowedHistogram<&ManualClock>>> =
    CircuitBreaker::with_parts(
        BreakerConfig::standard(),
        Consecutive,
        Meter::new().latencies(&LAST_MINUTE),
        (),
        &CLOCK,
    );
static CALLS: PipelineMeter<&ManualClock, &Histogram<&ManualClock>> =
    PipelineMeter::with_latencies(&LATENCIES, &CLOCK);

static SLOW: AfterPercentile<&ManualClock> = AfterPercentile::new(
    PercentileConfig::new(Ratio::percent(95), Duration::from_millis(50)),
    WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &CLOCK),
);
static HEDGE: Hedge<3, &AfterPercentile<&ManualClock>, RetryAll, &RetryBudget<&ManualClock>> =
    Hedge::idempotent(&SLOW).max_attempts::<3>().budget(&BUDGET);

/// A hardware counter.
struct Timer;

impl Counter for Timer {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn read(&self) -> u32 {
        7
    }
}

#[test]
fn statics_work() {
    let limits = (&BUCKET, &LOG, &COUNTER, &WARM_UP);
    let gates = (&SWITCH, SWITCHES.at::<0>(), &SHADOW, &SEMAPHORE, &limits, &BREAKER, &RAMPING);
    assert_eq!(gates.call(|| Ok::<_, ()>(7)), Ok(7));
    let high = Priority::High;
    let gates = (SHEDDER.at(high), CODEL.since(CLOCK.now()), &QUEUE, &THROTTLE, GRADIENT.at(high));
    assert_eq!(gates.call(|| Ok::<_, ()>(7)), Ok(7));
    assert_eq!((&AIMD, &VEGAS, &ENVOY).call(|| Ok::<_, ()>(7)), Ok(7));
    assert!(STATES.iter().all(|state| SHARED.try_acquire(state, 1).is_ok()));
    assert!(SKETCH.of(7, 1).call(|| Ok::<_, ()>(7)).is_ok());
    assert_eq!(ON_TIMER.call(|| Ok::<_, ()>(TIMER.now())), Ok(Ticks(7)));
    let pipeline = Pipeline::new(&CLOCK).per_attempt(&METERED).metered(&CALLS);
    assert_eq!(pollster::block_on(pipeline.call(|_| async { Ok::<_, ()>(7) })), Ok(7));
    let hedged = HEDGE.call(&CLOCK, |_| async { Ok::<_, ()>(7) });
    assert_eq!(pollster::block_on(hedged), Ok(7));
    assert_eq!(SLOW.latencies().snapshot().count(), 1);
    assert_eq!((LATENCIES.snapshot().count(), LAST_MINUTE.snapshot().count()), (1, 1));
}

#[test]
fn instances_are_small() {
    assert!(size_of_val(&BREAKER) < AT_MOST, "{}", size_of_val(&BREAKER));
    assert!(size_of_val(&RAMPING) < size_of_val(&BREAKER) + 40, "{}", size_of_val(&RAMPING));
    assert!(size_of_val(&BUCKET) < AT_MOST, "{}", size_of_val(&BUCKET));
    assert!(size_of_val(&BULKHEAD) < AT_MOST, "{}", size_of_val(&BULKHEAD));
    assert!(size_of::<Semaphore>() < AT_MOST, "{}", size_of::<Semaphore>());
    assert!(size_of_val(&COUNTER) < AT_MOST, "{}", size_of_val(&COUNTER));
    assert!(size_of_val(&WARM_UP) < AT_MOST, "{}", size_of_val(&WARM_UP));
    let places = 4 * WORD_BITS as usize / 8;
    assert!(size_of_val(&LOG) < AT_MOST + places, "{}", size_of_val(&LOG));
    assert!(size_of_val(&TIMER) <= size_of::<u64>(), "a word");
    assert!(size_of_val(&BUDGET) < AT_MOST, "{}", size_of_val(&BUDGET));
    assert!(size_of_val(&SHEDDER) < AT_MOST, "{}", size_of_val(&SHEDDER));
    assert!(size_of_val(&CODEL) < AT_MOST, "{}", size_of_val(&CODEL));
    // Two lines of cache: what adapts remembers more, and has more to go by.
    assert!(size_of_val(&AIMD) <= 128, "{}", size_of_val(&AIMD));
    assert!(size_of_val(&VEGAS) <= 128, "{}", size_of_val(&VEGAS));
    assert!(size_of_val(&GRADIENT) <= 128, "{}", size_of_val(&GRADIENT));
    assert!(size_of_val(&ENVOY) <= 128, "{}", size_of_val(&ENVOY));
    // Eleven words are its window, and chance is a part, too.
    let parts = 11 * (WORD_BITS as usize / 8) + size_of::<Rng>();
    assert!(size_of_val(&THROTTLE) - parts < AT_MOST, "{}", size_of_val(&THROTTLE));
    let word = WORD_BITS as usize / 8;
    assert_eq!(size_of::<Switches>(), word);
    assert_eq!(size_of::<Shadow<()>>(), word);
    assert_eq!(size_of::<Switch>(), 2 * word + 8, "two words and the salt");
}

/// Histograms are tables; what is beside the table is small as well.
#[test]
fn meters_are_small() {
    const WORD: usize = WORD_BITS as usize / 8;
    let bare = |whole: usize, words: usize| whole - words * WORD;
    assert!(bare(size_of_val(&LATENCIES), 20 * 32) < AT_MOST / 4);
    assert!(bare(size_of_val(&LAST_MINUTE), 4 * 20 * 32) < AT_MOST / 2);
    assert!(size_of::<Meter>() < AT_MOST, "{}", size_of::<Meter>());
    assert!(bare(size_of_val(&SLOW), 4 * 20 * 32) < 2 * AT_MOST);
    assert!(bare(size_of_val(&CALLS), Reason::ALL.len()) < 3 * AT_MOST / 2);
}

/// A hedged call holds as many operations as it makes attempts, each with its place; what is beside
/// them is small.
#[test]
fn futures_of_hedged_calls_are_small() {
    /// An operation of so many bytes.
    fn operation<const BYTES: usize>(_attempt: Attempt) -> impl Future<Output = Result<u8, ()>> {
        let payload = [0; BYTES];
        poll_fn(move |_| Poll::Ready(Ok(payload[0])))
    }
    fn of<const N: usize, const BYTES: usize>() -> usize
    where
        Attempts<N>: Count,
    {
        let hedge = Hedge::idempotent(Duration::from_millis(50)).max_attempts::<N>();
        size_of_val(&hedge.call(&CLOCK, operation::<BYTES>))
    }
    let (two, three, five) = (of::<2, 8>(), of::<3, 8>(), of::<5, 8>());
    assert!(two - 2 * 8 <= 248, "{two}");
    // How long it may run, and whether it does.
    assert!(three - two <= 8 + 40, "{three} for three, {two} for two");
    assert_eq!(five - three, 2 * (three - two), "each place alike");
    assert_eq!(of::<2, 1008>() - two, 2 * 1000, "no operation is there twice");
}
