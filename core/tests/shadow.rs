//! Shadow mode: it decides and reports, and never refuses, whenever it is turned on or off.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Deadline, Event, Gate, ManualClock, Named, Observer, Outcome,
    Queue, Reason, Semaphore, Shadow, State, WaitGate,
};

#[derive(Default)]
struct Log(RefCell<Vec<String>>);

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        self.0.borrow_mut().push(event.to_string());
    }
}

#[test]
fn what_is_spared_is_counted_and_reported() {
    let log = Log::default();
    let permits: Semaphore = Semaphore::new(1);
    let shadow = Shadow::new(&permits).observed_by("queries", &log);
    let held = shadow.permit().unwrap();
    let spared = shadow.permit().unwrap();
    assert_eq!((shadow.spared(), shadow.is_enforced()), (1, false));
    shadow.enforce();
    assert_eq!(shadow.permit().unwrap_err().reason(), Reason::BulkheadFull);
    assert_eq!(shadow.spared(), 1, "that one was not spared");
    drop((held, spared));
    assert_eq!(
        log.0.take(),
        [
            "queries: let in, but would be rejected: all permits are out",
            "queries: rejected: all permits are out"
        ]
    );
}

/// What a call took is in its token: who turns the switch while calls are out gets neither a permit
/// too many nor one too few.
#[test]
fn turning_it_while_calls_are_out_loses_nothing() {
    let permits: Semaphore = Semaphore::new(2);
    let shadow = (&permits).shadow();
    let calls: Vec<_> = (0..5).map(|_| shadow.permit().unwrap()).collect();
    assert_eq!((permits.available(), shadow.spared()), (0, 3));
    shadow.enforce();
    for call in calls.into_iter().rev() {
        call.success();
    }
    assert_eq!(permits.available(), 2);
    let held = shadow.permit().unwrap();
    shadow.only_watch();
    drop(held);
    assert_eq!(permits.available(), 2);
}

/// In the dark nobody waits; a wait that began in the light is let in at its next poll, and its
/// place in the queue is free.
#[test]
fn who_would_wait_is_let_in_at_once() {
    let clock: ManualClock = ManualClock::new();
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let shadow = Shadow::new(&permits);
    let mut cx = Context::from_waker(Waker::noop());
    let held = permits.try_acquire().unwrap();
    let mut dark = pin!(shadow.wait_enter(&clock, Deadline::NEVER));
    assert!(matches!(dark.as_mut().poll(&mut cx), Poll::Ready(Ok(None))));
    assert_eq!((shadow.spared(), permits.waiting()), (1, 0));

    shadow.enforce();
    let mut light = pin!(shadow.wait_enter(&clock, Deadline::NEVER));
    assert!(light.as_mut().poll(&mut cx).is_pending());
    let full = pin!(shadow.wait_enter(&clock, Deadline::NEVER)).poll(&mut cx);
    assert!(matches!(full, Poll::Ready(Err(full)) if full.reason() == Reason::QueueFull));
    shadow.only_watch();
    assert!(matches!(light.poll(&mut cx), Poll::Ready(Ok(None))));
    assert_eq!((shadow.spared(), permits.waiting()), (2, 0));
    drop(held);
    assert_eq!(permits.available(), 1);
}

#[test]
fn a_breaker_opens_in_the_dark_and_judges_only_whom_it_let_in() {
    let clock: ManualClock<1000> = ManualClock::new();
    let config = BreakerConfig::standard().consecutive_failures(2);
    let shadow = CircuitBreaker::new(config, &clock).shadow();
    for _ in 0..10 {
        assert!(shadow.call(|| Err::<(), _>("down")).unwrap_err().inner().is_some());
    }
    assert_eq!((shadow.inner().state(), shadow.spared()), (State::Open, 8));
    let probe_to_be = shadow.permit().unwrap();
    clock.advance(std::time::Duration::from_secs(60));
    probe_to_be.finish(Outcome::Success);
    assert_eq!(shadow.inner().state(), State::Open, "it was not let in by the breaker");
    assert_eq!(shadow.call(|| Ok::<_, ()>(1)), Ok(1));
    assert_eq!(shadow.inner().state(), State::Closed);
}

#[test]
fn it_fits_in_a_static_with_an_observer() {
    struct Silent;
    impl Observer for Silent {
        fn on_event(&self, _: &Event<'_>) {}
    }
    static SHADOW: Shadow<Semaphore, Named<Silent>> =
        Shadow::with_observer(Semaphore::new(1), Named::new("static", Silent));
    assert!(SHADOW.permit().is_ok());
    assert!(format!("{SHADOW:?}").contains("enforced: false, spared: 0"));
}
