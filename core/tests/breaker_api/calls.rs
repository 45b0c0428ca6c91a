//! Calls, guards and permits: what was taken comes back exactly once, whatever happens.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Consecutive, Error, FailureIf, Gate, Guard, Meter, Outcome,
    Permit, Reason, State,
};

use super::{Millis, ms};

type Metered<'a> = CircuitBreaker<&'a Millis, Consecutive, Meter>;

fn metered(clock: &Millis) -> Metered<'_> {
    let config = BreakerConfig::standard().consecutive_failures(3).open_for(ms(10));
    CircuitBreaker::new(config, clock).metered(Meter::new())
}

fn half_open(breaker: &Metered<'_>, clock: &Millis) {
    breaker.trip();
    clock.advance(ms(10));
    let probe = breaker.permit().unwrap();
    probe.finish(Outcome::Refused);
    assert_eq!(breaker.state(), State::HalfOpen);
}

fn failures_in_a_row(breaker: &Metered<'_>) -> u64 {
    breaker.snapshot().counts.consecutive_failures
}

#[test]
fn every_way_out_of_a_probe_gives_it_back() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    half_open(&breaker, &clock);
    type GiveBack<'a> = &'a dyn Fn(Permit<&Metered<'_>>);
    let give_back: [GiveBack<'_>; 4] = [
        &|probe| drop(probe),
        &|probe| probe.ignore(),
        &|probe| probe.finish(Outcome::Refused),
        &|probe| probe.finish(Outcome::Abandoned),
    ];
    for give_back in give_back {
        let probe = breaker.permit().unwrap();
        assert_eq!(breaker.permit().unwrap_err().reason(), Reason::ProbesBusy);
        give_back(probe);
        assert_eq!((breaker.state(), breaker.snapshot().running), (State::HalfOpen, Some(0)));
    }
    breaker.permit().unwrap().success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_cancelled_guard_gives_its_probe_back() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    half_open(&breaker, &clock);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut guarded = pin!(breaker.guard(pending::<Result<(), ()>>()));
        assert!(guarded.as_mut().poll(&mut context).is_pending());
        assert!(breaker.permit().is_err(), "the probe is out");
    }
    assert_eq!(breaker.snapshot().running, Some(0));
    assert_eq!(pollster::block_on(breaker.guard(ready(Ok::<_, ()>(7)))), Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn nothing_is_taken_before_the_first_poll() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    half_open(&breaker, &clock);
    let first = breaker.guard(ready(Ok::<_, ()>(1)));
    let second = breaker.guard(ready(Ok::<_, ()>(2)));
    assert_eq!(breaker.snapshot().running, Some(0));
    drop(first);
    assert_eq!(pollster::block_on(second), Ok(2));
    assert_eq!(breaker.snapshot().totals.unwrap().ignored, 0, "nothing was abandoned");
}

#[test]
fn a_refused_guard_never_polls_what_it_guards() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    breaker.force_open();
    let polled = Cell::new(false);
    let result = pollster::block_on(breaker.guard(async {
        polled.set(true);
        Ok::<_, ()>(())
    }));
    assert_eq!(result.unwrap_err().rejection().map(|r| r.reason()), Some(Reason::CircuitOpen));
    assert!(!polled.get());
    let called = breaker.call(|| {
        polled.set(true);
        Ok::<_, ()>(())
    });
    assert!(matches!(called, Err(Error::Rejected(_))) && !polled.get());
}

#[test]
fn a_panic_in_a_call_is_a_failure() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    let call = || breaker.call(|| -> Result<(), ()> { panic!("in the call") });
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!((failures_in_a_row(&breaker), breaker.snapshot().running), (1, Some(0)));
}

#[test]
fn a_panic_in_a_guarded_poll_is_a_failure() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    let guarded = breaker.guard(async {
        if clock.elapsed().is_zero() {
            panic!("in the poll");
        }
        Ok::<_, ()>(())
    });
    let polled = catch_unwind(AssertUnwindSafe(|| pollster::block_on(guarded)));
    assert!(polled.is_err());
    assert_eq!((failures_in_a_row(&breaker), breaker.snapshot().running), (1, Some(0)));
}

