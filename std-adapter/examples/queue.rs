//! A consumer of a queue: what cannot be handled goes to a dead-letter store, at once where the
//! message is wrong, after some deliveries where it is not known what is. What nobody can handle
//! now waits, and its deliveries do not count.
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
    BreakerConfig::standard().consecutive_failures(2).open_for(Duration::from_millis(100)),
    StdClock,
);

#[derive(Debug)]
enum Failure {
    /// The message is wrong, and will be so next time.
    NoSuchAddress,
    Unreachable,
}

/// After so many deliveries a message is set aside. In an outage only the breaker's probes are
/// delivered, each with another message: so this bounds what an outage costs, too.
const MOST_DELIVERIES: u32 = 3;

struct Message {
    address: &'static str,
    deliveries: u32,
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

async fn consume(queue: &mut VecDeque<Message>, dead_letters: &mut File) -> io::Result<()> {
    // It stays in the queue until it is done with: who cancels this loses none.
    while let Some(Message { address, .. }) = queue.front() {
        let outcome = handle(address).await;
        if let Err(Error::Rejected(rejection)) = outcome {
            println!("{address}: {rejection}");
            let wait = rejection.retry_after().unwrap_or(Duration::from_millis(50));
            tokio::time::sleep(wait).await;
            continue;
        }
        let Some(mut message) = queue.pop_front() else { break };
        message.deliveries += 1;
        let is_wrong = matches!(outcome, Err(Error::Inner(Failure::NoSuchAddress)));
        match outcome {
            Ok(()) => println!("{}: sent", message.address),
            Err(error) if is_wrong || message.deliveries >= MOST_DELIVERIES => {
                println!("{}: {error:?}, set aside", message.address);
                writeln!(dead_letters, "{}\t{error:?}", message.address)?;
            }
            // What timed out may have gone through: the mailer must know a message again.
            Err(error) => {
                println!("{}: {error:?}, later", message.address);
                queue.push_back(message);
            }
        }
    }
    dead_letters.sync_all()
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("dead-letters-{}", std::process::id()));
    let mut dead_letters = File::options().create(true).append(true).open(&path)?;
    let mut queue: VecDeque<_> = ["ada", "nobody", "flaky", "eve", "mallory", "grace"]
        .map(|address| Message { address, deliveries: 0 })
        .into();
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
