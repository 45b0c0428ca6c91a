//! Under tokio's paused time everything takes exactly as long as it says.
#![cfg(feature = "tokio")]

use std::cell::RefCell;
use std::future::pending;
use std::time::Duration;

use fusebox_std::prelude::*;
use tokio::time::{Instant, advance, sleep};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_that_of_tokio() {
    let (clock, begun) = (TokioClock, TokioTimer.now());
    let real = std::time::Instant::now();
    advance(Duration::from_secs(86_400)).await;
    assert_eq!(clock.now().saturating_since(begun), 86_400_000_000_000);
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_takes_its_time() {
    let begun = Instant::now();
    let hangs = pending::<Result<(), ()>>();
    assert_eq!(Timeout::FAST.run(TokioTimer, hangs).await, Err(Error::TimedOut));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));

    let in_time = async {
        sleep(ms(4_999)).await;
        Ok::<_, ()>(())
    };
    assert_eq!(Timeout::FAST.run(TokioTimer, in_time).await, Ok(()));
    assert_eq!(begun.elapsed(), ms(9_999));

    let deadline = Deadline::after(&TokioTimer, ms(1));
    assert_eq!(deadline.run(TokioTimer, pending::<Result<(), ()>>()).await, Err(Error::TimedOut));
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_beyond_what_instants_can_count_is_none() {
    let begun = Instant::now();
    let slow = async {
        sleep(ms(1)).await;
        Ok::<_, ()>(())
    };
    assert_eq!(Timeout::new(Duration::MAX).run(TokioTimer, slow).await, Ok(()));
    assert_eq!(begun.elapsed(), ms(1));
    let slow = async {
        sleep(ms(1)).await;
        Ok::<_, ()>(())
    };
    let far = Timeout::new(Duration::from_secs(u64::from(u32::MAX)));
    assert_eq!(far.run(TokioTimer, slow).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_retry_sleeps_exactly_its_delays() {
    let (begun, at) = (Instant::now(), RefCell::new(Vec::new()));
    let retry = Retry::new(Backoff::exponential(ms(100)).max_delay(ms(300))).max_attempts(5);
    let result = retry
        .call(TokioTimer, |attempt| {
            at.borrow_mut().push(begun.elapsed());
            async move { Err::<(), _>(attempt.number) }
        })
        .await;
    assert_eq!(result, Err(Error::Inner(5)));
    assert_eq!(*at.borrow(), [ms(0), ms(100), ms(300), ms(600), ms(900)]);
    assert_eq!(begun.elapsed(), ms(900));
}

#[tokio::test(start_paused = true)]
async fn a_retry_ends_before_a_sleep_that_would_pass_its_deadline() {
    let begun = Instant::now();
    let retry = Retry::new(Backoff::constant(ms(300))).unlimited().deadline(ms(1_000));
    let result = retry
        .call(TokioTimer, |attempt| async move {
            sleep(ms(50)).await;
            Err::<(), _>(attempt.number)
        })
        .await;
    // 0-50, 350-400, 700-750: the next would begin at 1050.
    assert_eq!(result, Err(Error::Inner(3)));
    assert_eq!(begun.elapsed(), ms(750));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_left_alone_as_long_as_it_asks() {
    let begun = Instant::now();
    let retry = Retry::new(Backoff::constant(ms(10)).max_delay(ms(20)))
        .when(|wait: &Duration| Decision::RetryAfter(*wait));
    let result = retry
        .call(TokioTimer, |attempt| async move {
            if attempt.is_retry() { Ok(()) } else { Err(Duration::from_secs(7)) }
        })
        .await;
    assert_eq!(result, Ok(()));
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_starts_its_attempts_on_time_and_the_fastest_is_the_answer() {
    let (begun, at) = (Instant::now(), RefCell::new(Vec::new()));
    let hedge = Hedge::idempotent(ms(50)).max_attempts::<4>();
    let pipeline = Pipeline::new(TokioTimer).hedge(hedge).attempt_timeout(ms(500));
    let operation = |attempt: Attempt| {
        at.borrow_mut().push(begun.elapsed());
        async move {
            sleep(if attempt.number == 3 { ms(20) } else { ms(400) }).await;
            Ok::<_, ()>(attempt.number)
        }
    };
    assert_eq!(hedge.call(TokioTimer, operation).await, Ok(3));
    assert_eq!(begun.elapsed(), ms(120));
    assert_eq!(pipeline.call(operation).await, Ok(3));
    assert_eq!(begun.elapsed(), ms(240));
    assert_eq!(*at.borrow(), [0, 50, 100, 120, 170, 220].map(ms));
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_takes_its_timeouts_delays_and_deadline() {
    let begun = Instant::now();
    let pipeline = Pipeline::new(TokioTimer)
        .deadline(ms(1_000))
        .retry(Retry::new(Backoff::constant(ms(100))).max_attempts(10))
        .attempt_timeout(ms(300));
    let deadlines = RefCell::new(Vec::new());
    let origin = TokioTimer.now();
    let result = pipeline
        .call(|attempt| {
            let cut_off = attempt.deadline.ticks().saturating_since(origin) / 1_000_000;
            deadlines.borrow_mut().push((begun.elapsed().as_millis() as u64, cut_off));
            pending::<Result<(), ()>>()
        })
        .await;
    assert_eq!(result, Err(Error::TimedOut));
    assert_eq!(*deadlines.borrow(), [(0, 300), (400, 700), (800, 1_000)]);
    assert_eq!(begun.elapsed(), ms(1_000));
}

/// An operation that uses up tokio's cooperative budget at each poll must not starve its own
/// timeout: real time, as paused time stands still while a task is busy.
#[tokio::test]
async fn a_busy_operation_is_timed_out_all_the_same() {
    let busy = async {
        let mut turns = 0_u64;
        while turns < u64::MAX {
            tokio::task::coop::consume_budget().await;
            turns += 1;
        }
        Ok::<u64, ()>(turns)
    };
    let guarded = Timeout::new(ms(20)).run(TokioTimer, busy);
    let result = tokio::time::timeout(Duration::from_secs(20), guarded).await;
    assert_eq!(result.expect("in time"), Err(Error::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_and_a_warm_up_let_in_at_their_pace() {
    let paced = BucketConfig::paced(Rate::per_second(10)).max_queue(5);
    let bucket = LeakyBucket::new(paced, TokioTimer);
    let begun = Instant::now();
    for calls in 0..5 {
        bucket.acquire(TokioTimer, 1).await.expect("the queue is not full");
        assert_eq!(begun.elapsed(), ms(100) * calls);
    }

    let config = WarmUpConfig::new(Rate::per_second(10), ms(2_000));
    let limit = WarmUp::new(config, TokioTimer);
    let (begun, mut calls) = (Instant::now(), Vec::new());
    for _ in 0..22 {
        limit.acquire(TokioTimer).await.expect("the next turn is near");
        calls.push(begun.elapsed());
    }
    // Guava's curve: from cold to warm in two seconds, in which half as many are let in.
    let at = |call: usize, time: Duration| {
        let late = calls[call].abs_diff(time);
        assert!(late < ms(20), "call {call} came at {:?}", calls[call]);
    };
    at(0, ms(0));
    at(1, ms(290)); // 3 to 2.8 intervals, as the first call warms it up a little.
    at(10, ms(2_000));
    at(20, ms(3_000));
    assert!(calls[21] - calls[20] >= ms(100) && calls[21] - calls[20] < ms(101));

    // One gives up behind another: as if it had not come.
    let before = limit.time_until();
    let (first, second) = (limit.acquire(TokioTimer), limit.acquire(TokioTimer));
    let in_vain = tokio::time::timeout(ms(50), second);
    let (first, second) = tokio::join!(first, in_vain);
    assert!(first.is_ok() && second.is_err());
    assert!(limit.time_until() <= before);
}