#[test]
fn a_panic_in_a_probe_reopens() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    half_open(&breaker, &clock);
    let call = || breaker.call(|| -> Result<(), ()> { panic!("in the probe") });
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_classifier_that_panics_abandons_the_call() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    half_open(&breaker, &clock);
    let classify = |_: &Result<(), ()>| -> Outcome { panic!("in the classifier") };
    let call = || breaker.call_with(classify, || Ok(()));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!((breaker.state(), breaker.snapshot().running), (State::HalfOpen, Some(0)));
    assert!(breaker.permit().is_ok(), "the probe came back");
}

#[test]
fn errors_that_are_no_failures_are_ignored() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    let server_trouble = FailureIf(|status: &u16| *status >= 500);
    for _ in 0..5 {
        let not_found = breaker.call_with(server_trouble, || Err::<(), _>(404));
        assert_eq!(not_found, Err(Error::Inner(404)));
    }
    assert_eq!(failures_in_a_row(&breaker), 0);
    assert_eq!(breaker.snapshot().totals.unwrap().ignored, 5);
    for _ in 0..2 {
        let _ =
            pollster::block_on(breaker.guard(ready(Err::<(), _>(503))).classify(server_trouble));
        let _ =
            pollster::block_on(breaker.guard(ready(Err::<(), _>(404))).classify(server_trouble));
    }
    assert_eq!(failures_in_a_row(&breaker), 2, "an ignored error does not end the row");
    assert_eq!(breaker.call_with(server_trouble, || Ok::<_, u16>(())), Ok(()));
    assert_eq!(failures_in_a_row(&breaker), 0);
}

#[test]
fn an_ignored_error_gives_its_probe_back() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    half_open(&breaker, &clock);
    let never = FailureIf(|_: &()| false);
    for _ in 0..3 {
        assert_eq!(breaker.call_with(never, || Err::<(), _>(())), Err(Error::Inner(())));
        assert_eq!(breaker.state(), State::HalfOpen);
    }
}

#[test]
fn a_guard_polled_after_its_end_stays_pending_and_takes_nothing() {
    let clock = Millis::new();
    let breaker = metered(&clock);
    let mut context = Context::from_waker(Waker::noop());
    let mut guarded = pin!(Guard::new(
        &breaker,
        std::future::poll_fn(|_| { std::task::Poll::Ready(Ok::<_, ()>(())) })
    ));
    assert!(guarded.as_mut().poll(&mut context).is_ready());
    assert!(guarded.as_mut().poll(&mut context).is_pending());
    let now = breaker.snapshot();
    assert_eq!((now.totals.unwrap().successes, now.running), (1, Some(0)));
}

#[test]
fn what_a_guard_runs_is_dropped_before_its_place_is_free() {
    struct Busy<'a>(&'a Metered<'a>, &'a Cell<Option<u64>>);
    impl Drop for Busy<'_> {
        fn drop(&mut self) {
            self.1.set(self.0.snapshot().running);
        }
    }
    let clock = Millis::new();
    let breaker = metered(&clock);
    let running = Cell::new(None);
    {
        let busy = Busy(&breaker, &running);
        let mut guarded = Box::pin(breaker.guard(async move {
            let _busy = &busy;
            pending::<Result<(), ()>>().await
        }));
        let _ = guarded.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    assert_eq!((running.get(), breaker.snapshot().running), (Some(1), Some(0)));
}

#[test]
fn an_observer_that_panics_loses_no_place() {
    struct Panics;
    impl fusebox_core::Observer for Panics {
        fn on_event(&self, _: &fusebox_core::Event<'_>) {
            panic!("in the observer");
        }
    }
    let clock = Millis::new();
    let config = BreakerConfig::standard().consecutive_failures(1);
    let breaker = CircuitBreaker::new(config, &clock)
        .metered(Meter::new().max_concurrent(1))
        .observed_by("db", Panics);
    let permit = breaker.permit().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| permit.failure())).is_err());
    assert_eq!((breaker.state(), breaker.snapshot().running), (State::Open, Some(0)));
}
