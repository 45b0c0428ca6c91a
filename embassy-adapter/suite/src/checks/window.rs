//! The windows of a circuit breaker.

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Gate, LastCalls, LastTime, ManualClock, Rates, Ratio, State,
};

use super::support::{EIGHTH, SECOND};
use crate::{Checked, Failure, ensure, ensure_eq};

const CONFIG: BreakerConfig =
    BreakerConfig::standard().without_consecutive_failures().open_for(SECOND);

/// Makes calls that end well or badly.
fn calls<G: Gate>(breaker: &G, ends: &[bool]) -> Checked {
    for &ok in ends {
        let permit = breaker.permit().map_err(|_| Failure::new("it lets the call in"))?;
        if ok { permit.success() } else { permit.failure() }
    }
    Ok(())
}

fn half_of_at_least(minimum: u32) -> Rates {
    Rates::failures(Ratio::percent(50)).minimum_calls(minimum)
}

pub(super) fn a_rate_that_is_reached_trips<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let last_eight: LastCalls<_, 4> = LastCalls::new(8, half_of_at_least(4));
    let breaker = CircuitBreaker::with_window(CONFIG, last_eight, &clock);
    calls(&breaker, &[false, true, true])?;
    ensure_eq!(breaker.state(), State::Closed, "fewer than the minimum");
    calls(&breaker, &[true, true])?;
    ensure_eq!(breaker.state(), State::Closed, "one of five");
    calls(&breaker, &[false])?;
    ensure_eq!(breaker.state(), State::Closed, "two of six");
    calls(&breaker, &[false, false])?;
    ensure_eq!(breaker.state(), State::Open, "four of eight");
    Ok(())
}

pub(super) fn a_success_can_be_the_call_that_is_missing<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let last_eight: LastCalls<_, 4> = LastCalls::new(8, half_of_at_least(4));
    let breaker = CircuitBreaker::with_window(CONFIG, last_eight, &clock);
    calls(&breaker, &[false, false, true])?;
    ensure_eq!(breaker.state(), State::Closed);
    calls(&breaker, &[true])?;
    ensure_eq!(breaker.state(), State::Open);
    Ok(())
}

pub(super) fn the_last_calls_slide<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let last_four: LastCalls<_, 4> = LastCalls::new(4, half_of_at_least(4));
    let breaker = CircuitBreaker::with_window(CONFIG, last_four, &clock);
    // However long it has run, what was long ago does not hide what is now.
    for _ in 0..50 {
        calls(&breaker, &[true])?;
    }
    let counts = breaker.snapshot().counts;
    ensure_eq!(counts.requests, 4);
    ensure_eq!(counts.successes, 4);
    calls(&breaker, &[false])?;
    ensure_eq!(breaker.state(), State::Closed);
    calls(&breaker, &[false])?;
    ensure_eq!(breaker.state(), State::Open);
    // A transition empties it.
    breaker.reset();
    ensure_eq!(breaker.snapshot().counts.requests, 0);
    Ok(())
}

pub(super) fn what_says_nothing_is_in_no_window<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let last_four: LastCalls<_, 4> = LastCalls::new(4, half_of_at_least(4));
    let breaker = CircuitBreaker::with_window(CONFIG, last_four, &clock);
    calls(&breaker, &[false, true, true])?;
    for _ in 0..5 {
        breaker.permit().map_err(|_| Failure::new("it lets the call in"))?.ignore();
    }
    ensure_eq!(breaker.snapshot().counts.requests, 3);
    calls(&breaker, &[false])?;
    ensure_eq!(breaker.state(), State::Open);
    Ok(())
}

pub(super) fn the_last_time_slides<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let last_second: LastTime<_, 4> = LastTime::new(SECOND, half_of_at_least(2));
    let breaker = CircuitBreaker::with_window(CONFIG, last_second, &clock);
    calls(&breaker, &[false])?;
    clock.advance(SECOND + EIGHTH);
    calls(&breaker, &[false])?;
    ensure_eq!(breaker.state(), State::Closed, "the first one is forgotten");
    ensure_eq!(breaker.snapshot().counts.requests, 1);
    clock.advance(EIGHTH * 4);
    calls(&breaker, &[false])?;
    ensure_eq!(breaker.state(), State::Open, "two within a second");
    Ok(())
}

pub(super) fn slow_calls_trip<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let rates = Rates::none().slow_calls(Ratio::percent(50), EIGHTH).minimum_calls(2);
    let last_four: LastCalls<_, 4> = LastCalls::new(4, rates);
    let breaker = CircuitBreaker::with_window(CONFIG, last_four, &clock);
    for (takes, state) in [(EIGHTH / 2, State::Closed), (EIGHTH, State::Open)] {
        let permit = breaker.permit().map_err(|_| Failure::new("it lets the call in"))?;
        clock.advance(takes);
        permit.success();
        ensure_eq!(breaker.state(), state);
    }
    // A probe that is slow is a bad one.
    clock.advance(SECOND);
    let probe = breaker.permit().map_err(|_| Failure::new("the open time is over"))?;
    clock.advance(EIGHTH);
    probe.success();
    ensure_eq!(breaker.state(), State::Open);
    Ok(())
}

pub(super) fn either_of_two_windows_trips<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let calls_and_time = || {
        let last_four: LastCalls<_, 4> = LastCalls::new(4, half_of_at_least(4));
        let slow = Rates::none().slow_calls(Ratio::percent(100), EIGHTH).minimum_calls(1);
        (last_four, LastTime::<_, 4>::new(SECOND, slow))
    };
    let breaker = CircuitBreaker::with_window(CONFIG, calls_and_time(), &clock);
    calls(&breaker, &[true, true, false, false])?;
    ensure_eq!(breaker.state(), State::Open, "by the last calls");
    breaker.reset();
    let permit = breaker.permit().map_err(|_| Failure::new("it is closed"))?;
    clock.advance(EIGHTH);
    permit.success();
    ensure_eq!(breaker.state(), State::Open, "by the slow one of the last second");
    Ok(())
}

pub(super) fn a_window_that_cannot_be_is_refused<const HZ: u64>() -> Checked {
    type Calls<const HZ: u64> = LastCalls<ManualClock<HZ>, 4>;
    ensure!(Calls::<HZ>::try_new(10, half_of_at_least(4)).is_err(), "no multiple of its buckets");
    ensure!(Calls::<HZ>::try_new(8, half_of_at_least(9)).is_err(), "a minimum above the window");
    ensure!(Calls::<HZ>::try_new(8, half_of_at_least(8)).is_ok());
    Ok(())
}
