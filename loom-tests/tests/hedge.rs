//! Models of the delay of a hedge that is a percentile.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::{Still, race};
use core::time::Duration;
use fusebox_core::{
    AfterPercentile, HedgeDelay, Histogram, HistogramConfig, PercentileConfig, Ratio, Ticks,
};
use loom::sync::Arc;

/// 0, 1, 2 and 3 ticks are told apart.
type Slowest = AfterPercentile<Still, Histogram<Still, 2, 2>>;

/// What the slowest call took; two ticks before the first reading.
fn slowest() -> Arc<Slowest> {
    let config = PercentileConfig::new(Ratio::percent(100), Duration::from_secs(2))
        .minimum_calls(1)
        .every(Duration::from_secs(10));
    let latencies = Histogram::new(HistogramConfig::up_to(Duration::from_secs(3)));
    Arc::new(AfterPercentile::new(config, latencies))
}

/// The delay of a call at that time.
fn asked(delay: &Slowest, now: u64) -> u64 {
    HedgeDelay::delay(delay, Ticks(now))
}

#[test]
fn one_of_the_callers_does_the_reading() {
    // Race: two calls come when a reading is due, and one of them has learned something by the time
    // the other gets to it. There is one reading: a call gets the delay from before, or the one
    // that stays. Fails when `renew` stores the next due time whatever stands there.
    model(|| {
        let delay = slowest();
        delay.latencies().record_ticks(1);
        let calls = race(
            &delay,
            |shared| asked(shared, 1),
            |shared| {
                let own = asked(shared, 1);
                shared.learn(3, Ticks(1));
                own
            },
        );
        let stays = delay.delay().as_secs();
        assert!(stays == 1 || stays == 3, "{stays}");
        for call in [calls.0, calls.1] {
            assert!(call == 2 || call == stays, "{call}, but {stays} stays");
        }
        // Until the next one is due.
        assert_eq!(asked(&delay, 10), stays);
        assert_eq!(asked(&delay, 11), 3);
    });
}
