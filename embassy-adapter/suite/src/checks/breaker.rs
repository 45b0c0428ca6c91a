//! The circuit breaker, without a window.

use core::future::{pending, ready};
use core::pin::pin;
use core::task::Poll;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Counts, Error, Gate, ManualClock, Meter, Outcome, Ramp, RampUp,
    Ratio, Reason, State,
};

use super::support::{EIGHTH, Journal, Note, SECOND, reason, wait};
use crate::{Checked, Failure, ensure, ensure_eq, poll_once};

type Breaker<'a, const HZ: u64> = CircuitBreaker<&'a ManualClock<HZ>>;

/// Trips on two failures in a row, and is open for a second.
const CONFIG: BreakerConfig = BreakerConfig::standard().consecutive_failures(2).open_for(SECOND);

fn half_open<const HZ: u64>(breaker: &Breaker<'_, HZ>, clock: &ManualClock<HZ>) -> Checked {
    breaker.trip();
    clock.advance(SECOND);
    breaker.permit().map_err(|_| Failure::new("the open time is over"))?.ignore();
    ensure_eq!(breaker.state(), State::HalfOpen);
    Ok(())
}

/// Lets a call in that must be.
macro_rules! permit {
    ($gate:expr) => {
        match $gate.permit() {
            Ok(permit) => permit,
            Err(_) => return Err(Failure::new("it lets the call in")),
        }
    };
}

pub(super) fn closed_it_lets_everything_in<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    for number in 0..10 {
        ensure!(breaker.call(|| Ok::<_, ()>(number)) == Ok(number));
    }
    ensure_eq!(breaker.state(), State::Closed);
    ensure!(!breaker.is_open());
    ensure!(breaker.time_until_half_open().is_none());
    ensure_eq!(breaker.snapshot().counts.requests, 0, "without a window it counts no success");
    Ok(())
}

pub(super) fn failures_in_a_row_trip_it<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG.consecutive_failures(3), &clock);
    let call = |ok| breaker.call(|| if ok { Ok(()) } else { Err("down") });
    for ok in [false, false, true, false, false] {
        ensure!(call(ok).is_ok() == ok);
    }
    ensure_eq!(breaker.state(), State::Closed, "a success in between");
    ensure_eq!(breaker.snapshot().counts.consecutive_failures, 2);
    ensure!(call(false) == Err(Error::Inner("down")), "the one that trips it has its own error");
    ensure_eq!(breaker.state(), State::Open);
    ensure!(matches!(call(true), Err(Error::Rejected(_))));
    Ok(())
}

pub(super) fn open_it_refuses_until_its_time_is_over<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    breaker.trip();
    for eighths in (1..=8).rev() {
        let refused = breaker.permit();
        ensure!(reason(refused) == Some(Reason::CircuitOpen));
        let left = wait(breaker.permit()).ok_or(Failure::new("it knows for how long"))?;
        ensure!(left <= EIGHTH * eighths && left > EIGHTH * (eighths - 1));
        ensure!(breaker.time_until_half_open() == Some(left));
        clock.advance(EIGHTH);
    }
    ensure_eq!(breaker.state(), State::Open, "looking changes nothing");
    let probe = permit!(breaker);
    ensure_eq!(breaker.state(), State::HalfOpen);
    probe.success();
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn half_open_it_lets_in_so_many_probes<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG.max_probes(2).success_threshold(3), &clock);
    breaker.trip();
    clock.advance(SECOND);
    let (first, second) = (permit!(breaker), permit!(breaker));
    ensure!(reason(breaker.permit()) == Some(Reason::ProbesBusy));
    first.success();
    let third = permit!(breaker);
    ensure!(reason(breaker.permit()) == Some(Reason::ProbesBusy));
    second.success();
    ensure_eq!(breaker.snapshot().counts.successes, 2);
    ensure_eq!(breaker.state(), State::HalfOpen);
    third.success();
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn every_way_out_gives_a_probe_back<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    half_open(&breaker, &clock)?;
    for outcome in [Outcome::Ignored, Outcome::Abandoned, Outcome::Refused] {
        let probe = permit!(breaker);
        ensure!(reason(breaker.permit()) == Some(Reason::ProbesBusy));
        probe.finish(outcome);
        ensure_eq!(breaker.state(), State::HalfOpen);
    }
    drop(permit!(breaker));
    {
        let mut guarded = pin!(breaker.guard(pending::<Result<(), ()>>()));
        ensure!(poll_once(guarded.as_mut()).is_pending());
        ensure!(reason(breaker.permit()) == Some(Reason::ProbesBusy));
    }
    ensure!(breaker.call(|| Ok::<_, ()>(7)) == Ok(7));
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn a_failed_probe_reopens_it<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG.max_probes(2).success_threshold(2), &clock);
    half_open(&breaker, &clock)?;
    let (good, bad) = (permit!(breaker), permit!(breaker));
    bad.failure();
    ensure_eq!(breaker.state(), State::Open);
    good.success();
    ensure_eq!(breaker.state(), State::Open, "a result from before");
    clock.advance(EIGHTH * 7);
    ensure!(breaker.permit().is_err(), "the open time begins anew");
    clock.advance(EIGHTH);
    ensure!(breaker.permit().is_ok());
    Ok(())
}

