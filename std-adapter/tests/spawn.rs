//! Every future is spawned on a multi-thread runtime, from within an async block, with borrowed
//! captures.
//!
//! A future may be `Send` and still be refused by `spawn` ("implementation of `Send` is not general
//! enough") once an async block holds it across an await; only spawning shows that. Waits are real
//! ones, so that each future is pending once and may move between threads.
#![cfg(feature = "tokio")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{
    Acquire, AcquireBefore, BudgetConfig, Event, Guard, HeapQueue, HedgeCall, Meter, Ratio,
    Rejection, Retrying,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Something of the caller's that operations borrow.
struct Client {
    name: String,
}

impl Client {
    async fn get(&self, path: &str) -> Result<String, Failure> {
        tokio::time::sleep(MS).await;
        if path.is_empty() { Err(Failure) } else { Ok(format!("{}/{path}", self.name)) }
    }
}

#[derive(Debug, PartialEq)]
struct Failure;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no path")
    }
}

/// For every task of these tests.
static BUDGET: RetryBudget = RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), StdClock);

/// A breaker of every part, on a window of each kind.
type Metered = CircuitBreaker<StdClock, (LastCalls, LastTime), Meter<&'static Histogram>>;

static LATENCIES: Histogram = Histogram::new(HistogramConfig::standard());

fn metered() -> Metered {
    let rates = Rates::failures(Ratio::percent(50));
    let windows = (LastCalls::new(10, rates), LastTime::new(SECOND, rates));
    CircuitBreaker::with_window(breaker_config(), windows, StdClock)
        .metered(Meter::new().latencies(&LATENCIES))
}

fn breaker_config() -> BreakerConfig {
    BreakerConfig::standard().open_for(MS)
}

/// A token each millisecond, of which the first is there.
fn bucket() -> TokenBucket {
    TokenBucket::new(BucketConfig::per_second(1000).max_wait(SECOND), StdClock)
}

fn soon() -> Deadline {
    Deadline::after(&TokioTimer, SECOND)
}

/// Waits while `held` is held by somebody else for a millisecond.
async fn behind<T, P>(held: P, wait: impl Future<Output = T>) -> T {
    let holder = async {
        tokio::time::sleep(MS).await;
        drop(held);
    };
    tokio::join!(wait, holder).0
}

/// Runs `work` on another task.
fn spawned<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::spawn(work).await.expect("no panic") })
}

fn client() -> Client {
    Client { name: "db".to_owned() }
}

