//! When a breaker trips by a rule of the user's own, and for how long it opens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_core::{BreakerConfig, CircuitBreaker, Counts, ManualClock, State};

use super::{Millis, fail};

/// A call that ended while the rule was asked about another one made that one's swap fail. Both had
/// asked about the fourth failure in a row; nobody asked about the fifth.
#[test]
fn a_rule_is_asked_again_after_a_failure_that_came_in_between() {
    static BREAKER: CircuitBreaker<Millis> = CircuitBreaker::new(
        BreakerConfig::standard().without_consecutive_failures().trip_when(five_in_a_row),
        Millis::new(),
    );
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);

    fn five_in_a_row(counts: &Counts) -> bool {
        // An interrupt, just here.
        if counts.consecutive_failures == 4 && !INTERRUPTED.swap(true, Ordering::SeqCst) {
            fail(&BREAKER, 1);
        }
        counts.consecutive_failures >= 5
    }

    fail(&BREAKER, 4);
    assert_eq!(BREAKER.state(), State::Open);
}

/// The jitter was reckoned from whole hundreds of ticks: on a clock in seconds, an open time below
/// 100 had none, and a fleet came back all at once.
#[test]
fn a_slow_clock_has_jitter_too() {
    let open_for = Duration::from_secs(90);
    let open_times: BTreeSet<Duration> = (0..200)
        .map(|seed| {
            let clock: ManualClock<1> = ManualClock::new();
            let config = BreakerConfig::standard().open_for(open_for).open_jitter(50, seed);
            let breaker = CircuitBreaker::new(config, &clock);
            breaker.trip();
            breaker.time_until_half_open().expect("open")
        })
        .collect();
    assert!(open_times.len() > 20, "{open_times:?}");
    assert!(open_times.iter().all(|time| (open_for / 2..=open_for).contains(time)));
}