pub(super) fn probes_may_be_judged_by_rate<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = CONFIG.max_probes(4).probe_failure_rate(Ratio::percent(50), 4);
    let breaker = CircuitBreaker::new(config, &clock);
    // One of four failed: it closes when all have reported.
    half_open(&breaker, &clock)?;
    for (ok, state) in [(true, 2), (false, 2), (true, 2), (true, 0)] {
        let probe = permit!(breaker);
        probe.finish(if ok { Outcome::Success } else { Outcome::Failure });
        ensure_eq!(breaker.state() as u32, state);
    }
    // Two of four have: it reopens as soon as that is certain.
    half_open(&breaker, &clock)?;
    permit!(breaker).failure();
    permit!(breaker).failure();
    ensure_eq!(breaker.state(), State::Open);
    Ok(())
}

pub(super) fn probes_that_never_report_time_out<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG.half_open_timeout(SECOND * 2), &clock);
    half_open(&breaker, &clock)?;
    let lost = permit!(breaker);
    clock.advance(SECOND);
    ensure!(reason(breaker.permit()) == Some(Reason::ProbesBusy));
    // Late by a part of the timeout and the lateness together, where words are narrow.
    clock.advance(SECOND * 2);
    ensure!(reason(breaker.permit()) == Some(Reason::CircuitOpen));
    clock.advance(SECOND);
    let next = permit!(breaker);
    lost.failure();
    ensure_eq!(breaker.state(), State::HalfOpen, "what was lost decides nothing");
    next.success();
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn a_result_from_before_a_transition_is_dropped<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    let (late, later, latest) = (permit!(breaker), permit!(breaker), permit!(breaker));
    half_open(&breaker, &clock)?;
    let probe = permit!(breaker);
    late.success();
    ensure_eq!(breaker.state(), State::HalfOpen, "an old success does not close it");
    later.failure();
    ensure_eq!(breaker.state(), State::HalfOpen, "an old failure does not open it");
    latest.ignore();
    ensure!(reason(breaker.permit()) == Some(Reason::ProbesBusy), "and none gives a probe back");
    probe.success();
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn states_set_by_hand_are_left_by_hand<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    breaker.force_open();
    clock.advance(SECOND * 100);
    let refused = breaker.permit();
    ensure!(wait(refused).is_none(), "nobody knows for how long");
    ensure!(reason(breaker.permit()) == Some(Reason::CircuitOpen));
    ensure_eq!(breaker.state(), State::ForcedOpen);
    breaker.disable();
    for _ in 0..5 {
        permit!(breaker).failure();
    }
    ensure_eq!(breaker.state(), State::Disabled);
    breaker.metrics_only();
    for _ in 0..5 {
        permit!(breaker).failure();
    }
    ensure_eq!(breaker.state(), State::MetricsOnly);
    ensure_eq!(breaker.snapshot().counts.consecutive_failures, 5);
    breaker.reset();
    ensure_eq!(breaker.state(), State::Closed);
    ensure_eq!(breaker.snapshot().counts.consecutive_failures, 0);
    permit!(breaker).failure();
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn the_open_time_grows_and_falls_back<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = CONFIG.open_growth(Ratio::percent(200), SECOND * 4);
    let breaker = CircuitBreaker::new(config, &clock);
    breaker.trip();
    for seconds in [1, 2, 4, 4] {
        clock.advance(SECOND * seconds - EIGHTH);
        ensure!(breaker.permit().is_err());
        clock.advance(EIGHTH);
        permit!(breaker).failure();
    }
    clock.advance(SECOND * 4);
    permit!(breaker).success();
    breaker.trip();
    clock.advance(SECOND);
    ensure!(breaker.permit().is_ok(), "once closed, it begins with the first again");
    Ok(())
}

