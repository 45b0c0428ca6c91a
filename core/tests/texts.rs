//! What people read: errors of configurations beyond those of breakers and buckets, events, and
//! what `Debug` shows.

use std::time::Duration;

use fusebox_core::{
    AdaptiveLimit, AdaptiveThrottle, AfterPercentile, Backoff, BreakerConfig, BucketConfig,
    BudgetConfig, CircuitBreaker, CoDel, CoDelConfig, Event, Gate, GiveUp, Hedge, Histogram,
    HistogramConfig, LimitAlgorithm, LimitConfig, LoadShedder, ManualClock, PercentileConfig,
    Pipeline, Priority, Rate, Ratio, Reason, Rejection, Retry, RetryBudget, Rng, ShedderConfig,
    SlidingLog, SlidingLogConfig, SlidingWindowConfig, SlidingWindowCounter, ThrottleConfig,
    TokenBucket, WORD_BITS, WarmUp, WarmUpConfig, WindowedHistogram,
};

const MS: Duration = Duration::from_millis(1);

fn by_width<T>(wide: T, narrow: T) -> T {
    if WORD_BITS == 64 { wide } else { narrow }
}

type Millis = ManualClock<1_000>;

#[test]
fn budgets_say_what_would_be_right() {
    let said = |config| RetryBudget::try_new(config, ManualClock::<1_000_000_000>::new());
    let said = |config| said(config).map(drop).unwrap_err().to_string();
    let good = BudgetConfig::new(Ratio::percent(20));
    assert_eq!(
        said(BudgetConfig::new(Ratio::new(1, 0))),
        "the budget's ratio must have a denominator of at least 1, but is 1/0"
    );
    assert_eq!(
        said(good.max_lateness(Duration::from_millis(3_600_500))),
        "the budget's `max_lateness` must be at most 3600s, but is 3600.5s"
    );
    assert_eq!(
        said(BudgetConfig::new(Ratio::percent(0)).floor_per_second(0)),
        "the `floor_per_second` of a budget at 0 % must be at least 1, but is 0"
    );
    assert_eq!(
        said(BudgetConfig::new(Ratio::percent(250)).reserve(2)),
        "the budget's `reserve` must be at least 3, but is 2"
    );
    let lower = |reserve, floor| {
        format!(
            "a word cannot hold the budget's `reserve` of {reserve}, `floor_per_second` of {floor} \
             and `max_lateness` together at its ratio: lower "
        )
    };
    let most = u32::MAX;
    let remedies = by_width(
        "`reserve` to 3, or `floor_per_second` to 250244379, or `max_lateness` to 33.554ms",
        "`floor_per_second` to 254, or `max_lateness` to 0ns",
    );
    assert_eq!(said(good.floor_per_second(most)), lower(100, most) + remedies);
    if WORD_BITS == 32 {
        assert_eq!(
            said(good.floor_per_second(most).reserve(most)),
            lower(most, most) + "more than one of them"
        );
        assert_eq!(
            said(BudgetConfig::new(Ratio::new(1, most))),
            "the denominator of the budget's ratio, in lowest terms, must be from 1 to 1073741823, \
             but is 4294967295"
        );
    }
}

#[test]
fn a_new_rate_says_what_would_be_right() {
    let bucket = TokenBucket::new(BucketConfig::per_second(10), Millis::new());
    let text = bucket.set_rate(Rate::per_second(1_000_000_000)).unwrap_err().to_string();
    let start = "the time between two tokens of `set_rate`, on the time scale that the bucket was \
                 made with, must be from ";
    assert!(text.starts_with(start) && text.ends_with(", but is 1ns"), "{text}");
}

#[test]
fn retries_say_what_would_be_right() {
    let said = |backoff: Backoff| backoff.validate().unwrap_err().to_string();
    let ten = Backoff::exponential(10 * MS);
    assert_eq!(said(ten.factor(99)), "the backoff's `factor` must be at least 100 %, but is 99 %");
    assert_eq!(
        said(ten.max_delay(5 * MS)),
        "the backoff's `max_delay` must be at least 10ms, but is 5ms"
    );
    assert_eq!(
        said(Backoff::exponential(Duration::ZERO)),
        "the base of an exponential backoff must be at least 1ns, but is 0ns"
    );
    assert_eq!(
        Retry::new(ten).try_max_attempts(0).unwrap_err().to_string(),
        "the retry's `max_attempts` must be at least 1, but is 0"
    );
}

