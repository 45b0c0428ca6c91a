//! Every primitive fits in a `static` without a cell, lazy or otherwise, and is small.
//!
//! That a bad configuration there does not compile is checked by `core/src/bad_statics.rs`.

use fusebox_core::*;

/// The most bytes of one instance, its configuration and a reference to its clock included.
/// Windows, meters, observers and the places of a queue are parts that come on top.
const AT_MOST: usize = 100;

static CLOCK: ManualClock = ManualClock::new();
static BREAKER: CircuitBreaker<&ManualClock> =
    CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
static BUDGET: RetryBudget<&ManualClock> =
    RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), &CLOCK);
static BUCKET: TokenBucket<&ManualClock> =
    TokenBucket::new(BucketConfig::per_second(100).burst(10), &CLOCK);
static SEMAPHORE: Semaphore<Queue<4>> = Semaphore::new(2);
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

#[test]
fn statics_work() {
    let gates = (&BULKHEAD, &SEMAPHORE, &BUCKET, &BREAKER);
    assert_eq!(gates.call(|| Ok::<_, ()>(7)), Ok(7));
    let high = Priority::High;
    let gates = (SHEDDER.at(high), CODEL.since(CLOCK.now()), &QUEUE, &THROTTLE, GRADIENT.at(high));
    assert_eq!(gates.call(|| Ok::<_, ()>(7)), Ok(7));
    assert_eq!((&AIMD, &VEGAS, &ENVOY).call(|| Ok::<_, ()>(7)), Ok(7));
}

#[test]
fn instances_are_small() {
    assert!(size_of_val(&BREAKER) < AT_MOST, "{}", size_of_val(&BREAKER));
    assert!(size_of_val(&BUCKET) < AT_MOST, "{}", size_of_val(&BUCKET));
    assert!(size_of_val(&BULKHEAD) < AT_MOST, "{}", size_of_val(&BULKHEAD));
    assert!(size_of::<Semaphore>() < AT_MOST, "{}", size_of::<Semaphore>());
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
}
