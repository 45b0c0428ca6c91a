//! Answers that are not good enough: in a hedged call one counts only where no other attempt can
//! give a better one. The models of retries and hedges have them as well.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Attempt, Backoff, BudgetConfig, Classify, Clock, Decision, Error, Event, Hedge, ManualClock,
    Observer, Outcome, Pipeline, Ratio, Retry, RetryBudget, Timer,
};

type Ms = ManualClock<1_000>;
type Status = u16;

/// The answer, and the time at which it came.
fn run<F: Future>(clock: &Ms, future: F) -> (u64, F::Output) {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return (clock.now().0, output);
        }
        assert!(clock.now().0 < 10_000, "no answer");
        clock.advance(Duration::from_millis(1));
    }
}

/// A service whose attempts take so many milliseconds each, and answer so.
fn service<'a>(
    clock: &'a Ms,
    script: &'a [(u64, Result<Status, ()>)],
) -> impl FnMut(Attempt) -> Pin<Box<dyn Future<Output = Result<Status, ()>> + 'a>> {
    move |attempt| {
        let (takes, result) = script[attempt.number as usize - 1];
        let sleep = clock.sleep_until(clock.now().saturating_add(takes));
        Box::pin(async move {
            sleep.await;
            result
        })
    }
}

fn unavailable(status: &Status) -> Option<Decision> {
    match *status {
        503 => Some(Decision::Retry),
        // One that says to stay away.
        529 => Some(Decision::Stop),
        _ => None,
    }
}

/// After 10 ms.
const HEDGE: Hedge = Hedge::idempotent(Duration::from_millis(10));

#[test]
fn one_that_is_under_way_may_be_better() {
    let clock = Ms::new();
    let call =
        HEDGE.when_value(unavailable).call(&clock, service(&clock, &[(20, Ok(200)), (2, Ok(503))]));
    assert_eq!(run(&clock, call), (20, Ok(200)));
    // By default whatever comes first is the answer.
    let call = HEDGE.call(&clock, service(&clock, &[(20, Ok(200)), (2, Ok(503))]));
    assert_eq!(run(&clock, call), (32, Ok(503)));
}

/// A server that says to stay away was taken for one that answers: the refusal ended the call,
/// though the first attempt would have been answered.
#[test]
fn a_refusal_that_is_final_ends_no_attempt_that_runs() {
    let clock = Ms::new();
    let hedge = HEDGE.when_value(unavailable);
    let call = hedge.call(&clock, service(&clock, &[(20, Ok(200)), (2, Ok(529))]));
    assert_eq!(run(&clock, call), (20, Ok(200)));
    // Where none runs it is the answer, and none follows on it.
    let call = hedge.call(&clock, service(&clock, &[(3, Ok(529))]));
    assert_eq!(run(&clock, call), (23, Ok(529)));
    let call = hedge.call(&clock, service(&clock, &[(20, Ok(529)), (2, Ok(529))]));
    assert_eq!(run(&clock, call), (43, Ok(529)));
}

/// A classifier that ignores by `Refused` made an attempt that had run look as one that had not:
/// its value was thrown away, and its price given back.
#[test]
fn what_has_run_has_run_whatever_the_classifier_says() {
    struct AllRefused;
    impl<V, E> Classify<V, E> for AllRefused {
        fn classify(&self, _result: &Result<V, E>) -> Outcome {
            Outcome::Refused
        }
    }

    let clock = Ms::new();
    let hedged = Pipeline::new(&clock).hedge(HEDGE).classify(AllRefused);
    let mut call = pin!(hedged.call(|_| async { Ok::<_, ()>(7) }));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(call.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));

    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(5);
    let budget = RetryBudget::new(config, &clock);
    (0..5).for_each(|_| budget.deposit());
    let retry = Retry::new(Backoff::none()).budget(&budget);
    let retried = Pipeline::new(&clock).retry(retry).classify(AllRefused);
    let mut call = pin!(retried.call(|_| async { Err::<(), _>("down") }));
    while call.as_mut().poll(&mut cx).is_pending() {}
    assert_eq!(budget.balance(), 3, "two retries took place");
}

#[test]
fn a_final_refusal_is_told() {
    let (clock, log) = (Ms::new(), Log::default());
    let retry = Retry::new(Backoff::none()).when_value(unavailable).observed_by("read", &log);
    let mut call = pin!(retry.call(&clock, |_| async { Ok::<_, ()>(529) }));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(call.as_mut().poll(&mut cx), Poll::Ready(Ok(529)));
    assert_eq!(log.0.take().len(), 1, "that it gave up");
}

#[test]
fn the_next_attempt_starts_at_once() {
    let clock = Ms::new();
    let call =
        HEDGE.when_value(unavailable).call(&clock, service(&clock, &[(3, Ok(503)), (4, Ok(200))]));
    assert_eq!(run(&clock, call), (7, Ok(200)));
}

#[derive(Default)]
struct Log(RefCell<Vec<String>>);

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        self.0.borrow_mut().push(event.to_string());
    }
}

#[test]
fn the_last_one_is_the_callers() {
    let (clock, log) = (Ms::new(), Log::default());
    let hedge = HEDGE.when_value(unavailable).observed_by("read", &log);
    for (second, answer) in [(Ok(503), Ok(503)), (Err(()), Err(Error::Inner(())))] {
        let script = [(3, Ok(503)), (4, second)];
        let call = hedge.call(&clock, service(&clock, &script));
        assert_eq!(run(&clock, call).1, answer);
        assert_eq!(
            log.0.take(),
            [
                "read: all attempts so far have failed, attempt 2 starts",
                "read: gave up after 2 attempts: all attempts were made"
            ]
        );
    }
}

/// The answer was let go for a retry whose wait then ended too late.
#[test]
fn a_wait_that_ends_too_late_leaves_a_timeout() {
    let clock = Ms::new();
    let retry = Retry::new(Backoff::constant(Duration::from_millis(5)))
        .deadline(Duration::from_millis(10))
        .when_value(unavailable);
    let mut call = pin!(retry.call(&clock, |_| async { Ok::<_, ()>(503) }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    clock.advance(Duration::from_millis(10));
    assert_eq!(call.poll(&mut cx), Poll::Ready(Err(Error::TimedOut)));
}