#[test]
fn shedders_say_what_would_be_right() {
    let said = |config| LoadShedder::try_new(config).unwrap_err().to_string();
    let most = by_width("16777215", "4095");
    assert_eq!(
        said(ShedderConfig::new(0)),
        format!("the shedder's limit must be from 1 to {most}, but is 0")
    );
    let shares = "the shares of the priorities must be more than 0 % and at most 100 %, and none \
                  above that of a higher priority, but is ";
    let hundred = ShedderConfig::new(100);
    assert_eq!(said(hundred.share(Priority::High, Ratio::percent(70))), shares.to_owned() + "70 %");
    assert_eq!(said(hundred.share(Priority::Low, Ratio::percent(0))), shares.to_owned() + "0 %");
}

#[test]
fn codel_says_what_would_be_right() {
    let said = |config| CoDel::try_new(config, Millis::new()).unwrap_err().to_string();
    let good = CoDelConfig::new();
    assert_eq!(
        said(good.target(101 * MS)),
        "CoDel's `target` must be from 1ns to 100ms, but is 101ms"
    );
    let day = Duration::from_secs(86_400);
    assert_eq!(said(good.interval(day)), "CoDel's `interval` must be at most 3600s, but is 86400s");
    assert_eq!(
        said(good.max_lateness(day)),
        "CoDel's `max_lateness` must be at most 3600s, but is 86400s"
    );
}

#[test]
fn throttles_say_what_would_be_right() {
    let rng = Rng::from_seed(1);
    let said = |config| {
        let made: Result<AdaptiveThrottle<_, _>, _> =
            AdaptiveThrottle::try_new(config, Millis::new(), &rng);
        made.map(drop).unwrap_err().to_string()
    };
    let good = ThrottleConfig::new();
    assert_eq!(
        said(good.multiplier(Ratio::percent(99))),
        "the throttle's `multiplier` must be at least 1, its parts at most 65535, but is 99 %"
    );
    assert_eq!(
        said(good.max_rejection(Ratio::percent(101))),
        "the throttle's `max_rejection` must be more than 0 % and at most 100 %, its parts at most \
         65535, but is 101 %"
    );
    let text = said(good.window(Duration::ZERO));
    assert!(text.starts_with("the throttle's `window` must be from "), "{text}");
}

#[test]
fn adaptive_limits_say_what_would_be_right() {
    fn said<A: LimitAlgorithm>(config: LimitConfig<A>) -> String {
        AdaptiveLimit::try_new(config, Millis::new()).unwrap_err().to_string()
    }
    let good = LimitConfig::gradient2();
    let (most, samples) = by_width(("16777215", "16384"), ("4095", "100"));
    assert_eq!(said(good.max(0)), format!("the limit's `max` must be from 1 to {most}, but is 0"));
    assert_eq!(said(good.min(201)), "the limit's `min` must be from 1 to 200, but is 201");
    assert_eq!(said(good.initial(19)), "the limit's `initial` must be from 20 to 200, but is 19");
    assert_eq!(
        said(good.min_samples(0)),
        format!("the limit's `min_samples` must be from 1 to {samples}, but is 0")
    );
    assert_eq!(
        said(good.probe_interval(99 * MS)),
        "the limit's `probe_interval` must be from 100ms to 3600s, but is 99ms"
    );
    assert_eq!(
        said(good.base_latency(5_000 * MS)),
        "the limit's `base_latency` must be from 1ns to 5s, but is 5s"
    );
    assert_eq!(
        said(good.drop_share(Ratio::percent(0))),
        "the limit's `drop_share` must be more than 0 % and at most 100 %, but is 0 %"
    );
    // What is wrong with the algorithm is told, too, and what was wrong first.
    assert_eq!(
        said(good.tolerance(Ratio::percent(200)).smoothing(Ratio::percent(0))),
        "the limit's `tolerance` must be at least 100 % and below 200 %, but is 200 %"
    );
    assert_eq!(
        said(LimitConfig::aimd().backoff(Ratio::percent(49))),
        "the limit's `backoff` must be at least 50 % and below 100 %, but is 49 %"
    );
    assert_eq!(
        said(LimitConfig::vegas().alpha(6)),
        "the limit's `alpha` must be from 1 to 5, but is 6"
    );
    assert_eq!(
        said(LimitConfig::envoy_gradient().percentile(100)),
        "the limit's `percentile` must be from 1 to 99, but is 100"
    );
    // Bounds that were not set give way to those that were.
    let small = AdaptiveLimit::new(good.max(5), Millis::new());
    assert_eq!(small.limit(), 5);
    let large = AdaptiveLimit::new(good.min(50), Millis::new());
    assert_eq!(large.limit(), 50);
}

