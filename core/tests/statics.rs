//! Every primitive fits in a `static` without a cell, lazy or otherwise, and is small.
//!
//! That a bad configuration there does not compile is checked by `core/src/bad_statics.rs`.

use std::time::Duration;

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

#[test]
fn statics_work() {
    let limits = (&BUCKET, &LOG, &COUNTER, &WARM_UP);
    let gates = (&SWITCH, SWITCHES.at::<0>(), &SHADOW, &SEMAPHORE, &limits, &BREAKER);
    assert_eq!(gates.call(|| Ok::<_, ()>(7)), Ok(7));
}

#[test]
fn instances_are_small() {
    assert!(size_of_val(&BREAKER) < AT_MOST, "{}", size_of_val(&BREAKER));
    assert!(size_of_val(&BUCKET) < AT_MOST, "{}", size_of_val(&BUCKET));
    assert!(size_of_val(&BULKHEAD) < AT_MOST, "{}", size_of_val(&BULKHEAD));
    assert!(size_of::<Semaphore>() < AT_MOST, "{}", size_of::<Semaphore>());
    assert!(size_of_val(&COUNTER) < AT_MOST, "{}", size_of_val(&COUNTER));
    assert!(size_of_val(&WARM_UP) < AT_MOST, "{}", size_of_val(&WARM_UP));
    let places = 4 * WORD_BITS as usize / 8;
    assert!(size_of_val(&LOG) < AT_MOST + places, "{}", size_of_val(&LOG));
    assert!(size_of_val(&BUDGET) < AT_MOST, "{}", size_of_val(&BUDGET));
    let word = WORD_BITS as usize / 8;
    assert_eq!(size_of::<Switches>(), word);
    assert_eq!(size_of::<Shadow<()>>(), word);
    assert_eq!(size_of::<Switch>(), 2 * word + 8, "two words and the salt");
}
