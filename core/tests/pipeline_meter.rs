//! What a pipeline's meter counts: each call once, whatever becomes of it.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Attempt, Backoff, Clock, Deadline, Error, FailureIf, Gate, Histogram, HistogramConfig,
    ManualClock, Outcome, Pipeline, PipelineMeter, PipelineSnapshot, Queue, Reason, Rejection,
    Retry, Semaphore, Ticks, Timer, WindowedHistogram,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

type Millis = ManualClock<1_000>;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls to the end; a millisecond passes from each poll to the next.
fn run<F: Future>(clock: &Millis, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
        clock.advance(MS(1));
    }
}

/// Asserts that each call is counted in one place.
#[track_caller]
fn check(now: &PipelineSnapshot) {
    let ended = now.successes + now.failures + now.ignored + now.abandoned + now.rejections.total();
    assert_eq!(now.calls, ended + now.running, "{now:?}");
    assert!(now.timed_out <= now.failures && now.timed_out <= now.attempts_timed_out, "{now:?}");
}

#[test]
fn each_call_is_counted_as_it_ended() {
    let clock = Millis::new();
    let meter = PipelineMeter::new(&clock);
    let pipeline = Pipeline::new(&clock)
        .classify(FailureIf(|error: &&str| *error != "bad request"))
        .attempt_timeout(MS(10))
        .metered(&meter);
    let call = |result: Result<(), &'static str>| {
        run(&clock, pipeline.call(|_| std::future::ready(result)))
    };
    assert_eq!(meter.snapshot().since_last_failure, None);

    call(Ok(())).unwrap();
    call(Ok(())).unwrap();
    call(Err("down")).unwrap_err();
    clock.advance(MS(5));
    call(Err("bad request")).unwrap_err();
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.calls, now.successes, now.failures, now.ignored), (4, 2, 1, 1));
    assert_eq!((now.consecutive_successes, now.consecutive_failures), (0, 1));
    assert_eq!(now.since_last_failure, Some(MS(5)));

    let hangs = run(&clock, pipeline.call(|_| pending::<Result<(), &str>>()));
    assert_eq!(hangs, Err(Error::TimedOut));
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.failures, now.timed_out, now.attempts_timed_out), (2, 1, 1));
    assert_eq!((now.consecutive_failures, now.since_last_failure), (2, Some(MS(0))));

    call(Ok(())).unwrap();
    let now = meter.snapshot();
    assert_eq!((now.consecutive_successes, now.consecutive_failures), (1, 0));
    assert_eq!((now.attempts, now.retries), (6, 0), "one for each call");
    assert_eq!(now.latency, None, "that was not asked for");
}

#[test]
fn attempts_are_counted_whatever_became_of_the_call() {
    let clock = Millis::new();
    let meter = PipelineMeter::new(&clock);
    let pipeline = Pipeline::new(&clock)
        .retry(Retry::new(Backoff::constant(MS(5))).max_attempts(4))
        .attempt_timeout(MS(10))
        .metered(&meter);

    // The third one works.
    let work = |attempt: Attempt| async move { if attempt.number == 3 { Ok(()) } else { Err(()) } };
    run(&clock, pipeline.call(work)).unwrap();
    let now = meter.snapshot();
    assert_eq!((now.successes, now.attempts, now.retries), (1, 3, 2));

    // The first is cut off, the second fails, and the call is dropped in the wait for the third.
    let mut call = Box::pin(pipeline.call(|attempt| async move {
        if attempt.is_retry() { Err::<(), _>(()) } else { pending().await }
    }));
    for _ in 0..17 {
        assert!(poll(call.as_mut()).is_pending());
        clock.advance(MS(1));
    }
    assert_eq!(meter.snapshot().running, 1);
    drop(call);
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.abandoned, now.running), (1, 0));
    assert_eq!((now.attempts, now.retries, now.attempts_timed_out), (5, 3, 1));
    assert_eq!(now.timed_out, 0, "the call was not");
}

/// Refuses every call of these numbers.
struct Refusing<'a> {
    calls: &'a Cell<u32>,
    refused: &'a [u32],
}

impl Gate for Refusing<'_> {
    type Token = ();
    fn enter(&self) -> Result<(), Rejection> {
        self.calls.set(self.calls.get() + 1);
        if self.refused.contains(&self.calls.get()) {
            return Err(Rejection::new(Reason::RateLimited));
        }
        Ok(())
    }
    fn exit(&self, (): (), _outcome: Outcome) {}
}

