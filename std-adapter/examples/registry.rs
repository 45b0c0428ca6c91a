//! Breakers by name: made by whoever asks first, shown as a table, reset by hand.
//!
//! `cargo run -p fusebox-std --example registry`

use std::io::{Error as IoError, ErrorKind};

use fusebox_std::prelude::*;

/// With a meter, to have something to show.
type Breaker = CircuitBreaker<StdClock, Consecutive, Meter>;

static BREAKERS: Registry<Breaker> = Registry::new();

/// A call of the service with this name.
fn call(service: &str, works: bool) -> Result<(), Error<IoError>> {
    let breaker = BREAKERS.get_or_create_with(service, || {
        let config = match service {
            "payments" => BreakerConfig::conservative(),
            _ => BreakerConfig::aggressive(),
        };
        CircuitBreaker::with_parts(config, Consecutive, Meter::new(), (), StdClock)
    });
    breaker.call(|| if works { Ok(()) } else { Err(ErrorKind::ConnectionRefused.into()) })
}

fn show() {
    println!(
        "{:<10} {:<11} {:>9} {:>8} {:>8}",
        "service", "state", "succeeded", "failed", "refused"
    );
    for (name, breaker) in BREAKERS.snapshot() {
        let (state, totals) = (breaker.state.to_string(), breaker.totals.unwrap_or_default());
        let Counts { successes, failures, rejected, .. } = totals;
        println!("{name:<10} {state:<11} {successes:>9} {failures:>8} {rejected:>8}");
    }
    println!();
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for number in 0..20 {
        let _ = call("payments", true);
        let _ = call("search", number < 10);
        let _ = call("mail", number % 2 == 0);
    }
    show();
    assert_eq!(BREAKERS.len(), 3);
    assert_eq!(BREAKERS.require("search")?.state(), State::Open);

    println!("search is mended, and nobody wants to wait:");
    BREAKERS.require("search")?.reset();
    assert!(call("search", true).is_ok());
    show();

    BREAKERS.require("mail")?.force_open();
    println!("mail is down for an hour, and then all is well:");
    show();
    BREAKERS.reset_all();
    assert!(BREAKERS.iter().all(|(_, breaker)| breaker.state() == State::Closed));
    Ok(())
}