#[test]
#[should_panic(expected = "the meter's `max_concurrent` must be at least 1")]
fn a_meter_says_what_would_be_right() {
    let _ = fusebox_core::Meter::new().max_concurrent(0);
}

#[test]
fn histograms_say_what_would_be_right() {
    type Rtc = ManualClock<1_000>;
    type All = Histogram<Rtc>;
    type Recent = WindowedHistogram<Rtc>;
    let longest = |longest| All::try_new(HistogramConfig::up_to(longest)).unwrap_err().to_string();
    assert_eq!(
        longest(Duration::ZERO),
        "the histogram's `longest` must be from 1ms to 4611686018427387s, but is 0ns"
    );
    let span = |span| Recent::try_new(span, HistogramConfig::standard(), Rtc::new());
    assert_eq!(
        span(3 * MS).unwrap_err().to_string(),
        "the histogram's `span` must be from 4ms to 4611686018427387s, but is 3ms"
    );
}

#[test]
fn hedges_say_what_would_be_right() {
    let good = PercentileConfig::new(Ratio::percent(95), 50 * MS);
    let said = |config| AfterPercentile::<Millis, _>::try_new(config, ()).unwrap_err().to_string();
    assert_eq!(
        said(PercentileConfig::new(Ratio::percent(0), MS)),
        "the percentile of a hedge must be above 0 % and at most 100 %, but is 0 %"
    );
    assert_eq!(
        said(good.at_most(40 * MS)),
        "the delay of a hedge whose percentile is not known must be at most 40ms, but is 50ms"
    );
    assert_eq!(
        said(good.at_most(60 * MS).at_least(70 * MS)),
        "the hedge's `at_least` must be at most 60ms, but is 70ms"
    );
    assert_eq!(
        said(good.every(Duration::ZERO)),
        "the hedge's `every` must be from 1ms to 4611686018427387s, but is 0ns"
    );
    assert_eq!(
        said(good.at_most(Duration::ZERO)),
        "the hedge's `at_most` must be from 1ms to 4611686018427387s, but is 0ns"
    );
}

#[test]
fn an_event_is_a_line() {
    let rejection = Rejection::after_ticks(Reason::CircuitOpen, 1_500, 1_000);
    let lines = [
        (
            Event::Rejected { name: "db", rejection },
            "db: rejected: the circuit is open; retry after 1.5s",
        ),
        (
            Event::Retrying { name: "db", attempt: 2, delay: 5 * MS },
            "db: attempt 2 failed, the next one follows in 5ms",
        ),
        (
            Event::Hedged { name: "db", attempt: 2, running: 1 },
            "db: no answer so far, attempt 2 starts as well",
        ),
        (
            Event::Hedged { name: "db", attempt: 3, running: 0 },
            "db: all attempts so far have failed, attempt 3 starts",
        ),
        (
            Event::GaveUp { name: "db", attempts: 1, cause: GiveUp::NotRetryable },
            "db: gave up after 1 attempt: the error is not one to retry",
        ),
        (
            Event::GaveUp { name: "db", attempts: 3, cause: GiveUp::Attempts },
            "db: gave up after 3 attempts: all attempts were made",
        ),
        (Event::TimedOut { name: "db", attempt: 1 }, "db: timed out in attempt 1"),
    ];
    for (event, line) in lines {
        assert_eq!(event.to_string(), line);
    }
}