#[test]
fn an_attempt_that_a_gate_refuses_is_a_retry_and_no_attempt() {
    let (clock, calls) = (Millis::new(), Cell::new(0));
    let meter = PipelineMeter::new(&clock);
    let retry = Retry::new(Backoff::constant(MS(5))).max_attempts(3);
    let through = |refused| {
        calls.set(0);
        let pipeline = Pipeline::new(&clock)
            .retry(retry)
            .per_attempt(Refusing { calls: &calls, refused })
            .metered(&meter);
        run(&clock, pipeline.call(|_| async { Err::<(), _>("down") }))
    };
    // The second is refused; the third runs.
    assert_eq!(through(&[2]), Err(Error::Inner("down")));
    let now = meter.snapshot();
    assert_eq!((now.failures, now.attempts, now.retries), (1, 2, 2));
    // The last is refused: that is the answer, though the operation has run.
    assert!(through(&[3]).unwrap_err().is_rejected());
    let now = meter.snapshot();
    assert_eq!((now.failures, now.attempts, now.retries), (1, 4, 4));
    assert_eq!(now.rejections.of(Reason::RateLimited), 1);
    // All are.
    assert!(through(&[1, 2, 3]).unwrap_err().is_rejected());
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.attempts, now.retries), (4, 6));
    assert_eq!(now.rejections.iter().collect::<Vec<_>>(), [(Reason::RateLimited, 2)]);
}

#[test]
fn refusals_are_counted_by_reason() {
    let clock = Millis::new();
    let meter = PipelineMeter::new(&clock);
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let pipeline = Pipeline::new(&clock).deadline(MS(5)).metered(&meter);
    let held = permits.permit();
    let at_once = pipeline.per_call(&permits);
    assert!(run(&clock, at_once.call(|_| async { Ok::<_, ()>(()) })).is_err());
    let waiting = pipeline.per_call_waiting(&permits);
    assert!(run(&clock, waiting.call(|_| async { Ok::<_, ()>(()) })).is_err());
    let late = Deadline::after(&&clock, Duration::ZERO);
    assert!(run(&clock, waiting.call_before(late, |_| async { Ok::<_, ()>(()) })).is_err());
    // A place in the queue is given up.
    let mut gone = Box::pin(waiting.call(|_| async { Ok::<_, ()>(()) }));
    assert!(poll(gone.as_mut()).is_pending());
    assert_eq!(meter.snapshot().running, 1);
    drop(gone);
    drop(held);
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.calls, now.abandoned, now.attempts), (4, 1, 0));
    assert_eq!(now.rejections.of(Reason::BulkheadFull), 1);
    assert_eq!(now.rejections.of(Reason::QueueTimeout), 1);
    assert_eq!(now.rejections.of(Reason::DeadlineExceeded), 1);
    assert_eq!(now.rejections.of(Reason::CircuitOpen), 0);
    assert_eq!(now.rejections.total(), 3);
}

#[test]
fn a_panic_is_a_failure() {
    let clock = Millis::new();
    let meter = PipelineMeter::new(&clock);
    let pipeline = Pipeline::new(&clock).metered(&meter);
    let mut call = Box::pin(
        pipeline.call(|_| poll_fn(|_| -> Poll<Result<(), ()>> { panic!("in the operation") })),
    );
    let panicked = catch_unwind(AssertUnwindSafe(|| poll(call.as_mut())));
    assert!(panicked.is_err());
    drop(call);
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.failures, now.abandoned, now.attempts), (1, 0, 1));

    // In a gate, before anything has run.
    struct Spiteful;
    impl Gate for Spiteful {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            panic!("in the gate")
        }
        fn exit(&self, (): (), _outcome: Outcome) {}
    }
    let gated = pipeline.per_call(&Spiteful);
    let mut call = Box::pin(gated.call(|_| async { Ok::<_, ()>(()) }));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
    drop(call);
    let now = meter.snapshot();
    check(&now);
    assert_eq!((now.failures, now.abandoned, now.attempts, now.running), (1, 1, 1, 0));
}