#[test]
fn guard() {
    let answer = spawned(async {
        let (client, path, gate) = (client(), String::from("x"), Deadline::NEVER.on(StdClock));
        (&gate, &gate).guard(async { client.get(&path).await }).await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
}

#[test]
fn guards_of_each_primitive() {
    let answers = spawned(async {
        let (client, path) = (client(), String::from("x"));
        let (breaker, bucket) = (metered(), bucket());
        let (semaphore, bulkhead) =
            (Semaphore::<Queue<1>>::new(3), Bulkhead::<Queue<0>>::new(BulkheadConfig::new(1)));
        let gates = (&bulkhead, semaphore.of(2), bucket.of(1), &breaker);
        let borrowed = gates.guard(async { client.get(&path).await }).await;
        let one = semaphore.guard(client.get(&path)).await;
        let other = breaker.guard(client.get(&path)).classify(FailureIf(|_: &Failure| true)).await;
        let owned = Guard::new(Arc::new(metered()), client.get(&path)).await;
        [borrowed, one, other, owned]
    });
    assert_eq!(answers, [(); 4].map(|()| Ok("db/x".to_owned())));
}

#[test]
fn until_a_breaker_is_ready() {
    let answers = spawned(async {
        let (plain, all) = (CircuitBreaker::new(breaker_config(), StdClock), metered());
        plain.trip();
        all.trip();
        let timer = TokioTimer;
        [plain.until_ready(TokioTimer).await, all.until_ready(&timer).await]
    });
    assert_eq!(answers, [Ok(()), Ok(())]);
}

#[test]
fn waits_for_tokens() {
    let answers: Result<_, Rejection> = spawned(async {
        let (bucket, timer) = (bucket(), TokioTimer);
        bucket.acquire(&timer, 1).await?;
        bucket.acquire(&timer, 1).await?;
        bucket.acquire_before(&timer, 1, soon()).await?;
        bucket.wait_enter(&timer, soon()).await?;
        bucket.of(1).wait_enter(&timer, Deadline::NEVER).await?;
        // A reservation is held across an await of something else.
        let turn = bucket.reserve(1)?;
        tokio::time::sleep(turn.wait()).await;
        turn.commit();
        Ok(())
    });
    assert_eq!(answers, Ok(()));
}

#[test]
fn waits_for_turns() {
    let answers: Result<_, Rejection> = spawned(async {
        let config = WarmUpConfig::new(Rate::per_second(1000), SECOND);
        let (limit, timer) = (WarmUp::new(config, StdClock), TokioTimer);
        limit.acquire(&timer).await?;
        limit.acquire(&timer).await?;
        limit.acquire_before(&timer, soon()).await?;
        limit.acquire_timeout(TokioTimer, SECOND).await?;
        limit.wait_enter(&timer, soon()).await?;
        (&limit, Some(&limit)).wait_enter(&timer, Deadline::NEVER).await?;
        Ok(())
    });
    assert_eq!(answers, Ok(()));
}

#[test]
fn waits_for_permits() {
    let answers: Result<_, Rejection> = spawned(async {
        let semaphore = Semaphore::<Queue<4>>::new(2);
        let all = || semaphore.try_acquire_many(2);
        drop(behind(all()?, semaphore.acquire()).await?);
        drop(behind(all()?, semaphore.acquire_many(2)).await?);
        drop(behind(all()?, semaphore.acquire_timeout(TokioTimer, SECOND)).await?);
        drop(behind(all()?, semaphore.acquire_before(&TokioTimer, soon())).await?);
        let several = semaphore.of(2);
        let taken = behind(all()?, several.wait_enter(&TokioTimer, soon())).await?;
        several.exit(taken, Outcome::Success);
        semaphore.acquire().await.map(drop)
    });
    assert_eq!(answers, Ok(()));
}

#[test]
fn waits_for_permits_that_are_shared() {
    let answers: Result<_, Rejection> = spawned(async {
        let semaphore =
            Arc::new(Semaphore::<HeapQueue>::with_queue(2, 4).expect("a good configuration"));
        let shared = || Arc::clone(&semaphore);
        let held = (Permit::enter(shared())?, Permit::enter(shared())?);
        // Each wait is a task of its own, and may outlive who started it.
        let first = tokio::spawn(Acquire::new(shared(), 1));
        let second = tokio::spawn(AcquireBefore::new(shared(), 1, TokioTimer, soon()));
        tokio::time::sleep(MS).await;
        drop(held);
        let first = first.await.expect("no panic")?;
        let second = second.await.expect("no panic")?;
        drop((first, second));
        Ok(())
    });
    assert_eq!(answers, Ok(()));
}

#[test]
fn waits_at_a_bulkhead() {
    let answers: Result<_, Rejection> = spawned(async {
        let bulkhead = Bulkhead::<Queue<4>>::new(BulkheadConfig::new(1).max_wait(SECOND));
        drop(behind(bulkhead.permit()?, bulkhead.enter_waiting(TokioTimer)).await?);
        drop(behind(bulkhead.permit()?, bulkhead.enter_waiting(&TokioTimer)).await?);
        let taken = behind(bulkhead.permit()?, bulkhead.wait_enter(&TokioTimer, soon())).await?;
        bulkhead.exit(taken, Outcome::Success);
        bulkhead.permit().map(drop)
    });
    assert_eq!(answers, Ok(()));
}

#[test]
fn waits_at_gates_of_all_kinds() {
    let answer: Result<_, Rejection> = spawned(async {
        let bulkhead = Arc::new(Bulkhead::<Queue<4>>::new(BulkheadConfig::new(1)));
        let (bucket, breaker, semaphore) = (bucket(), metered(), Semaphore::<Queue<0>>::new(1));
        bucket.try_acquire(1)?;
        let gates = (Arc::clone(&bulkhead), Some(&bucket), semaphore.of(1), Immediate(&breaker));
        let tokens = behind(bulkhead.permit()?, gates.wait_enter(&TokioTimer, soon())).await?;
        gates.exit(tokens, Outcome::Success);
        Ok(breaker.snapshot().counts.successes)
    });
    assert_eq!(answer, Ok(1));
}

#[test]
fn gates_that_shed() {
    let answers: Result<_, Rejection> = spawned(async {
        let (client, path) = (client(), String::from("x"));
        let shedder = LoadShedder::new(ShedderConfig::new(4));
        let limit: AdaptiveLimit = AdaptiveLimit::new(LimitConfig::gradient2(), StdClock);
        let throttle: AdaptiveThrottle =
            AdaptiveThrottle::new(ThrottleConfig::new(), StdClock, StdRng);
        let codel: CoDel = CoDel::new(CoDelConfig::new(), StdClock);
        let gates = (
            shedder.at(Priority::High),
            limit.at(Priority::Low),
            &throttle,
            codel.since(StdClock.now()),
        );
        let guarded = gates.guard(async { client.get(&path).await }).await;
        let bulkhead = Bulkhead::<Queue<4>>::new(BulkheadConfig::new(1));
        let queue = codel.queue(&bulkhead);
        let token = behind(bulkhead.permit()?, queue.wait_enter(&TokioTimer, soon())).await?;
        queue.exit(token, Outcome::Success);
        let pipeline = Pipeline::new(TokioTimer).per_call_waiting(codel.queue(&bulkhead));
        let piped = pipeline.call(|_| client.get(&path)).await;
        Ok([guarded, piped])
    });
    assert_eq!(answers, Ok([(); 2].map(|()| Ok("db/x".to_owned()))));
}

#[test]
fn wait_enter() {
    struct Silent(#[allow(dead_code, reason = "to be borrowed")] u8);
    impl Observer for Silent {
        fn on_event(&self, _event: &Event<'_>) {}
    }
    let answer = spawned(async {
        let (gate, observer) = (Deadline::NEVER.on(StdClock), Silent(0));
        let observed = Immediate(&gate).observed("gate", &observer);
        let gates = (Immediate(&gate), observed, Some(Immediate(())), None::<()>);
        gates.wait_enter(&TokioTimer, Deadline::after(&TokioTimer, SECOND)).await.map(drop)
    });
    assert_eq!(answer, Ok(()));
}

#[test]
fn timeout_and_deadline() {
    let answers = spawned(async {
        let (client, path) = (client(), String::from("x"));
        let by_timeout = Timeout::FAST.run(TokioTimer, client.get(&path)).await;
        let deadline = Deadline::after(&TokioTimer, SECOND);
        (by_timeout, deadline.run(TokioTimer, client.get(&path)).await)
    });
    assert_eq!(answers, (Ok("db/x".to_owned()), Ok("db/x".to_owned())));
}

#[test]
fn retry() {
    let answer = spawned(async {
        let (client, path) = (client(), String::from("x"));
        let seen = AtomicU32::new(0);
        Retry::new(Backoff::constant(MS).jitter(Jitter::Full, StdRng))
            .when(RetryIf(|error: &Failure| *error == Failure))
            .budget(&BUDGET)
            .on_retry(|retry: &Retrying<'_, Failure>| {
                seen.store(retry.attempt, Relaxed);
            })
            .call(TokioTimer, |attempt| client.get(if attempt.is_retry() { &path } else { "" }))
            .await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
}

#[test]
fn hedge() {
    static SLOW: AfterPercentile = AfterPercentile::new(
        PercentileConfig::new(Ratio::percent(95), Duration::from_micros(100)),
        WindowedHistogram::new(SECOND, HistogramConfig::standard(), TokioTimer),
    );
    let answers = spawned(async {
        let (client, path, bulkhead) =
            (client(), String::from("x"), Bulkhead::<Queue<4>>::new(BulkheadConfig::new(4)));
        let hedge = Hedge::idempotent(&SLOW)
            .max_attempts::<3>()
            .when(RetryIf(|error: &Failure| *error == Failure))
            .budget(&BUDGET);
        let pipeline = Pipeline::new(TokioTimer)
            .deadline(SECOND)
            .per_call(&bulkhead)
            .hedge(&hedge)
            .per_attempt_waiting((&bulkhead, Arc::new(())))
            .attempt_timeout(SECOND);
        let alone = hedge.call(TokioTimer, |_| client.get(&path)).await;
        let (piped, joined, owned) = tokio::join!(
            pipeline.call(|attempt| {
                let client = &client;
                async move { client.get(if attempt.number > 3 { "" } else { "x" }).await }
            }),
            hedge.call(TokioTimer, |_| client.get(&path)),
            HedgeCall::new(Arc::new(hedge), TokioTimer, soon(), |_| client.get(&path)),
        );
        [alone, piped, joined, owned]
    });
    assert_eq!(answers, [(); 4].map(|()| Ok("db/x".to_owned())));
}

#[test]
fn pipeline_inline() {
    let answer = spawned(async {
        let (client, path, gate) = (client(), String::from("x"), Deadline::NEVER.on(StdClock));
        Pipeline::new(TokioTimer)
            .deadline(SECOND)
            .per_call_waiting((Immediate(&gate), Immediate(Some(&gate))))
            .retry(Retry::new(Backoff::constant(MS)))
            .per_attempt((&gate, Arc::new(())))
            .attempt_timeout(SECOND)
            .classify(FailureIf(|_: &Failure| true))
            .call(|attempt| {
                // Borrowed by the attempt: the client, and what the closure captured.
                let (client, path) = (&client, if attempt.is_retry() { &*path } else { "" });
                async move { client.get(path).await }
            })
            .await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
}

#[test]
fn pipeline_with_each_primitive() {
    let answer = spawned(async {
        let (client, path) = (client(), String::from("x"));
        let bulkhead = Bulkhead::<Queue<4>>::new(BulkheadConfig::new(1).max_wait(SECOND));
        let (bucket, breaker) = (bucket(), Arc::new(metered()));
        let pipeline = Pipeline::new(TokioTimer)
            .deadline(SECOND)
            .per_call_waiting((&bulkhead, &bucket))
            .retry(Retry::new(Backoff::constant(MS)).budget(&BUDGET))
            .per_attempt_waiting((Some(bucket.of(1)), Immediate(Arc::clone(&breaker))))
            .attempt_timeout(SECOND);
        let held = bulkhead.permit();
        let call = pipeline.call(|attempt| client.get(if attempt.is_retry() { &path } else { "" }));
        drop(held);
        call.await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
}

#[test]
fn pipeline_with_a_borrowed_meter() {
    let (answer, now) = spawned(async {
        let (client, path) = (client(), String::from("x"));
        let latencies: Histogram<TokioTimer> = Histogram::new(HistogramConfig::standard());
        let meter = PipelineMeter::with_latencies(&latencies, TokioTimer);
        let last_error: LastError = LastError::new();
        let breaker = metered();
        let pipeline = Pipeline::new(TokioTimer)
            .retry(Retry::new(Backoff::constant(MS)))
            .per_attempt(&breaker)
            .classify(&last_error)
            .metered(&meter);
        let call = pipeline.call(|attempt| client.get(if attempt.is_retry() { &path } else { "" }));
        let answer = tokio::join!(call, client.get("else")).0;
        assert_eq!(last_error.text().as_deref(), Some("no path"));
        (answer, meter.snapshot())
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
    assert_eq!((now.successes, now.attempts, now.latency.map(|l| l.count)), (1, 2, Some(1)));
}

#[test]
fn pipeline_on_statics() {
    static BULKHEAD: Bulkhead = Bulkhead::new(BulkheadConfig::new(8));
    static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    let answer = spawned(async {
        let client = client();
        let pipeline = Pipeline::new(TokioTimer).per_call(&BULKHEAD).per_attempt(&BREAKER);
        pipeline.call(|_| client.get("x")).await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
}

#[test]
fn pipeline_on_a_borrowed_timer() {
    let answer = spawned(async {
        let (client, clock) = (client(), ManualClock::<1000>::new());
        let pipeline =
            Pipeline::new(&clock).deadline(SECOND).per_attempt(Deadline::NEVER.on(&clock));
        pipeline.call_before(Deadline::NEVER, |_| client.get("x")).await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
}

#[test]
fn pipeline_shared_between_tasks() {
    let answer = spawned(async {
        let gate = Arc::new(Deadline::NEVER.on(StdClock));
        let pipeline = Arc::new(
            Pipeline::new(TokioTimer)
                .retry(Retry::new(Backoff::none()))
                .per_attempt_waiting(Immediate(gate)),
        );
        let tasks = (0..4).map(|_| {
            let pipeline = Arc::clone(&pipeline);
            tokio::spawn(async move {
                let client = client();
                pipeline.call(|_| client.get("x")).await
            })
        });
        let mut answers = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            answers.push(task.await.expect("no panic"));
        }
        answers
    });
    assert!(answer.iter().all(|answer| *answer == Ok("db/x".to_owned())));
}

#[test]
fn a_chain_of_fallbacks() {
    let answer = spawned(async {
        let client = client();
        let breaker: CircuitBreaker = CircuitBreaker::new(breaker_config(), StdClock);
        let stale = String::from("stale");
        let chain = breaker
            .guard(client.get(""))
            .fallback_if(Error::is_rejected, |error| async { Err(error) })
            .fallback(|_| client.get("replica"))
            .fallback(|_| async { Ok::<_, Failure>(stale.clone()) })
            .or_value(String::new());
        tokio::join!(chain, client.get("else")).0
    });
    assert_eq!((answer.tier(), answer.into_inner()), (2, "db/replica".into()));
}

// Futures given bare, without an `async` block around them, to what holds several at once. That
// asks the compiler for their outputs, and in a spawned task it takes each lifetime for an unknown
// of its own: it refuses futures whose types must agree on one ("implementation of `Gate` is not
// general enough", "one type is more general than the other").

/// The path of all attempts but the first, which fails.
fn again(attempt: Attempt) -> &'static str {
    if attempt.is_retry() { "x" } else { "" }
}

#[test]
fn calls_and_waits_side_by_side() {
    let answers: Result<_, Rejection> = spawned(async {
        let (client, timer, seen) = (client(), TokioTimer, AtomicU32::new(0));
        let (breaker, bucket, shared) = (metered(), bucket(), Arc::new(metered()));
        let bulkhead = Bulkhead::<Queue<4>>::new(BulkheadConfig::new(4));
        let semaphore = Semaphore::<Queue<4>>::new(8);
        let retry = Retry::new(Backoff::constant(MS).jitter(Jitter::Full, StdRng))
            .budget(&BUDGET)
            .when(RetryIf(|error: &Failure| *error == Failure))
            .on_retry(|retry: &Retrying<'_, Failure>| seen.store(retry.attempt, Relaxed));
        let pipeline = Pipeline::new(&timer)
            .deadline(SECOND)
            .per_call_waiting((&bulkhead, Some(bucket.of(1))))
            .retry(retry)
            .per_attempt_waiting((semaphore.of(2), Immediate((&breaker, Arc::clone(&shared)))))
            .attempt_timeout(SECOND)
            .classify(FailureIf(|_: &Failure| true));
        let (both, gates) =
            ((&bulkhead, &breaker), (&bucket, semaphore.of(1), Immediate(&breaker)));
        let (called, retried, guarded, timed, entered, waited) = tokio::join!(
            pipeline.call(|attempt| client.get(again(attempt))),
            retry.call(&timer, |attempt| client.get(again(attempt))),
            both.guard(client.get("x")),
            Timeout::FAST.run(&timer, client.get("x")),
            gates.wait_enter(&timer, soon()),
            bucket.acquire(&timer, 1),
        );
        gates.exit(entered?, Outcome::Success);
        waited?;
        Ok([called, retried, guarded, timed])
    });
    assert_eq!(answers, Ok([(); 4].map(|()| Ok("db/x".to_owned()))));
}

#[test]
fn calls_side_by_side_in_other_ways() {
    let answers = spawned(async {
        let (client, clock) = (client(), ManualClock::<1000>::new());
        let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
        let retry = Retry::new(Backoff::constant(MS));
        let pipeline = Pipeline::new(TokioTimer).per_call((&breaker, ())).retry(retry);

        let (first, second) = futures_util::join!(
            pipeline.call(|attempt| client.get(again(attempt))),
            retry.call(TokioTimer, |attempt| client.get(again(attempt))),
        );
        let (third, fourth) = futures_util::future::join(
            pipeline.call(|attempt| client.get(again(attempt))),
            breaker.guard(client.get("x")),
        )
        .await;
        let fifth = tokio::select! {
            answer = pipeline.call(|_| client.get("x")) => answer,
            answer = retry.call(TokioTimer, |_| client.get("x")) => answer,
        };
        [first, second, third, fourth, fifth]
    });
    assert_eq!(answers, [(); 5].map(|()| Ok("db/x".to_owned())));
}

#[test]
fn calls_kept_in_a_struct() {
    struct Kept<A, B> {
        called: A,
        retried: B,
    }
    let answers = spawned(async {
        let (client, breaker) = (client(), metered());
        let retry = Retry::new(Backoff::constant(MS)).budget(&BUDGET);
        let pipeline = Pipeline::new(TokioTimer).retry(retry).per_attempt(&breaker);
        let kept = Kept {
            called: pipeline.call(|attempt| client.get(again(attempt))),
            retried: retry.call(TokioTimer, |attempt| client.get(again(attempt))),
        };
        tokio::time::sleep(MS).await;
        [kept.called.await, kept.retried.await]
    });
    assert_eq!(answers, [(); 2].map(|()| Ok("db/x".to_owned())));
}
