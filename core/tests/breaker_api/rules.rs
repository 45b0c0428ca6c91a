//! When a breaker trips by a rule of the user's own, and for how long it opens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Counts, LastTime, ManualClock, Rates, Ratio, State,
};

use super::{Millis, by_width, fail, ms, succeed};

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

/// What slid out of the window long ago says nothing about what fails now.
#[test]
fn a_window_counts_again_at_once_after_a_long_idle_time() {
    let clock = Millis::new();
    let rates = Rates::failures(Ratio::percent(50)).minimum_calls(4);
    let window: LastTime<_> = LastTime::new(Duration::from_secs(10), rates);
    let config = BreakerConfig::standard().without_consecutive_failures();
    let breaker = CircuitBreaker::with_window(config, window, &clock);
    succeed(&breaker, 100);
    clock.advance(Duration::from_secs(3_600));
    fail(&breaker, 3);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), State::Open);
}

/// What is full stays full: a streak that came round would start from the first open time again.
#[test]
fn open_times_stop_growing_and_start_anew_once_closed() {
    let clock = Millis::new();
    let config = BreakerConfig::standard()
        .consecutive_failures(1)
        .success_threshold(1)
        .max_lateness(Duration::ZERO)
        .open_for(ms(4))
        .open_growth(Ratio::percent(by_width(125, 200)), ms(by_width(10_000, 1_000)));
    let breaker = CircuitBreaker::new(config, &clock);
    let reopened = || {
        fail(&breaker, 1);
        let open = breaker.time_until_half_open().expect("open");
        clock.advance(open);
        open
    };
    let times: Vec<Duration> = (0..70).map(|_| reopened()).collect();
    let grown = times.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert_eq!(grown as u32, by_width(31, 7), "{times:?}");
    assert!(times.is_sorted(), "{times:?}");

    succeed(&breaker, 1);
    fail(&breaker, 1);
    assert_eq!(breaker.time_until_half_open(), Some(ms(4)));
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
