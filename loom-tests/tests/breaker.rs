//! Models of the breaker's state word.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::{config, opened, race, two_in_a_row, watched};
use core::time::Duration;
use fusebox_core::Outcome::{Abandoned, Failure, Success};
use fusebox_core::{Reason, State, Ticks};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

#[test]
fn one_probe_for_three_threads() {
    // Race: three calls come when the open time is over; one may probe.
    // Fails when `admit` lets a probe in whether or not its swap succeeded.
    model(|| {
        let (breaker, transitions) = opened(config());
        let (one, two) = (Arc::clone(&breaker), Arc::clone(&breaker));
        let one = loom::thread::spawn(move || one.enter_at(Ticks(10)));
        let two = loom::thread::spawn(move || two.enter_at(Ticks(11)));
        let calls = [breaker.enter_at(Ticks(12)), one.join().unwrap(), two.join().unwrap()];
        assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 1);
        for refused in calls.iter().filter_map(|call| call.as_ref().err()) {
            assert_eq!(refused.reason(), Reason::ProbesBusy);
        }
        assert_eq!(transitions.count(State::Open, State::HalfOpen), 1);
    });
}

#[test]
fn two_probes_for_three_threads() {
    // Race: three calls come when the open time is over; two may probe, none more and none fewer,
    // and the state changes once. Fails when a failed swap refuses the call instead of looking
    // again.
    model(|| {
        let (breaker, transitions) = opened(config().max_probes(2));
        let (one, two) = (Arc::clone(&breaker), Arc::clone(&breaker));
        let one = loom::thread::spawn(move || one.enter_at(Ticks(10)).is_ok());
        let two = loom::thread::spawn(move || two.enter_at(Ticks(10)).is_ok());
        let let_in =
            [breaker.enter_at(Ticks(10)).is_ok(), one.join().unwrap(), two.join().unwrap()];
        assert_eq!(let_in.iter().filter(|let_in| **let_in).count(), 2);
        assert_eq!(transitions.count(State::Open, State::HalfOpen), 1);
    });
}

#[test]
fn a_late_failure_against_a_trip_and_the_first_probe() {
    // Race: a failure of a call from before the trip, against the call that makes the breaker
    // half-open. Whatever the order, the late one neither reopens nor counts as the probe.
    // Fails when `judge` does not compare generations.
    model(|| {
        let (breaker, transitions) = watched(config());
        let late = breaker.enter_at(Ticks(0)).unwrap();
        breaker.trip();
        let ((), probe) = race(
            &breaker,
            move |breaker| breaker.exit_at(late, Failure, Ticks(10)),
            |breaker| breaker.enter_at(Ticks(10)).unwrap(),
        );
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.exit_at(probe, Success, Ticks(11));
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(transitions.count(State::HalfOpen, State::Open), 0);
    });
}

#[test]
fn a_late_success_against_the_first_probe() {
    // Race: a success of a call from before the trip, against the call that makes the breaker
    // half-open. It must not close what the probe has not tried.
    // Fails when `judge` does not compare generations.
    model(|| {
        let (breaker, transitions) = watched(config());
        let late = breaker.enter_at(Ticks(0)).unwrap();
        breaker.trip();
        let ((), probe) = race(
            &breaker,
            move |breaker| breaker.exit_at(late, Success, Ticks(10)),
            |breaker| breaker.enter_at(Ticks(10)).unwrap(),
        );
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.exit_at(probe, Failure, Ticks(11));
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(transitions.count(State::HalfOpen, State::Closed), 0);
    });
}

#[test]
fn an_abandoned_call_of_before_against_the_first_probe() {
    // Race: a call from before the trip is dropped while the first probe goes out. The probe's
    // place is not the late one's to give back.
    // Fails when `give_back` does not compare generations.
    model(|| {
        let (breaker, _) = watched(config());
        let late = breaker.enter_at(Ticks(0)).unwrap();
        breaker.trip();
        let ((), probe) = race(
            &breaker,
            move |breaker| breaker.exit_at(late, Abandoned, Ticks(10)),
            |breaker| breaker.enter_at(Ticks(10)),
        );
        assert!(probe.is_ok());
        assert_eq!(breaker.enter_at(Ticks(10)).unwrap_err().reason(), Reason::ProbesBusy);
    });
}

