//! Bug 24: the deadline of a retry.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{Backoff, Clock, Decision, Error, ManualClock, Retry, Ticks};

/// Polls to the end on a clock that moves by one tick whenever nothing else does.
fn run<F: Future>(clock: &ManualClock<1000>, future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        clock.advance_ticks(1);
    }
    panic!("no end within 100 s");
}

/// Cause: the total deadline was compared with the time of the attempts only, so that the sleeps
/// came on top of it (temporal sdk-rust#1411). Here attempts are instant, and all the time goes
/// into sleeps.
#[test]
pub(crate) fn sleeps_count_into_the_deadline() {
    let clock = ManualClock::<1000>::new();
    let begun = RefCell::new(Vec::new());
    let retry = Retry::new(Backoff::constant(Duration::from_millis(300)))
        .unlimited()
        .deadline(Duration::from_secs(1));
    let result = run(
        &clock,
        retry.call(&clock, |attempt| {
            begun.borrow_mut().push(clock.now().0);
            async move { Err::<(), _>(attempt.number) }
        }),
    );
    assert_eq!(*begun.borrow(), [0, 300, 600, 900]);
    // The fifth would have begun at 1200: known at 900, and told then, with the error of the
    // fourth.
    assert_eq!((result, clock.now()), (Err(Error::Inner(4)), Ticks(900)));
}

/// Cause: only sleeps were added up, so that slow attempts did not use up the deadline (the other
/// half of temporal sdk-rust#1411).
#[test]
pub(crate) fn attempts_count_into_the_deadline() {
    let clock = ManualClock::<1000>::new();
    let retry = Retry::new(Backoff::constant(Duration::from_millis(1)))
        .unlimited()
        .deadline(Duration::from_secs(1));
    let result = run(
        &clock,
        retry.call(&clock, |attempt| {
            let until = clock.now().saturating_add(400);
            let clock = &clock;
            poll_fn(move |_| {
                if clock.now() < until {
                    Poll::Pending
                } else {
                    Poll::Ready(Err::<(), _>(attempt.number))
                }
            })
        }),
    );
    // 0-400, 401-801, 802-1202: the third is cut off at 1000.
    assert_eq!((result, clock.now()), (Err(Error::TimedOut), Ticks(1000)));
}

/// Cause: a server's "retry after" was slept in full, and the deadline looked at afterwards.
#[test]
pub(crate) fn what_a_server_asks_for_does_not_outlast_the_deadline() {
    let clock = ManualClock::<1000>::new();
    let retry = Retry::new(Backoff::none())
        .when(|_: &&str| Decision::RetryAfter(Duration::from_secs(1)))
        .deadline(Duration::from_secs(1));
    let result = run(&clock, retry.call(&clock, |_| async { Err::<(), _>("busy") }));
    assert_eq!((result, clock.now()), (Err(Error::Inner("busy")), Ticks(0)));
}