pub(super) fn the_open_time_is_jittered_within_bounds<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG.open_jitter(50, 7), &clock);
    let (mut shortest, mut longest) = (SECOND, EIGHTH);
    for _ in 0..20 {
        breaker.trip();
        let open = breaker.time_until_half_open().ok_or(Failure::new("it is open"))?;
        (shortest, longest) = (shortest.min(open), longest.max(open));
        breaker.reset();
        clock.advance(EIGHTH);
    }
    ensure!(longest <= SECOND && shortest >= EIGHTH * 3, "within half of it");
    ensure!(longest - shortest > EIGHTH, "it is spread");
    Ok(())
}

pub(super) fn a_rule_of_ones_own_trips_it<const HZ: u64>() -> Checked {
    fn three_bad(counts: &Counts) -> bool {
        counts.consecutive_failures == 3
    }
    let clock = ManualClock::<HZ>::new();
    let config = CONFIG.without_consecutive_failures();
    ensure!(CircuitBreaker::try_new(config, &clock).is_err(), "there must be a rule");
    let breaker = CircuitBreaker::new(config.trip_when(three_bad), &clock);
    permit!(breaker).failure();
    permit!(breaker).failure();
    ensure_eq!(breaker.state(), State::Closed);
    permit!(breaker).failure();
    ensure_eq!(breaker.state(), State::Open);
    Ok(())
}

pub(super) fn an_abandoned_call_says_nothing_unless_told<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    for _ in 0..5 {
        drop(permit!(breaker));
    }
    ensure_eq!(breaker.state(), State::Closed);
    let breaker = CircuitBreaker::new(CONFIG.abandoned_is_failure(true), &clock);
    drop(permit!(breaker));
    drop(permit!(breaker));
    ensure_eq!(breaker.state(), State::Open);
    Ok(())
}

pub(super) fn a_meter_counts_and_limits<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let meter = Meter::new().max_concurrent(2);
    let breaker = CircuitBreaker::new(CONFIG, &clock).metered(meter);
    let (first, second) = (permit!(breaker), permit!(breaker));
    ensure!(reason(breaker.permit()) == Some(Reason::BulkheadFull));
    ensure!(breaker.snapshot().running == Some(2));
    first.success();
    second.failure();
    permit!(breaker).ignore();
    clock.advance(SECOND);
    let now = breaker.snapshot();
    let totals = now.totals.ok_or(Failure::new("it has a meter"))?;
    ensure_eq!(totals.successes, 1);
    ensure_eq!(totals.failures, 1);
    ensure_eq!(totals.ignored, 1);
    ensure_eq!(totals.rejected, 1);
    ensure_eq!(totals.requests, 2);
    ensure!(now.running == Some(0));
    ensure!(now.since_last_change.is_none());
    ensure!(now.since_last_failure.is_some_and(|ago| ago >= EIGHTH * 7 && ago <= EIGHTH * 9));
    Ok(())
}