#[test]
fn debug_is_in_the_units_of_the_user() {
    let rejection = Rejection::after_ticks(Reason::CircuitOpen, 1_500, 1_000);
    assert_eq!(
        format!("{rejection:?}"),
        "Rejection { reason: CircuitOpen, retry_after: Some(1.5s) }"
    );
    let backoff = Backoff::exponential(50 * MS);
    assert_eq!(
        format!("{backoff:?}"),
        "Backoff { base: 50ms, factor: 200 %, max_delay: None, jitter: None, .. }"
    );
    let linear = Backoff::linear(50 * MS, MS).max_delay(60 * MS);
    assert_eq!(
        format!("{:?}", Retry::new(linear).deadline(2_000 * MS)),
        "Retry { delays: Backoff { base: 50ms, step: 1ms, max_delay: Some(60ms), jitter: None, .. \
         }, max_attempts: Some(3), deadline: Some(2s), name: \"retry\", .. }"
    );
    let endless = format!("{:?}", Retry::new(backoff).unlimited());
    assert!(endless.contains("max_attempts: None, deadline: None"), "{endless}");
    assert_eq!(
        format!("{:?}", Hedge::idempotent(50 * MS)),
        "Hedge { delay: 50ms, max_attempts: 2, deadline: None, name: \"hedge\", .. }"
    );
    let percentile = PercentileConfig::new(Ratio::percent(95), 50 * MS);
    let percentile = AfterPercentile::<Millis, _>::new(percentile, ());
    assert_eq!(
        format!("{:?}", percentile),
        "AfterPercentile { share: Ratio { numerator: 19, denominator: 20 }, delay: 50ms, .. }"
    );
    let pipeline = format!("{:?}", Pipeline::new(&Millis::new()));
    assert!(pipeline.contains("deadline: None"), "{pipeline}");

    let clock = Millis::new();
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    breaker.permit().unwrap().failure();
    assert_eq!(
        format!("{breaker:?}"),
        "CircuitBreaker { state: Closed, generation: 0, failures: 1, .. }"
    );
    breaker.trip();
    assert_eq!(
        format!("{breaker:?}"),
        "CircuitBreaker { state: Open, generation: 1, streak: 0, .. }"
    );
    let bucket = TokenBucket::new(BucketConfig::per_second(8).burst(5), &clock);
    let text = format!("{bucket:?}");
    assert!(text.starts_with("TokenBucket { burst: 5, every: 125ms, "), "{text}");
    let shedder = LoadShedder::new(ShedderConfig::new(7));
    assert_eq!(
        format!("{:?}", shedder.at(Priority::High)),
        "AtPriority { gate: LoadShedder { limit: 7, in_flight: 0, .. }, priority: High }"
    );
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    assert_eq!(format!("{codel:?}"), "CoDel { overloaded: false, target: 5ms, .. }");
    let limit = AdaptiveLimit::new(LimitConfig::vegas(), &clock);
    assert_eq!(
        format!("{limit:?}"),
        "AdaptiveLimit { limit: 20, in_flight: 0, base_latency: None, probing: false, .. }"
    );
    let log: SlidingLog<7, _> = SlidingLog::new(SlidingLogConfig::per_second(), &clock);
    let text = format!("{log:?}");
    assert!(text.starts_with("SlidingLog { limit: 7, window: 1s, "), "{text}");
    let counter = SlidingWindowCounter::new(SlidingWindowConfig::per_second(7), &clock);
    let text = format!("{counter:?}");
    assert!(text.starts_with("SlidingWindowCounter { limit: 7, window: 1"), "{text}");
    let warm_up = WarmUp::new(WarmUpConfig::new(Rate::per_second(8), 4_000 * MS), &clock);
    let text = format!("{warm_up:?}");
    assert!(text.starts_with("WarmUp { every: 125ms, warm_up: 4s, "), "{text}");
    let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(20)).reserve(50), &clock);
    assert_eq!(
        format!("{budget:?}"),
        "RetryBudget { retries: 10, reserve: 50, units: 50, units_per_retry: 5, .. }"
    );
}
