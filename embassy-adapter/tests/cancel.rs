//! A future that is dropped while it waits on embassy's timer gives back what it took; one that was
//! never polled took nothing.

mod mock;

use std::future::{Future, pending};
use std::pin::pin;

use fusebox_embassy::prelude::*;
use mock::{Alarm, Time, ms};

/// Drops a `future` before its first poll, and another while it waits. The `state` must be as it
/// was.
fn nothing_remains<S: PartialEq + std::fmt::Debug, F: Future>(
    state: impl Fn() -> S,
    future: impl Fn() -> F,
) {
    let before = state();
    drop(future());
    assert_eq!(state(), before);
    let alarm = Alarm::new();
    {
        let mut waiting = pin!(future());
        assert!(alarm.poll(waiting.as_mut()).is_pending());
        assert!(alarm.poll(waiting).is_pending());
    }
    assert_eq!(state(), before);
}

#[test]
fn a_timeout() {
    static BUS: Semaphore = Semaphore::new(1);
    let _time = Time::begin();
    nothing_remains(
        || BUS.available(),
        || {
            Timeout::new(ms(10)).run(EmbassyTimer, async {
                let _held = BUS.try_acquire();
                pending::<Result<(), ()>>().await
            })
        },
    );
}

#[test]
fn a_wait_for_tokens() {
    static PACKETS: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(10).burst(3), EmbassyClock);
    let _time = Time::begin();
    PACKETS.try_acquire(2).expect("within the burst");
    let state = || (PACKETS.peek(), PACKETS.time_until(3));
    nothing_remains(state, || PACKETS.acquire(EmbassyTimer, 3));
    let later = || Deadline::after(&EmbassyClock, ms(500));
    nothing_remains(state, || PACKETS.acquire_before(EmbassyTimer, 3, later()));
    nothing_remains(state, || PACKETS.acquire_timeout(EmbassyTimer, 3, ms(500)));
    nothing_remains(state, || async { PACKETS.of(3).wait_enter(&EmbassyTimer, later()).await });
}

#[test]
fn a_wait_for_permits() {
    static BUS: Semaphore<Queue<2>> = Semaphore::new(2);
    static CALLS: Bulkhead<Queue<2>> = Bulkhead::new(BulkheadConfig::new(1).max_wait(ms(50)));
    let _time = Time::begin();
    let (held, call) = (BUS.try_acquire(), CALLS.permit());
    let state = || (BUS.available(), BUS.waiting(), CALLS.snapshot());
    let later = || Deadline::after(&EmbassyClock, ms(500));
    nothing_remains(state, || BUS.acquire_many(2));
    nothing_remains(state, || CALLS.enter_waiting(EmbassyTimer));
    nothing_remains(state, || async { BUS.of(2).wait_enter(&EmbassyTimer, later()).await });
    drop((held, call));

    // Granted, and dropped before it could collect.
    let held = BUS.try_acquire_many(2);
    let alarm = Alarm::new();
    {
        let mut waits = pin!(BUS.acquire_timeout(EmbassyTimer, ms(10)));
        assert!(alarm.poll(waits.as_mut()).is_pending());
        drop(held);
        assert_eq!(alarm.rung(), 1);
    }
    assert_eq!((BUS.available(), BUS.waiting()), (2, 0));
}

#[test]
fn a_wait_for_a_breaker_and_a_guarded_probe() {
    static RADIO: CircuitBreaker =
        CircuitBreaker::new(BreakerConfig::standard().open_for(ms(100)), EmbassyClock);
    let time = Time::begin();
    RADIO.trip();
    nothing_remains(|| RADIO.snapshot(), || RADIO.until_ready(EmbassyTimer));
    time.advance_millis(100);
    // The probe comes back: the next one is let in.
    for _ in 0..3 {
        let alarm = Alarm::new();
        let limited = Timeout::new(ms(10)).run(EmbassyTimer, pending::<Result<(), ()>>());
        let probe = pin!(RADIO.guard(limited));
        assert!(alarm.poll(probe).is_pending());
    }
    let works = Timeout::new(ms(10)).run(EmbassyTimer, async { Ok::<_, ()>(()) });
    assert_eq!(time.run(RADIO.guard(works)), Ok(()));
    assert_eq!(RADIO.state(), State::Closed);
}

#[test]
fn a_pipeline_wherever_it_is() {
    static CALLS: Bulkhead<Queue<2>> = Bulkhead::new(BulkheadConfig::new(1));
    static PACKETS: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(10).burst(1), EmbassyClock);
    static RADIO: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), EmbassyClock);
    let time = Time::begin();
    let pipeline = Pipeline::new(EmbassyTimer)
        .deadline(ms(900))
        .per_call_waiting(&CALLS)
        .retry(Retry::new(Backoff::constant(ms(50))))
        .per_attempt_waiting((&PACKETS, Immediate(&RADIO)))
        .attempt_timeout(ms(500));
    let state = || (CALLS.snapshot(), PACKETS.peek(), PACKETS.time_until(1), RADIO.snapshot());
    let hangs = || async { pipeline.call(|_| pending::<Result<(), ()>>()).await };

    // At the bulkhead.
    let call = CALLS.permit();
    nothing_remains(state, hangs);
    drop(call);
    // At the bucket, with the bulkhead's permit.
    PACKETS.try_acquire(1).expect("the burst");
    nothing_remains(state, hangs);
    // Under all of them: only what the operation has used is gone.
    time.advance_millis(100);
    let alarm = Alarm::new();
    {
        let running = pin!(hangs());
        assert!(alarm.poll(running).is_pending());
        assert_eq!((CALLS.snapshot().available(), PACKETS.peek()), (0, 0));
    }
    assert_eq!((CALLS.snapshot().available(), PACKETS.peek()), (1, 0));
    // Between two attempts.
    time.advance_millis(100);
    {
        let mut retrying = pin!(pipeline.call(|_| async { Err::<(), _>(()) }));
        assert!(alarm.poll(retrying.as_mut()).is_pending());
    }
    assert_eq!((CALLS.snapshot().available(), RADIO.state()), (1, State::Closed));
    // Nothing comes of what the driver still has in its queue.
    time.advance_millis(10_000);
    assert_eq!((CALLS.snapshot().available(), PACKETS.peek()), (1, 1));
    assert_eq!(time.run(pipeline.call(|_| async { Ok::<_, ()>(7) })), Ok(7));
}
