//! Adaptive limits, by each of the algorithms.

use core::time::Duration;

use fusebox_core::{
    AdaptiveLimit, Aimd, EnvoyGradient, Gradient2, Idle, LimitAlgorithm, LimitConfig,
    MeasuresLatency, Vegas,
};

use crate::shedding::{priority, share};
use crate::{CLOCK, Us, any, keep, now, outcome, some_time, use_gate};

static AIMD: AdaptiveLimit<&Us, Aimd> = AdaptiveLimit::new(LimitConfig::aimd(), &CLOCK);
static VEGAS: AdaptiveLimit<&Us, Vegas> = AdaptiveLimit::new(LimitConfig::vegas(), &CLOCK);
static GRADIENT: AdaptiveLimit<&Us, Gradient2> =
    AdaptiveLimit::new(LimitConfig::gradient2(), &CLOCK);
static ENVOY: AdaptiveLimit<&Us, EnvoyGradient> =
    AdaptiveLimit::new(LimitConfig::envoy_gradient(), &CLOCK);

pub(crate) fn all() {
    keep((AIMD.is_idle(), VEGAS.is_stale()));
    use_limit(&AIMD);
    use_limit(&VEGAS);
    use_limit(&GRADIENT);
    use_limit(&ENVOY);

    configured(LimitConfig::aimd().increase(any(1)).backoff(share()));
    configured(measuring(LimitConfig::vegas().beta(any(6)).alpha(any(3))));
    let gradient = LimitConfig::gradient2().smoothing(share()).tolerance(share());
    configured(measuring(gradient.queue(any(4)).long_window(any(600))));
    configured(measuring(LimitConfig::envoy_gradient().buffer(share()).percentile(any(50))));
}

fn measuring<A: MeasuresLatency>(config: LimitConfig<A>) -> LimitConfig<A> {
    let config = config.probe_interval(some_time()).probe_samples(any(100));
    if any(true) { config.base_latency(some_time()) } else { config }
}

fn configured<A: LimitAlgorithm>(config: LimitConfig<A>) {
    let config = config.initial(any(1)).min(any(1)).max(any(1));
    let config = config.window(some_time()).min_samples(any(1)).max_latency(some_time());
    let config = config.drop_share(share()).share(priority(), share()).max_lateness(some_time());
    if let Ok(limit) = AdaptiveLimit::try_new(config, &CLOCK) {
        use_limit(&limit);
    }
}

fn use_limit<A: LimitAlgorithm>(limit: &AdaptiveLimit<&'static Us, A>) {
    use_gate(limit);
    use_gate(&limit.at(priority()));
    if let Ok(entered) = limit.enter_at(now()) {
        limit.exit_at(entered, outcome(), now());
    }
    CLOCK.advance(Duration::from_millis(any(100)));
    keep((limit.limit(), limit.in_flight(), limit.clock()));
    let snapshot = limit.snapshot();
    keep((snapshot.limit(), snapshot.in_flight(), snapshot.base_latency(), snapshot.is_probing()));
}
