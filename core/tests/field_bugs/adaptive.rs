//! Limits that adapt: bug 19, and the runaway of latency-based limits, which has no number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fusebox_core::{
    AdaptiveLimit, Aimd, Gate, LimitConfig, ManualClock, Outcome, Permit, Priority, Ratio, Ticks,
};

type Limit<'a> = AdaptiveLimit<&'a ManualClock, Aimd>;

/// A little longer than a window, as times are rounded.
const WINDOW: Duration = Duration::from_millis(101);

/// Halves with each window that has a failure.
fn halving(clock: &ManualClock, initial: u32) -> Limit<'_> {
    let config = LimitConfig::aimd().backoff(Ratio::percent(50)).min_samples(1).max(1_000);
    AdaptiveLimit::new(config.initial(initial), clock)
}

fn fill<'a>(limit: &'a Limit<'a>) -> Vec<Permit<&'a Limit<'a>>> {
    std::iter::from_fn(|| limit.permit().ok()).collect()
}

/// Bug 19. Cause: a limiter that adapts took its new, lower capacity off what was free, which
/// became negative, and everybody slept for it, one after the other. Seen in smithy-rs#4632. Here
/// nothing is taken from anybody: calls end as they would have, and until enough of them have, none
/// is let in.
#[test]
pub(crate) fn a_limit_that_shrinks_below_what_is_in_flight_never_goes_negative() {
    let clock: ManualClock = ManualClock::new();
    let limit = halving(&clock, 64);
    let mut calls = fill(&limit);
    // They all fail, and for that trouble the limit shrinks once.
    while calls.len() > 32 {
        clock.advance(WINDOW);
        calls.pop().unwrap().failure();
        assert_eq!((limit.limit(), limit.in_flight()), (32, calls.len() as u32));
        assert!(limit.permit().is_err(), "{} are in flight", calls.len());
    }
    // Then one is let in for each place that comes free, and no herd.
    for _ in 0..100 {
        calls.remove(0).ignore();
        calls.push(limit.permit().unwrap());
        assert!(limit.permit().is_err());
    }
    // Those have not been answered for.
    for expected in [16, 8, 4, 2, 1] {
        clock.advance(WINDOW);
        calls.pop().unwrap().failure();
        assert_eq!((limit.limit(), limit.in_flight()), (expected, calls.len() as u32));
        assert!(limit.permit().is_err());
        while calls.len() as u32 >= expected {
            calls.remove(0).ignore();
        }
        calls.extend(limit.permit());
    }
    assert_eq!(fill(&limit).len(), 0);
    drop(calls);
    assert_eq!(fill(&limit).len(), 1);
}

/// Bug 19. Cause: a place was given back only on the paths that somebody had thought of: not when a
/// call panicked, was cancelled, timed out or was refused further down. What remains of the limit
/// then is less with each of them. Seen in several limiters that count in a field of their own.
#[test]
pub(crate) fn an_adaptive_limit_leaks_no_place_whatever_happens() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(3), &clock);
    let closed = fusebox_core::LoadShedder::new(fusebox_core::ShedderConfig::new(1));
    let _taken = closed.permit().unwrap();
    for _ in 0..1_000 {
        clock.advance(WINDOW);
        assert_eq!(limit.call(|| Ok::<_, ()>(1)), Ok(1));
        assert!(limit.call(|| Err::<(), _>("down")).is_err());
        assert!(
            catch_unwind(AssertUnwindSafe(|| limit.call(|| -> Result<(), ()> { panic!() })))
                .is_err()
        );
        assert!((&limit, &closed).call(|| Ok::<_, ()>(1)).is_err(), "refused by the second");
        assert!((&limit.at(Priority::Low), &closed).call(|| Ok::<_, ()>(1)).is_err());
        drop(limit.guard(std::future::pending::<Result<(), ()>>()));
        drop(limit.permit().unwrap());
        for outcome in [Outcome::Abandoned, Outcome::Ignored, Outcome::Refused] {
            limit.permit().unwrap().finish(outcome);
        }
        assert_eq!(limit.in_flight(), 0);
    }
    assert_eq!(fill(&limit).len(), limit.limit() as usize);
}

/// Bug 19. Cause: a permit count that overflowed when permits were merged. Seen in tokio#8395. A
/// place that is wrongly given back twice makes no room out of nothing.
#[test]
pub(crate) fn a_place_given_back_twice_makes_no_room() {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(2), &clock);
    for _ in 0..10 {
        limit.exit(Ticks::ZERO, Outcome::Ignored);
    }
    assert_eq!(limit.in_flight(), 0);
    assert_eq!(fill(&limit).len(), 2);
}

/// A service that works on ten calls at once, 10 ms each, met by as many calls as are let in, for
/// so many seconds: the limit then, and the largest on the way.
fn overload<A: fusebox_core::LimitAlgorithm>(config: LimitConfig<A>, seconds: u32) -> (u32, u32) {
    let clock: ManualClock = ManualClock::new();
    let limit = AdaptiveLimit::new(config, &clock);
    let (mut queue, mut most) = (std::collections::VecDeque::new(), 0);
    for _step in 0..seconds * 100 {
        while let Ok(call) = limit.permit() {
            queue.push_back(call);
        }
        clock.advance(Duration::from_millis(10));
        for call in queue.drain(..queue.len().min(10)) {
            call.success();
        }
        most = most.max(limit.limit());
    }
    (limit.limit(), most)
}

/// Without a number. Cause: the latency that counts as usual follows an overload, and the limit
/// with it, up to its maximum; or the latency without load is taken of a sample that had load. Seen
/// in Netflix's concurrency-limits (#88, #134, #137), in Gradient2 and in Vegas. Ten minutes of
/// overload are enough there.
#[test]
pub(crate) fn no_overload_is_so_long_that_it_becomes_usual() {
    let (gradient, most) = overload(LimitConfig::gradient2().min(1).max(1_000), 600);
    assert!((8..25).contains(&gradient) && most < 60, "{gradient}, at most {most}");
    let (vegas, most) = overload(LimitConfig::vegas(), 600);
    assert!((8..25).contains(&vegas) && most < 60, "{vegas}, at most {most}");
    let (envoy, most) = overload(LimitConfig::envoy_gradient(), 600);
    assert!((3..25).contains(&envoy) && most < 60, "{envoy}, at most {most}");
}
