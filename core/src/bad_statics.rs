//! A bad configuration in a `static` does not compile.
//!
//! Each pair of doctests is made from one text and differs in one value: the first compiles, so the
//! second can only fail because of that value.

macro_rules! pair {
    ($name:ident: $before:literal, $good:literal or $bad:literal, $after:literal) => {
        #[doc = concat!("```\n", $before, $good, $after, "\n```\n")]
        #[doc = concat!("```compile_fail,E0080\n", $before, $bad, $after, "\n```")]
        mod $name {}
    };
}

pair!(
    breaker: "
    use fusebox_core::{BreakerConfig, CircuitBreaker, ManualClock};
    static CLOCK: ManualClock = ManualClock::new();
    static BREAKER: CircuitBreaker<&ManualClock> =
        CircuitBreaker::new(BreakerConfig::standard().consecutive_failures(",
    "5" or "0",
    "), &CLOCK);"
);

pair!(
    budget: "
    use fusebox_core::{BudgetConfig, ManualClock, Ratio, RetryBudget};
    static CLOCK: ManualClock = ManualClock::new();
    static BUDGET: RetryBudget<&ManualClock> =
        RetryBudget::new(BudgetConfig::new(Ratio::new(1, ",
    "5" or "0",
    ")), &CLOCK);"
);

pair!(
    bucket: "
    use fusebox_core::{BucketConfig, ManualClock, TokenBucket};
    static CLOCK: ManualClock = ManualClock::new();
    static BUCKET: TokenBucket<&ManualClock> =
        TokenBucket::new(BucketConfig::per_second(",
    "100" or "0",
    "), &CLOCK);"
);

pair!(
    sliding_log: "
    use fusebox_core::{ManualClock, SlidingLog, SlidingLogConfig};
    static CLOCK: ManualClock = ManualClock::new();
    static LOG: SlidingLog<4, &ManualClock> = SlidingLog::new(
        SlidingLogConfig::per(core::time::Duration::from_millis(",
    "5" or "0",
    ")), &CLOCK);"
);

pair!(
    sliding_log_places: "
    use fusebox_core::{ManualClock, SlidingLog, SlidingLogConfig};
    static CLOCK: ManualClock = ManualClock::new();
    static LOG: SlidingLog<",
    "4" or "0",
    ", &ManualClock> = SlidingLog::new(SlidingLogConfig::per_second(), &CLOCK);"
);

pair!(
    sliding_window_counter: "
    use fusebox_core::{ManualClock, SlidingWindowConfig, SlidingWindowCounter};
    static CLOCK: ManualClock = ManualClock::new();
    static COUNTER: SlidingWindowCounter<&ManualClock> =
        SlidingWindowCounter::new(SlidingWindowConfig::per_second(",
    "100" or "0",
    "), &CLOCK);"
);

pair!(
    warm_up: "
    use fusebox_core::{ManualClock, Rate, WarmUp, WarmUpConfig};
    static CLOCK: ManualClock = ManualClock::new();
    static LIMIT: WarmUp<&ManualClock> = WarmUp::new(
        WarmUpConfig::new(Rate::per_second(10), core::time::Duration::from_secs(",
    "5" or "0",
    ")), &CLOCK);"
);

pair!(
    semaphore: "
    use fusebox_core::{Queue, Semaphore};
    static PERMITS: Semaphore<Queue<4>> = Semaphore::new(",
    "2" or "0",
    ");"
);

pair!(
    bulkhead: "
    use fusebox_core::{Bulkhead, BulkheadConfig};
    static BULKHEAD: Bulkhead = Bulkhead::new(BulkheadConfig::new(",
    "64" or "0",
    "));"
);

pair!(
    shedder: "
    use fusebox_core::{LoadShedder, ShedderConfig};
    static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(",
    "64" or "0",
    "));"
);

pair!(
    codel: "
    use core::time::Duration;
    use fusebox_core::{CoDel, CoDelConfig, ManualClock};
    static CLOCK: ManualClock = ManualClock::new();
    static CODEL: CoDel<&ManualClock> =
        CoDel::new(CoDelConfig::new().target(Duration::from_millis(",
    "10" or "101",
    ")), &CLOCK);"
);

pair!(
    throttle: "
    use fusebox_core::{AdaptiveThrottle, ManualClock, Ratio, Rng, ThrottleConfig};
    static CLOCK: ManualClock = ManualClock::new();
    static THROTTLE: AdaptiveThrottle<&ManualClock, Rng> = AdaptiveThrottle::new(
        ThrottleConfig::new().multiplier(Ratio::percent(",
    "100" or "99",
    ")), &CLOCK, Rng::from_seed(1));"
);

pair!(
    adaptive_limit: "
    use fusebox_core::{AdaptiveLimit, Gradient2, LimitConfig, ManualClock};
    static CLOCK: ManualClock = ManualClock::new();
    static LIMIT: AdaptiveLimit<&ManualClock, Gradient2> =
        AdaptiveLimit::new(LimitConfig::gradient2().min(",
    "5" or "0",
    "), &CLOCK);"
);

pair!(
    setting_of_an_algorithm: "
    use fusebox_core::{AdaptiveLimit, Aimd, LimitConfig, ManualClock, Ratio};
    static CLOCK: ManualClock = ManualClock::new();
    static LIMIT: AdaptiveLimit<&ManualClock, Aimd> =
        AdaptiveLimit::new(LimitConfig::aimd().backoff(Ratio::percent(",
    "80" or "100",
    ")), &CLOCK);"
);

pair!(
    histogram: "
    use core::time::Duration;
    use fusebox_core::{Histogram, HistogramConfig, ManualClock};
    static LATENCIES: Histogram<ManualClock> =
        Histogram::new(HistogramConfig::up_to(Duration::from_secs(",
    "60" or "0",
    ")));"
);

pair!(
    percentile_of_a_hedge: "
    use core::time::Duration;
    use fusebox_core::{
        AfterPercentile, Histogram, HistogramConfig, ManualClock, PercentileConfig, Ratio,
    };
    static SLOW: AfterPercentile<ManualClock, Histogram<ManualClock>> = AfterPercentile::new(
        PercentileConfig::new(Ratio::percent(",
    "95" or "101",
    "), Duration::from_millis(50)),
        Histogram::new(HistogramConfig::standard()),
    );"
);

pair!(
    steps_of_a_histogram: "
    use core::time::Duration;
    use fusebox_core::{Histogram, HistogramConfig, ManualClock};
    static LATENCIES: Histogram<ManualClock, 20, ",
    "32" or "33",
    "> = Histogram::new(HistogramConfig::standard());"
);

pair!(
    windowed_histogram: "
    use core::time::Duration;
    use fusebox_core::{HistogramConfig, ManualClock, WindowedHistogram};
    static CLOCK: ManualClock = ManualClock::new();
    static LATENCIES: WindowedHistogram<&ManualClock, ",
    "4" or "5",
    "> = WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &CLOCK);"
);
