//! Hedged calls.

use core::time::Duration;

use fusebox_core::{
    AfterPercentile, Attempt, BucketConfig, Deadline, Decision, Hedge, HedgeCall, HedgeDelay,
    Histogram, HistogramConfig, PercentileConfig, Pipeline, Ratio, RetryNone, TokenBucket,
    WindowedHistogram,
};

use crate::{CLOCK, Us, Watcher, any, budget, keep, now, poll, ready, some_time};

type Recent = WindowedHistogram<&'static Us, 2, 12, 8>;
type Whole = Histogram<&'static Us, 12, 8>;

static SLOW: AfterPercentile<&Us, Recent> = AfterPercentile::new(
    PercentileConfig::new(Ratio::percent(95), Duration::from_millis(10)),
    WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &CLOCK),
);
static BUCKET: TokenBucket<&Us> = TokenBucket::new(BucketConfig::per_second(10), &CLOCK);
static WHOLE: Whole = Histogram::new(HistogramConfig::standard());

pub(crate) fn all() {
    let operation = |attempt: Attempt| {
        keep(attempt.is_hedge());
        ready(any(Err::<(), u32>(attempt.number)))
    };
    let hangs = |_: Attempt| core::future::pending::<Result<(), u32>>();

    let hedge = Hedge::idempotent(some_time())
        .deadline(some_time())
        .max_attempts::<3>()
        .when(|error: &u32| match any(*error) {
            0 => Decision::RetryAfter(any(Duration::from_millis(1))),
            1 => Decision::Retry,
            _ => Decision::Stop,
        })
        .budget(budget::shared())
        .observed_by("every", Watcher);
    keep(hedge.attempts());
    poll(hedge.when_value(|(): &()| Some(any(Decision::Retry))).call(&CLOCK, operation));
    poll(hedge.call(&CLOCK, operation));
    poll(hedge.call(&CLOCK, hangs));
    poll(hedge.call_before(&CLOCK, Deadline::at(now()), operation));
    poll(HedgeCall::new(&hedge, &CLOCK, Deadline::at(now()), hangs));
    poll(Hedge::idempotent(some_time()).max_attempts::<5>().when(RetryNone).call(&CLOCK, hangs));

    let config = PercentileConfig::new(any(Ratio::percent(95)), some_time())
        .minimum_calls(any(10))
        .at_least(some_time())
        .at_most(some_time())
        .every(some_time());
    let Ok(whole) = AfterPercentile::try_new(config, &WHOLE) else { return };
    measured(&whole);
    measured(&SLOW);
    keep(whole.delay());
    keep(SLOW.latencies().span());

    let pipeline = Pipeline::new(&CLOCK)
        .deadline(some_time())
        .hedge(hedge)
        .per_attempt_waiting(&BUCKET)
        .attempt_timeout(some_time());
    poll(pipeline.call(operation));
    poll(pipeline.call(hangs));
}

fn measured(delay: &impl HedgeDelay<&'static Us>) {
    let hedge = Hedge::idempotent(any(delay));
    poll(hedge.call(&CLOCK, |attempt: Attempt| ready(any(Ok::<_, u32>(attempt.number)))));
}