#[test]
fn nothing_is_counted_before_the_first_poll_or_after_the_last() {
    let clock = Millis::new();
    let meter = PipelineMeter::new(&clock);
    let pipeline = Pipeline::new(&clock).metered(&meter);
    drop(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    assert_eq!(meter.snapshot().calls, 0);
    let mut call = Box::pin(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    assert!(poll(call.as_mut()).is_ready());
    assert!(poll(call.as_mut()).is_pending(), "an answer is given once");
    drop(call);
    let now = meter.snapshot();
    assert_eq!((now.calls, now.successes, now.abandoned, now.running), (1, 1, 0, 0));
}

#[test]
fn latencies_are_those_of_whole_calls_that_succeeded_or_failed() {
    let clock = Millis::new();
    let all: Histogram<&Millis, 4, 256> = Histogram::new(HistogramConfig::up_to(MS(2_000)));
    assert_eq!(all.unit(), MS(1));
    let meter = PipelineMeter::with_latencies(&all, &clock);
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let pipeline = Pipeline::new(&clock)
        .per_call_waiting(&permits)
        .retry(Retry::new(Backoff::constant(MS(7))).max_attempts(2))
        .attempt_timeout(MS(20))
        .metered(&meter);
    // 3 ms in the queue, 10 ms an attempt that fails, 7 ms of waiting, 10 ms one that works.
    let held = permits.permit();
    let mut call = Box::pin(pipeline.call(|attempt| {
        let until = clock.now().wrapping_add(10);
        let clock = &clock;
        async move {
            clock.sleep_until(until).await;
            if attempt.is_retry() { Ok(()) } else { Err(()) }
        }
    }));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(MS(3));
    drop(held);
    run(&clock, call).unwrap();
    let latency = meter.snapshot().latency.unwrap();
    assert_eq!((latency.count, latency.max), (1, MS(30)));

    // Cut off twice.
    assert!(run(&clock, pipeline.call(|_| pending::<Result<(), ()>>())).is_err());
    let latency = meter.snapshot().latency.unwrap();
    assert_eq!((latency.count, latency.max), (2, MS(47)));

    // Refused, or dropped.
    let tight = Pipeline::new(&clock).per_call(&permits).metered(&meter);
    let held = permits.permit();
    assert!(run(&clock, tight.call(|_| async { Ok::<_, ()>(()) })).is_err());
    drop(held);
    let mut dropped = Box::pin(pipeline.call(|_| pending::<Result<(), ()>>()));
    assert!(poll(dropped.as_mut()).is_pending());
    drop(dropped);
    assert_eq!(all.snapshot().count(), 2);
}

#[test]
fn a_meter_may_be_shared_and_owned() {
    let clock = Millis::new();
    let last_second: WindowedHistogram<_, 4, 4, 4> =
        WindowedHistogram::new(MS(1_000), HistogramConfig::standard(), &clock);
    let meter = PipelineMeter::with_latencies(last_second, &clock);
    let [one, other] = [(); 2].map(|()| Pipeline::new(&clock).metered(&meter));
    run(&clock, one.call(|_| async { Ok::<_, ()>(()) })).unwrap();
    run(&clock, other.call(|_| async { Err::<(), _>(()) })).unwrap_err();
    let now = meter.snapshot();
    assert_eq!((now.successes, now.failures, now.latency.unwrap().count), (1, 1, 2));
    clock.advance(MS(1_000));
    assert_eq!(meter.snapshot().latency, None, "that was more than a second ago");
    let owning = Pipeline::new(&clock).metered(PipelineMeter::new(&clock));
    run(&clock, owning.call(|_| async { Ok::<_, ()>(()) })).unwrap();
    drop(Arc::new(owning));
}

/// Without a meter no clock is read, and with one that keeps no latencies none on success.
#[test]
fn a_clock_is_read_for_latencies_and_failures_only() {
    struct Unread;
    impl Clock for Unread {
        const TICKS_PER_SECOND: u64 = 1_000;
        fn now(&self) -> Ticks {
            panic!("nobody needs the time")
        }
    }
    impl Timer for Unread {
        type Sleep = std::future::Ready<()>;
        fn sleep_until(&self, _at: Ticks) -> Self::Sleep {
            panic!("nobody waits")
        }
    }
    let meter = PipelineMeter::new(Unread);
    let clock = Millis::new();
    run(&clock, Pipeline::new(Unread).call(|_| async { Err::<(), _>(()) })).unwrap_err();
    let metered = Pipeline::new(Unread).metered(&meter);
    run(&clock, metered.call(|_| async { Ok::<_, ()>(()) })).unwrap();
    assert_eq!(meter.snapshot_at(Ticks::ZERO).successes, 1);
}
