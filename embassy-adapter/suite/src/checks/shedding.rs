//! What refuses load: the shedder, controlled delay, the adaptive limit and throttle.

use core::time::Duration;

use fusebox_core::{
    AdaptiveLimit, AdaptiveThrottle, BucketConfig, Clock, CoDel, CoDelConfig, Gate, LimitAlgorithm,
    LimitConfig, LoadShedder, ManualClock, Outcome, Priority, Reason, Rng, ShedderConfig,
    ThrottleConfig, TokenBucket,
};

use super::support::{EIGHTH, SECOND, reason, wait};
use crate::{Checked, Failure, ensure, ensure_eq};

fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

pub(super) fn no_more_at_once_and_what_matters_least_goes_first<const HZ: u64>() -> Checked {
    let shedder = LoadShedder::new(ShedderConfig::new(10));
    let mut entered = 0_u32;
    for (priority, places) in Priority::ALL.into_iter().zip([5, 3, 1, 1]) {
        let before = entered;
        while shedder.at(priority).enter().is_ok() {
            entered += 1;
        }
        ensure_eq!(entered - before, places);
    }
    ensure!(reason(shedder.permit()) == Some(Reason::Overloaded));
    ensure_eq!(shedder.in_flight(), 10);
    for outcome in [Outcome::Success, Outcome::Refused, Outcome::Abandoned, Outcome::Ignored] {
        shedder.exit((), outcome);
    }
    ensure_eq!(shedder.in_flight(), 6, "however it ended");
    ensure!(shedder.set_limit(6).is_ok() && shedder.set_limit(0).is_err());
    ensure!(shedder.permit().is_err());
    ensure_eq!(shedder.snapshot().limit(), 6);
    Ok(())
}

pub(super) fn a_queue_that_stands_is_shed<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    let mut served = 0;
    for _ in 0..50 {
        let enqueued = clock.now();
        clock.advance(millis(30));
        served += u32::from(codel.since(enqueued).permit().is_ok());
    }
    ensure!((4..=5).contains(&served), "it may last for the interval");
    ensure!(codel.is_overloaded());
    let enqueued = clock.now();
    clock.advance(millis(30));
    ensure!(reason(codel.admit(enqueued)) == Some(Reason::Overloaded));
    // One that did not wait shows that the queue is gone.
    ensure!(codel.admit(clock.now()).is_ok());
    clock.advance(millis(101));
    ensure!(codel.admit(clock.now()).is_ok() && !codel.is_overloaded());
    Ok(())
}

pub(super) fn a_throttle_asks_less_of_who_refuses<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let throttle: AdaptiveThrottle<_, _> =
        AdaptiveThrottle::new(ThrottleConfig::new(), &clock, Rng::from_seed(7));
    // Ten a second is what the server can take, of a hundred that are wanted.
    let server = TokenBucket::new(BucketConfig::per_second(10).burst(10), &clock);
    let mut sent = 0_u32;
    for _ in 0..2_000 {
        clock.advance(millis(10));
        let Ok(call) = throttle.permit() else { continue };
        sent += 1;
        match server.try_acquire(1) {
            Ok(()) => call.success(),
            Err(_) => call.failure(),
        }
    }
    // The multiplier is 2: it is asked twice as often as it can take.
    ensure!((300..500).contains(&sent));
    ensure!(throttle.snapshot().rejection_ppm() > 500_000);
    clock.advance(SECOND * 300);
    ensure_eq!(throttle.snapshot().requests(), 0, "what is long past is forgotten");
    ensure!(throttle.permit().is_ok());
    Ok(())
}

/// As many calls at once as the limit allows, which all end after `latency`.
fn batch<A: LimitAlgorithm, const HZ: u64>(
    clock: &ManualClock<HZ>,
    limit: &AdaptiveLimit<&ManualClock<HZ>, A>,
    latency: Duration,
    outcome: Outcome,
) {
    let began = clock.now();
    let calls = (0..100).take_while(|_| limit.enter_at(began).is_ok()).count();
    clock.advance(latency);
    for _ in 0..calls {
        limit.exit_at(began, outcome, clock.now());
    }
}

fn follows_the_load<A: LimitAlgorithm, const HZ: u64>(config: LimitConfig<A>) -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = AdaptiveLimit::try_new(config.initial(10).min(2).max(40), &clock)
        .map_err(|_| Failure::new("it can be"))?;
    for _ in 0..100 {
        batch(&clock, &limit, millis(40), Outcome::Success);
    }
    let idle = limit.limit();
    ensure!(idle > 10, "it grows where all is well");
    for _ in 0..150 {
        batch(&clock, &limit, millis(40), Outcome::Failure);
    }
    ensure!(limit.limit() < idle / 2, "it shrinks where calls are dropped");
    ensure!(limit.limit() >= 2);
    let under_load = limit.limit();
    for _ in 0..150 {
        batch(&clock, &limit, millis(40), Outcome::Success);
    }
    ensure!(limit.limit() > under_load, "and comes back");
    ensure_eq!(limit.in_flight(), 0);
    Ok(())
}

pub(super) fn an_adaptive_limit_follows_the_load<const HZ: u64>() -> Checked {
    follows_the_load::<_, HZ>(LimitConfig::aimd())?;
    follows_the_load::<_, HZ>(LimitConfig::vegas())?;
    follows_the_load::<_, HZ>(LimitConfig::gradient2())?;
    follows_the_load::<_, HZ>(LimitConfig::envoy_gradient())
}

pub(super) fn an_adaptive_limit_refuses_at_once<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = AdaptiveLimit::new(LimitConfig::vegas().initial(2), &clock);
    let first = limit.permit().map_err(|_| Failure::new("of two"))?;
    let second = limit.permit().map_err(|_| Failure::new("the other one"))?;
    ensure!(reason(limit.permit()) == Some(Reason::Overloaded));
    ensure!(wait(limit.permit()).is_none(), "nobody knows when");
    clock.advance(EIGHTH);
    drop(first);
    ensure!(limit.permit().is_ok());
    second.finish(Outcome::Refused);
    ensure_eq!(limit.in_flight(), 0);
    Ok(())
}
