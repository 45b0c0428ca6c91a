//! Timeouts in tiers: the whole request has longer than each of its calls, and that than each of
//! its attempts. Which one cuts?
//!
//! `cargo run -p fusebox-std --example timeouts`

use std::convert::Infallible;
use std::time::Duration;

use fusebox_std::{current_deadline, prelude::*, with_deadline};

const REQUEST: Duration = Duration::from_millis(500);
const CALL: Duration = Duration::from_millis(300);
const ATTEMPT: Duration = Duration::from_millis(100);

/// A call of a service that takes as long as it takes, attempt by attempt.
async fn call(times: [Duration; 3]) -> Result<&'static str, Error<Infallible>> {
    let ending = Deadline::after(&TokioTimer, CALL);
    Pipeline::new(TokioTimer)
        .deadline(CALL)
        .retry(Retry::new(Backoff::constant(Duration::from_millis(20))).on_retry(
            |retry: &Retrying<'_, Infallible>| {
                println!("  the attempt's timeout cut attempt {}", retry.attempt);
            },
        ))
        .attempt_timeout(ATTEMPT)
        // The earlier of this and the call's own deadline holds.
        .call_before(current_deadline(), |attempt| async move {
            tokio::time::sleep(times[attempt.number as usize - 1]).await;
            Ok("answered")
        })
        .await
        .inspect_err(|_| println!("  {} ended it", tier(ending)))
}

/// Whose time is up.
fn tier(call: Deadline) -> &'static str {
    if current_deadline().expired(&TokioTimer) {
        "the deadline of the request"
    } else if call.expired(&TokioTimer) {
        "the deadline of the call"
    } else {
        "no attempt was left: the timeout of the last one"
    }
}

/// A request: something that takes its time, then a call.
async fn request(spent: Duration, times: [u64; 3]) -> Result<&'static str, Error<Infallible>> {
    println!("{spent:?} spent, then a call whose attempts take {times:?} ms:");
    let started = TokioTimer.now();
    let deadline = Deadline::after(&TokioTimer, REQUEST);
    let answer = with_deadline(deadline, async {
        tokio::time::sleep(spent).await;
        call(times.map(Duration::from_millis)).await
    });
    let answer = answer.await;
    let took = TokioTimer.now().saturating_since(started) / 1_000_000;
    println!("  {answer:?} after {took} ms\n");
    answer
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let no_time = Duration::ZERO;
    // Once slow: the attempt is cut, and the next one is answered.
    assert_eq!(request(no_time, [900, 10, 0]).await, Ok("answered"));
    // Slow for good: the third attempt has what the call has left.
    assert_eq!(request(no_time, [900, 900, 900]).await, Err(Error::TimedOut));
    // Little is left of the request: less than an attempt may take.
    assert_eq!(request(REQUEST - ATTEMPT / 2, [900, 0, 0]).await, Err(Error::TimedOut));
}