#[test]
fn a_failure_against_a_reset() {
    // Race: the second of two failures that would trip, against a reset. After the reset nothing
    // old is counted: closed and clean, whether the breaker tripped before it or not.
    // Fails when a reset keeps the generation.
    model(|| {
        let (breaker, transitions) = watched(config().consecutive_failures(2));
        let first = breaker.enter_at(Ticks(0)).unwrap();
        let second = breaker.enter_at(Ticks(0)).unwrap();
        breaker.exit_at(first, Failure, Ticks(0));
        race(
            &breaker,
            move |breaker| breaker.exit_at(second, Failure, Ticks(1)),
            |breaker| breaker.reset(),
        );
        let now = breaker.snapshot();
        assert_eq!((now.state, now.counts.consecutive_failures), (State::Closed, 0));
        let (opened, closed) = (
            transitions.count(State::Closed, State::Open),
            transitions.count(State::Open, State::Closed),
        );
        assert_eq!(opened, closed);
        assert_eq!(transitions.all().len(), opened + closed, "closed to closed is no event");
    });
}

#[test]
fn two_failures_race_to_the_threshold() {
    // Race: two failures, either of which can be the second of two that trip. Both count, one
    // trips, one event tells of both. Fails when a failed swap in `judge` drops the result.
    model(|| {
        let (breaker, transitions) = watched(config().consecutive_failures(2));
        let one = breaker.enter_at(Ticks(0)).unwrap();
        let two = breaker.enter_at(Ticks(0)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(transitions.all(), [(State::Closed, State::Open, 2)]);
    });
}

#[test]
fn a_rule_without_a_window_sees_both() {
    // Race: two failures, and a rule that trips at two in a row. It is asked about each while the
    // other is not yet in the word; the second swap fails, and by then there are two in a row.
    // Fails when `judge` does not ask the rule again after a failed swap.
    model(|| {
        let (breaker, transitions) =
            watched(config().without_consecutive_failures().trip_when(two_in_a_row));
        let one = breaker.enter_at(Ticks(0)).unwrap();
        let two = breaker.enter_at(Ticks(0)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(transitions.all(), [(State::Closed, State::Open, 2)]);
    });
}

#[test]
fn two_failures_each_at_the_threshold() {
    // Race: two failures, each of which alone trips. One does, and tells; the other is of an older
    // generation by then, and neither opens again nor makes the open time longer.
    // Fails when the swap is a plain store.
    model(|| {
        let (breaker, transitions) = watched(config());
        let one = breaker.enter_at(Ticks(0)).unwrap();
        let two = breaker.enter_at(Ticks(0)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(transitions.all(), [(State::Closed, State::Open, 1)]);
        assert_eq!(breaker.snapshot().generation, 1);
    });
}

#[test]
fn a_success_against_a_failure() {
    // Race: a success cleans up a failure while another failure is counted. The success comes
    // before it (one in a row) or after it (none), and is never lost (two).
    // Fails when a failed swap in `judge` drops the result.
    model(|| {
        let (breaker, _) = watched(config().consecutive_failures(3));
        let [first, one, two] = [(); 3].map(|()| breaker.enter_at(Ticks(0)).unwrap());
        breaker.exit_at(first, Failure, Ticks(0));
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Success, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        let failures = breaker.snapshot().counts.consecutive_failures;
        assert!(failures <= 1, "{failures} in a row");
    });
}

#[test]
fn a_probes_result_against_another_probe() {
    // Race: one probe succeeds while another goes out. Neither the result nor the place is lost:
    // one done, one in flight. Fails when the swap is a plain store: one of the two overwrites
    // the other.
    model(|| {
        let (breaker, transitions) = opened(config().max_probes(2).success_threshold(2));
        let first = breaker.enter_at(Ticks(10)).unwrap();
        let ((), second) = race(
            &breaker,
            move |breaker| breaker.exit_at(first, Success, Ticks(11)),
            |breaker| breaker.enter_at(Ticks(11)).unwrap(),
        );
        let third = breaker.enter_at(Ticks(11)).unwrap();
        assert_eq!(breaker.enter_at(Ticks(11)).unwrap_err().reason(), Reason::ProbesBusy);
        assert_eq!(breaker.snapshot().counts.successes, 1);
        breaker.exit_at(second, Success, Ticks(12));
        breaker.exit_at(third, Failure, Ticks(12));
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(transitions.count(State::HalfOpen, State::Closed), 1);
    });
}

#[test]
fn two_probes_report_at_once() {
    // Race: one probe succeeds, enough to close, while the other fails, enough to reopen. One of
    // them decides, the other is of an older generation by then.
    // Fails when the swap is a plain store: both decide.
    model(|| {
        let (breaker, transitions) = opened(config().max_probes(2));
        let one = breaker.enter_at(Ticks(10)).unwrap();
        let two = breaker.enter_at(Ticks(10)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Success, Ticks(11)),
            |breaker| breaker.exit_at(two, Failure, Ticks(11)),
        );
        let closed = transitions.count(State::HalfOpen, State::Closed);
        let opened = transitions.count(State::HalfOpen, State::Open);
        assert_eq!(closed + opened, 1);
        assert_eq!(breaker.state() == State::Closed, closed == 1);
        assert_eq!(breaker.snapshot().counts.consecutive_failures, 0);
    });
}

#[test]
fn a_probe_is_abandoned_against_another_probe() {
    // Race: one probe is dropped while another goes out. The place of the first is free again, that
    // of the second is taken. Fails when `give_back` does not try again after a failed swap:
    // the place is lost.
    model(|| {
        let (breaker, _) = opened(config().max_probes(2));
        let first = breaker.enter_at(Ticks(10)).unwrap();
        let ((), second) = race(
            &breaker,
            move |breaker| breaker.exit_at(first, Abandoned, Ticks(11)),
            |breaker| breaker.enter_at(Ticks(11)),
        );
        assert!(second.is_ok());
        assert!(breaker.enter_at(Ticks(11)).is_ok());
        assert_eq!(breaker.enter_at(Ticks(11)).unwrap_err().reason(), Reason::ProbesBusy);
    });
}

#[test]
fn the_half_open_timeout_against_a_late_result() {
    // Race: the probe's time is up and a call finds that out, just when the probe succeeds. Either
    // the result came in time, and the call finds the breaker closed, or the breaker reopened,
    // and the result is dropped; never both. Fails when `admit` answers for a reopening whose
    // swap failed.
    model(|| {
        let (breaker, transitions) = opened(config());
        let probe = breaker.enter_at(Ticks(10)).unwrap();
        let ((), call) = race(
            &breaker,
            move |breaker| breaker.exit_at(probe, Success, Ticks(30)),
            |breaker| breaker.enter_at(Ticks(30)),
        );
        let closed = transitions.count(State::HalfOpen, State::Closed);
        let opened = transitions.count(State::HalfOpen, State::Open);
        assert_eq!(closed + opened, 1);
        match call {
            Ok(_) => assert_eq!((breaker.state(), closed), (State::Closed, 1)),
            Err(refused) => {
                assert_eq!((breaker.state(), opened), (State::Open, 1));
                assert_eq!(refused.reason(), Reason::CircuitOpen);
                assert_eq!(refused.retry_after(), Some(Duration::from_secs(10)));
            }
        }
    });
}

#[test]
fn forced_open_against_a_call() {
    // Race: the breaker is forced open while a call becomes the first probe. The call may slip in
    // before, but the state stays as it was set, and no later call gets in.
    // Fails when the swap is a plain store: the probe's word overwrites it.
    model(|| {
        let (breaker, _) = opened(config());
        let (call, ()) =
            race(&breaker, |breaker| breaker.enter_at(Ticks(10)), |breaker| breaker.force_open());
        assert_eq!(breaker.state(), State::ForcedOpen);
        if let Ok(probe) = call {
            breaker.exit_at(probe, Success, Ticks(11));
        }
        assert_eq!(breaker.state(), State::ForcedOpen);
        assert!(breaker.enter_at(Ticks(1000)).is_err());
    });
}

#[test]
fn disabled_against_a_result() {
    // Race: the breaker is disabled while a failure trips it. It ends disabled, every transition is
    // told once. Fails when the swap is a plain store: the trip overwrites it.
    model(|| {
        let (breaker, transitions) = watched(config());
        let call = breaker.enter_at(Ticks(0)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(call, Failure, Ticks(1)),
            |breaker| breaker.disable(),
        );
        assert_eq!(breaker.state(), State::Disabled);
        let tripped = transitions.count(State::Closed, State::Open);
        assert_eq!(transitions.count(State::Open, State::Disabled), tripped);
        assert_eq!(transitions.count(State::Closed, State::Disabled), 1 - tripped);
    });
}

#[test]
fn a_stale_clock_reading_against_a_reopening() {
    // Race: a call read the clock (12) and lost the processor; meanwhile another probed at 15,
    // failed at 16, and the breaker is open until 26. To the late one that end lies further
    // ahead than any open time is long, which must read as "wait", not as "long over": late
    // loses. Fails when `open_horizon` leaves out the lateness.
    model(|| {
        let (breaker, transitions) = watched(config());
        let first = breaker.enter_at(Ticks(5)).unwrap();
        breaker.exit_at(first, Failure, Ticks(5));
        let (late, ()) = race(
            &breaker,
            |breaker| breaker.enter_at(Ticks(12)),
            |breaker| {
                let probe = breaker.enter_at(Ticks(15)).unwrap();
                breaker.exit_at(probe, Failure, Ticks(16));
            },
        );
        assert!(late.is_err());
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(transitions.count(State::Open, State::HalfOpen), 1);
        assert!(breaker.enter_at(Ticks(25)).is_err());
        assert!(breaker.enter_at(Ticks(26)).is_ok());
    });
}

#[test]
fn a_stale_clock_reading_against_the_probes_deadline() {
    // Race: a call read the clock (12) and lost the processor; meanwhile another became the second
    // and last probe, at 19, and has time until 29, which is further ahead of 12 than probes
    // may take. The late one finds no place, or the last one; it does not find that the probes'
    // time is up. Fails when `probe_horizon` leaves out the lateness.
    model(|| {
        let (breaker, transitions) = opened(config().max_probes(2));
        breaker.enter_at(Ticks(10)).unwrap();
        let (late, second) = race(
            &breaker,
            |breaker| breaker.enter_at(Ticks(12)),
            |breaker| breaker.enter_at(Ticks(19)),
        );
        let refused = match (late, second) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            other => panic!("one place for two: {other:?}"),
        };
        assert_eq!(refused.reason(), Reason::ProbesBusy);
        assert_eq!(breaker.state(), State::HalfOpen);
        assert_eq!(transitions.count(State::HalfOpen, State::Open), 0);
    });
}

#[test]
fn a_late_probe_against_an_earlier_ones_deadline() {
    // Race: two probes go out; one of them read the clock (12) long before the other (25).
    // Whichever comes last, the probes have time until 35: the late reading must not take it
    // from the other. Fails when `with_probe` sets the deadline without looking at the one that
    // stands.
    model(|| {
        let (breaker, _) = opened(config().max_probes(2));
        race(
            &breaker,
            |breaker| breaker.enter_at(Ticks(12)).unwrap(),
            |breaker| breaker.enter_at(Ticks(25)).unwrap(),
        );
        assert_eq!(breaker.enter_at(Ticks(34)).unwrap_err().reason(), Reason::ProbesBusy);
        assert_eq!(breaker.enter_at(Ticks(37)).unwrap_err().reason(), Reason::CircuitOpen);
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn who_finds_it_closed_comes_after_who_closed_it() {
    // Race: a probe repairs something, succeeds and closes the breaker; a call that finds it closed
    // may use what was repaired. Fails when the load of the word is Relaxed, and when the swap
    // is Acquire.
    model(|| {
        let (breaker, _) = opened(config());
        let repaired = Arc::new(UnsafeCell::new(0));
        let mended = Arc::clone(&repaired);
        let probe = breaker.enter_at(Ticks(10)).unwrap();
        race(
            &breaker,
            move |breaker| {
                mended.with_mut(|_| ());
                breaker.exit_at(probe, Success, Ticks(11));
            },
            |breaker| {
                if breaker.enter_at(Ticks(11)).is_ok() {
                    repaired.with(|_| ());
                }
            },
        );
    });
}

#[test]
fn who_probes_comes_after_the_one_before() {
    // Race: a probe leaves something behind and is dropped; whoever takes its place may touch it.
    // Fails when the swap is Acquire.
    model(|| {
        let (breaker, _) = opened(config());
        let touched = Arc::new(UnsafeCell::new(0));
        let left = Arc::clone(&touched);
        let probe = breaker.enter_at(Ticks(10)).unwrap();
        race(
            &breaker,
            move |breaker| {
                left.with_mut(|_| ());
                breaker.exit_at(probe, Abandoned, Ticks(11));
            },
            |breaker| {
                if breaker.enter_at(Ticks(11)).is_ok() {
                    touched.with_mut(|_| ());
                }
            },
        );
    });
}
