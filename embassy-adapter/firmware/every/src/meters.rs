//! Histograms of latencies; the meters of breakers and pipelines.

use core::time::Duration;

use fusebox_core::{
    Backoff, BreakerConfig, CircuitBreaker, Consecutive, Histogram, HistogramConfig,
    HistogramSnapshot, LastTime, Meter, Pipeline, PipelineMeter, Rates, Ratio, Reason, Retry,
    WindowedHistogram,
};

use crate::{CLOCK, Us, any, breaker, keep, now, poll, ready, some_time};

type Whole = Histogram<&'static Us, 12, 8>;
type Recent = WindowedHistogram<&'static Us, 2, 12, 8>;

static WHOLE: Whole = Histogram::new(HistogramConfig::standard());
static RECENT: Recent =
    WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &CLOCK);

static METERED: CircuitBreaker<&Us, Consecutive, Meter<&Recent>> = CircuitBreaker::with_parts(
    BreakerConfig::standard(),
    Consecutive,
    Meter::new().latencies(&RECENT),
    (),
    &CLOCK,
);
static TIMED: CircuitBreaker<&Us, LastTime<&Us>, Meter<&Whole>> = CircuitBreaker::with_parts(
    BreakerConfig::standard(),
    LastTime::new(Duration::from_secs(10), Rates::failures(Ratio::percent(50))),
    Meter::new().max_concurrent(10).latencies(&WHOLE),
    (),
    &CLOCK,
);

static CALLS: PipelineMeter<&Us, &Whole> = PipelineMeter::with_latencies(&WHOLE, &CLOCK);
static COUNTED: PipelineMeter<&Us> = PipelineMeter::new(&CLOCK);

pub(crate) fn all() {
    whole(&WHOLE);
    recent(&RECENT);
    let config = HistogramConfig::up_to(some_time());
    if let Ok(histogram) = Histogram::<_, 20, 32>::try_new(config) {
        whole(&histogram);
    }
    if let Ok(histogram) = WindowedHistogram::<_, 4, 20, 32>::try_new(some_time(), config, &CLOCK) {
        recent(&histogram);
    }
    breaker::use_breaker(&METERED);
    breaker::use_breaker(&TIMED);
    pipelines();
}

fn whole<const OCTAVES: usize, const STEPS: usize>(
    histogram: &Histogram<&'static Us, OCTAVES, STEPS>,
) {
    let histogram = any(histogram);
    histogram.record(some_time());
    histogram.record_ticks(any(1));
    keep(histogram.percentile(share()));
    keep((histogram.unit(), histogram.longest()));
    let mut snapshot = histogram.snapshot();
    snapshot.merge(&histogram.drain());
    figures(&snapshot);
    histogram.merge(any(&snapshot));
    histogram.reset();
}

fn recent<const SLICES: usize, const OCTAVES: usize, const STEPS: usize>(
    histogram: &WindowedHistogram<&'static Us, SLICES, OCTAVES, STEPS>,
) {
    let histogram = any(histogram);
    histogram.record(some_time());
    histogram.record_at(some_time(), now());
    histogram.record_ticks_at(any(1), now());
    keep((histogram.percentile(share()), histogram.percentile_at(share(), now())));
    keep((histogram.unit(), histogram.longest(), histogram.slice(), histogram.span()));
    let snapshot = histogram.snapshot_at(now());
    figures(&snapshot);
    figures(&histogram.snapshot());
    histogram.merge(any(&snapshot));
    histogram.merge_at(any(&snapshot), now());
    histogram.reset();
}

fn share() -> Ratio {
    Ratio::new(any(95), any(100))
}

fn figures<const OCTAVES: usize, const STEPS: usize>(snapshot: &HistogramSnapshot<OCTAVES, STEPS>) {
    let snapshot = any(snapshot);
    keep((snapshot.count(), snapshot.mean(), snapshot.min(), snapshot.max()));
    keep((snapshot.percentile(share()), snapshot.summary()));
}

fn pipelines() {
    const RETRY: Retry = Retry::new(Backoff::constant(Duration::from_millis(1)));
    let pipeline =
        Pipeline::new(&CLOCK).retry(RETRY).per_attempt(&METERED).attempt_timeout(some_time());
    let fails = |_| ready(any(Err::<(), u32>(1)));
    poll(pipeline.metered(&CALLS).call(fails));
    poll(pipeline.metered(&COUNTED).call(fails));

    let rejections = CALLS.snapshot().rejections;
    keep((rejections.of(any(Reason::CircuitOpen)), rejections.total()));
    for refused in rejections.iter() {
        keep(refused);
    }
    keep((COUNTED.snapshot(), COUNTED.snapshot_at(now())));
}
