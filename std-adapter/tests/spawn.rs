//! Every future is spawned on a multi-thread runtime, from within an async block, with borrowed
//! captures.
//!
//! A future may be `Send` and still be refused by `spawn` ("implementation of `Send` is not general
//! enough") once an async block holds it across an await; only spawning shows that. Waits are real
//! ones, so that each future is pending once and may move between threads.
#![cfg(feature = "tokio")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{BudgetConfig, Event, Ratio, Retrying};

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

/// For every task of these tests.
static BUDGET: RetryBudget = RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), StdClock);

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
        let seen = std::sync::atomic::AtomicU32::new(0);
        Retry::new(Backoff::constant(MS).jitter(Jitter::Full, StdRng))
            .when(RetryIf(|error: &Failure| *error == Failure))
            .budget(&BUDGET)
            .on_retry(|retry: &Retrying<'_, Failure>| {
                seen.store(retry.attempt, std::sync::atomic::Ordering::Relaxed);
            })
            .call(TokioTimer, |attempt| client.get(if attempt.is_retry() { &path } else { "" }))
            .await
    });
    assert_eq!(answer, Ok("db/x".to_owned()));
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
