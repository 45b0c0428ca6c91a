//! A consumer of a queue: what cannot be handled goes to a dead-letter store, what nobody can handle
//! now waits.
//!
//! `cargo run -p fusebox-std --example queue`

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use fusebox_std::prelude::*;

/// Mails go out through a service that has its bad moments.
static MAILER: CircuitBreaker = CircuitBreaker::new(
    BreakerConfig::standard().consecutive_failures(2).open_for(Duration::from_millis(300)),
    StdClock,
);

#[derive(Debug)]
enum Failure {
    /// The message is wrong, and will be so next time.
    NoSuchAddress,
    Unreachable,
}

async fn handle(address: &str) -> Result<(), Error<Failure>> {
    let retry =
        Retry::new(Backoff::exponential(Duration::from_millis(10))).when(|failure: &Failure| {
            match failure {
                Failure::NoSuchAddress => Decision::Stop,
                Failure::Unreachable => Decision::Retry,
            }
        });
    Pipeline::new(TokioTimer)
        // Around all attempts, so that whatever it refuses has not been tried at all.
        .per_call(&MAILER)
        .retry(retry)
        .attempt_timeout(Duration::from_millis(50))
        // Wrong messages say nothing about the mailer.
        .classify(FailureIf(|failure: &Failure| matches!(failure, Failure::Unreachable)))
        .call(|_attempt| send(address))
        .await
}

async fn consume(queue: &mut VecDeque<&str>, dead_letters: &mut File) -> io::Result<()> {
    while let Some(address) = queue.pop_front() {
        match handle(address).await {
            Ok(()) => println!("{address}: sent"),
            // No message's fault: it waits until the mailer may be asked again.
            Err(Error::Rejected(rejection)) => {
                let wait = rejection.retry_after().unwrap_or(Duration::from_millis(50));
                println!("{address}: {rejection}");
                queue.push_front(address);
                tokio::time::sleep(wait).await;
            }
            Err(error @ (Error::TimedOut | Error::Inner(_))) => {
                println!("{address}: {error:?}, set aside");
                writeln!(dead_letters, "{address}\t{error:?}")?;
            }
        }
    }
    dead_letters.sync_all()
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("dead-letters-{}", std::process::id()));
    let mut dead_letters = File::options().create(true).append(true).open(&path)?;
    let mut queue = VecDeque::from(["ada", "nobody", "flaky", "eve", "mallory", "grace"]);
    consume(&mut queue, &mut dead_letters).await?;

    let kept = fs::read_to_string(&path)?;
    fs::remove_file(&path)?;
    println!("\nset aside:\n{kept}");
    assert_eq!(kept, "nobody\tInner(NoSuchAddress)\neve\tTimedOut\nmallory\tTimedOut\n");
    Ok(())
}

// ---------------------------------------------------------------------------------- the mailer

async fn send(address: &str) -> Result<(), Failure> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    match address {
        "nobody" => Err(Failure::NoSuchAddress),
        "eve" | "mallory" => std::future::pending().await,
        "flaky" if TRIED.fetch_add(1, Relaxed) < 2 => Err(Failure::Unreachable),
        _ => Ok(()),
    }
}