pub(super) fn an_observer_hears_of_every_change_once<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let breaker = CircuitBreaker::new(CONFIG, &clock).observed_by("sensor", &journal);
    permit!(breaker).failure();
    permit!(breaker).failure();
    ensure!(breaker.permit().is_err());
    breaker.trip();
    clock.advance(SECOND);
    permit!(breaker).success();
    breaker.reset();
    ensure!(
        journal.took(&[
            ("event", Note::Changed(State::Closed, State::Open)),
            ("event", Note::Refused),
            ("event", Note::Changed(State::Open, State::HalfOpen)),
            ("event", Note::Changed(State::HalfOpen, State::Closed)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn a_task_can_wait_until_it_is_ready<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    ensure!(poll_once(pin!(breaker.until_ready(&clock))) == Poll::Ready(Ok(())));
    breaker.trip();
    let mut until_ready = pin!(breaker.until_ready(&clock));
    ensure!(poll_once(until_ready.as_mut()).is_pending());
    clock.advance(EIGHTH * 7);
    ensure!(poll_once(until_ready.as_mut()).is_pending());
    clock.advance(EIGHTH);
    ensure!(poll_once(until_ready) == Poll::Ready(Ok(())));
    ensure_eq!(breaker.state(), State::Open, "it takes nothing");
    breaker.force_open();
    ensure!(matches!(poll_once(pin!(breaker.until_ready(&clock))), Poll::Ready(Err(_))));
    Ok(())
}

pub(super) fn a_guard_tells_how_its_future_ended<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    let guarded = |result: Result<u32, u32>| poll_once(pin!(breaker.guard(ready(result))));
    ensure!(guarded(Ok(1)) == Poll::Ready(Ok(1)));
    ensure!(guarded(Err(2)) == Poll::Ready(Err(Error::Inner(2))));
    ensure!(guarded(Err(3)) == Poll::Ready(Err(Error::Inner(3))));
    ensure_eq!(breaker.state(), State::Open);
    ensure!(matches!(guarded(Ok(4)), Poll::Ready(Err(Error::Rejected(_)))));
    Ok(())
}

pub(super) fn time_can_be_given_with_each_call<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let later = |time| {
        clock.advance(time);
        fusebox_core::Clock::now(&clock)
    };
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    let at = later(SECOND);
    breaker.trip_at(at);
    ensure!(breaker.enter_at(at).is_err());
    let at = later(SECOND);
    clock.set(fusebox_core::Ticks::ZERO);
    let probe = breaker.enter_at(at).map_err(|_| Failure::new("by the time that was given"))?;
    breaker.exit_at(probe, Outcome::Success, at);
    ensure_eq!(breaker.snapshot_at(at).state, State::Closed);
    Ok(())
}

pub(super) fn its_settings_change_while_it_is_in_use<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = CONFIG.consecutive_failures(4).room_for(SECOND * 4, SECOND * 60);
    let breaker = CircuitBreaker::new(config, &clock);
    permit!(breaker).failure();
    ensure!(breaker.reconfigure(&CONFIG.open_for(SECOND * 4)).is_ok());
    ensure_eq!(breaker.snapshot().counts.consecutive_failures, 1, "nothing is lost");
    permit!(breaker).failure();
    ensure_eq!(breaker.state(), State::Open);
    ensure!(breaker.time_until_half_open().is_some_and(|left| left > SECOND * 3));
    ensure!(breaker.reconfigure(&CONFIG.open_for(SECOND * 90)).is_err(), "there is no room");
    Ok(())
}

pub(super) fn it_lets_calls_back_in_little_by_little<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let ramp = RampUp::new(Ramp::linear(Ratio::percent(50), SECOND * 8));
    let breaker = CircuitBreaker::with_window(CONFIG, ramp, &clock);
    breaker.trip();
    clock.advance(SECOND);
    permit!(breaker).success();
    ensure_eq!(breaker.state(), State::RampingUp);
    let let_in = || (0..100).filter(|_| breaker.call(|| Ok::<_, ()>(())).is_ok()).count();
    ensure!((48..=52).contains(&let_in()), "half of them");
    clock.advance(SECOND * 4);
    ensure!((72..=78).contains(&let_in()), "three in four");
    let refused = (0..10).find_map(|_| breaker.permit().err());
    ensure!(refused.is_some_and(|refused| refused.reason() == Reason::RampingUp));
    clock.advance(SECOND * 5);
    ensure_eq!(let_in(), 100);
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}
