//! What adaptive limits do, seen from outside.

use std::collections::VecDeque;
use std::time::Duration;

use fusebox_core::{
    AdaptiveLimit, Gate, LimitAlgorithm, LimitConfig, ManualClock, Outcome, Permit, Priority,
    Ratio, Reason,
};

const MS: Duration = Duration::from_millis(1);

/// Lets in as much as the limit allows, and ends it all after `latency`.
fn batch<A: LimitAlgorithm>(
    clock: &ManualClock,
    limit: &AdaptiveLimit<&ManualClock, A>,
    latency: Duration,
    outcome: Outcome,
) {
    let calls: Vec<_> = std::iter::from_fn(|| limit.permit().ok()).collect();
    clock.advance(latency);
    calls.into_iter().for_each(|call| call.finish(outcome));
}

/// Where words are 32 bits wide, latencies are kept to a 2^15th of the longest.
fn is_near(measured: Option<Duration>, exact: Duration) -> bool {
    measured.is_some_and(|measured| measured >= exact && measured < exact + exact / 50)
}

#[test]
fn refuses_what_is_above_the_limit_at_once() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::vegas().initial(2), &clock);
    let calls = [limit.permit().unwrap(), limit.permit().unwrap()];
    let refused = limit.permit().unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::Overloaded, None));
    assert_eq!(limit.snapshot().in_flight(), 2);
    drop(calls);
    assert!(limit.permit().is_ok());
}

#[test]
fn the_last_places_are_kept_for_what_matters() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(10), &clock);
    let mut calls = Vec::new();
    let mut enter = |priority| {
        let entered = limit.at(priority).enter();
        calls.extend(entered);
        entered.is_ok()
    };
    let places = Priority::ALL.map(|priority| (0..20).filter(|_| enter(priority)).count());
    assert_eq!(places, [5, 3, 1, 1]);
    for entered in calls {
        limit.exit(entered, Outcome::Ignored);
    }
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn what_is_not_half_used_does_not_grow() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(10).min_samples(1), &clock);
    for _ in 0..50 {
        let calls: Vec<_> = (0..4).map(|_| limit.permit().unwrap()).collect();
        clock.advance(100 * MS);
        calls.into_iter().for_each(Permit::success);
    }
    assert_eq!(limit.limit(), 10);
    for _ in 0..50 {
        let calls: Vec<_> = (0..5).map(|_| limit.permit().unwrap()).collect();
        clock.advance(100 * MS);
        calls.into_iter().for_each(Permit::success);
    }
    assert_eq!(limit.limit(), 11, "five are not half of eleven");
}

#[test]
fn what_takes_too_long_counts_as_dropped() {
    let clock: ManualClock = ManualClock::new();
    let config = LimitConfig::aimd().initial(100).max_latency(500 * MS);
    for (latency, expected) in [(501 * MS, 90), (500 * MS, 90), (499 * MS, 101)] {
        let limit = AdaptiveLimit::new(config, &clock);
        batch(&clock, &limit, latency, Outcome::Success);
        // A window lasts twice as long as its calls.
        clock.advance(500 * MS);
        limit.permit().unwrap().success();
        assert_eq!(limit.limit(), expected, "after {latency:?}");
    }
}

#[test]
fn a_few_failures_are_no_sign_of_load() {
    let clock: ManualClock = ManualClock::new();
    let config = LimitConfig::aimd().initial(50).drop_share(Ratio::percent(10));
    for (failures, expected) in [(4, 51), (6, 45)] {
        let limit = AdaptiveLimit::new(config, &clock);
        let calls: Vec<_> = (0..50).map(|_| limit.permit().unwrap()).collect();
        clock.advance(10 * MS);
        for (number, call) in calls.into_iter().enumerate() {
            if number == 49 {
                // The one that ends the window.
                clock.advance(100 * MS);
            }
            if number < failures { call.failure() } else { call.success() }
        }
        assert_eq!(limit.limit(), expected, "{failures} of 50");
    }
}

#[test]
fn what_says_nothing_changes_nothing() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::gradient2(), &clock);
    for outcome in [Outcome::Ignored, Outcome::Abandoned, Outcome::Refused] {
        for _ in 0..20 {
            batch(&clock, &limit, 100 * MS, outcome);
        }
    }
    assert_eq!((limit.limit(), limit.snapshot().base_latency()), (20, None));
}

#[test]
fn a_probe_halves_the_limit_and_gives_it_back() {
    let clock: ManualClock = ManualClock::new();
    let config = LimitConfig::vegas().initial(40).max(40).probe_interval(Duration::from_secs(2));
    let limit = AdaptiveLimit::new(config, &clock);
    let mut seen = Vec::new();
    for _ in 0..300 {
        batch(&clock, &limit, 20 * MS, Outcome::Success);
        let now = limit.snapshot();
        assert_eq!(now.limit() == 20, now.is_probing() && !seen.is_empty(), "{now:?}");
        if !now.is_probing() {
            seen.push(now.limit());
            assert!(is_near(now.base_latency(), 20 * MS), "{now:?}");
        }
    }
    assert!(seen.iter().all(|&limit| limit == 40));
    assert!(seen.len() < 280 && seen.len() > 200, "{}", seen.len());
}

#[test]
fn a_latency_that_is_known_is_not_measured() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::gradient2().base_latency(10 * MS), &clock);
    for _ in 0..3_000 {
        batch(&clock, &limit, 10 * MS, Outcome::Success);
        assert!(!limit.snapshot().is_probing());
    }
    assert_eq!(limit.limit(), 200);
    assert!(is_near(limit.snapshot().base_latency(), 10 * MS));
}

/// A service that works on `places` calls at once, each for `latency`, met by as many calls as are
/// let in, for so many seconds.
fn serve<A: LimitAlgorithm>(
    clock: &ManualClock,
    limit: &AdaptiveLimit<&ManualClock, A>,
    (places, latency): (usize, Duration),
    seconds: u32,
) -> usize {
    let mut queue = VecDeque::new();
    let steps = (Duration::from_secs(seconds.into()).as_millis() / latency.as_millis()) as usize;
    let mut served = 0;
    for _ in 0..steps {
        queue.extend(std::iter::from_fn(|| limit.permit().ok()));
        clock.advance(latency);
        let done = queue.len().min(places);
        served += done;
        queue.drain(..done).for_each(Permit::success);
    }
    served * 100 / (steps * places)
}

fn follows<A: LimitAlgorithm>(config: LimitConfig<A>) {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(config, &clock);
    let service = |places, latency| {
        let settling = serve(&clock, &limit, (places, latency), 25);
        let share = serve(&clock, &limit, (places, latency), 25);
        (settling, share, limit.limit() as usize)
    };
    for (places, latency) in [(50, 10 * MS), (10, 10 * MS), (50, 10 * MS), (50, 40 * MS)] {
        let (settling, share, limit) = service(places, latency);
        assert!(settling >= 50, "{settling} % while it settled at {places} of {latency:?}");
        assert!(share >= 90, "{share} % at {places} of {latency:?}");
        assert!(limit <= places * 2 + 8, "{limit} for {places} of {latency:?}");
    }
}

#[test]
fn follows_a_service_that_changes() {
    follows(LimitConfig::vegas());
    follows(LimitConfig::gradient2().min(1).max(1_000));
    follows(LimitConfig::envoy_gradient());
}
