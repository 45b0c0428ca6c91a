//! Races around the state of a circuit breaker.

use core::cell::Cell;
use core::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Clock, Consecutive, Gate, LastCalls, LastTime, Meter, Outcome,
    Rates, Ratio, State,
};

use crate::answer;
use crate::explore::Case;
use crate::race::Race;
use crate::time::Time;

type Breaker = CircuitBreaker<Time>;

pub(crate) const CASES: &[Case] = &[
    Case::new("breaker: two failures that trip it", two_failures),
    Case::twice("breaker: a failure that two others preempt", three_failures),
    Case::new("breaker: a failure after a failure, and a success", success_and_failure),
    Case::new("breaker: a call as a failure trips it", call_and_trip),
    Case::new("breaker: two want to be the probe", two_probes),
    Case::new("breaker: a reading of the clock that is late", late_reading),
    Case::new("breaker: a call as the probe succeeds", |race| {
        call_and_probe(race, Outcome::Success)
    }),
    Case::new("breaker: a call as the probe fails", |race| call_and_probe(race, Outcome::Failure)),
    Case::new("breaker: a call as the probe is abandoned", |race| {
        call_and_probe(race, Outcome::Abandoned)
    }),
    Case::new("breaker: the probe succeeds as a call comes", |race| {
        probe_and_call(race, Outcome::Success)
    }),
    Case::new("breaker: the probe fails as a call comes", |race| {
        probe_and_call(race, Outcome::Failure)
    }),
    Case::new("breaker: the probe is abandoned as a call comes", |race| {
        probe_and_call(race, Outcome::Abandoned)
    }),
    Case::new("breaker: two probes succeed", |race| {
        two_probes_end(race, Outcome::Success, Outcome::Success)
    }),
    Case::new("breaker: one probe succeeds and one fails", |race| {
        two_probes_end(race, Outcome::Success, Outcome::Failure)
    }),
    Case::new("breaker: one probe succeeds and one is abandoned", |race| {
        two_probes_end(race, Outcome::Success, Outcome::Abandoned)
    }),
    Case::new("breaker: a result from before, as the probe succeeds", late_result),
    Case::new("breaker: forced open as a failure trips it", |race| {
        by_hand(race, State::ForcedOpen, |breaker| breaker.force_open())
    }),
    Case::new("breaker: reset as a failure trips it", |race| {
        by_hand(race, State::Closed, |breaker| breaker.reset())
    }),
    Case::new("breaker: the probe reports as its time is over", probe_times_out),
    Case::new("breaker: a failure and a success in a window of calls", window_of_calls),
    Case::new("breaker: a call each as a window of time moves on", |race| window_of_time(race, 0)),
    Case::new("breaker: a call each as it moves on and trips", |race| window_of_time(race, 1)),
    Case::new("breaker: calls counted by a meter", metered),
];

const CONFIG: BreakerConfig = BreakerConfig::standard()
    .consecutive_failures(2)
    .open_for(Duration::from_millis(100))
    .half_open_timeout(Duration::from_millis(500));

fn enter<G: Gate>(breaker: &G, token: &Cell<Option<G::Token>>) -> u32 {
    let entered = breaker.enter();
    token.set(entered.ok());
    answer(entered.map(drop))
}

/// Tells how a call ended that was let in.
fn tell<G: Gate>(breaker: &G, token: Option<G::Token>, outcome: Outcome) -> u32 {
    if let Some(token) = token {
        breaker.exit(token, outcome);
    }
    u32::from(token.is_some())
}

/// Ends a race after which the breaker must be in one of these states, after so many changes.
fn end(race: &mut Race, breaker: &Breaker, allowed: &[(State, u16)]) {
    let now = breaker.snapshot();
    let failures = now.counts.consecutive_failures as u32;
    let holds = allowed.contains(&(now.state, now.generation));
    race.end(holds, [now.state as u32, u32::from(now.generation), failures]);
}

/// Opens a breaker, and lets its open time pass.
fn to_be_probed(breaker: Breaker) -> Breaker {
    breaker.trip();
    Time::advance(Duration::from_millis(100));
    breaker
}

fn two_failures(race: &mut Race) {
    let breaker = const { Breaker::new(CONFIG, Time) };
    let call = breaker.enter().ok();
    let fail = || tell(&breaker, call, Outcome::Failure);
    race.run([&mut { fail }], &mut { fail });
    end(race, &breaker, &[(State::Open, 1)]);
}

fn three_failures(race: &mut Race) {
    const PATIENT: BreakerConfig = CONFIG.consecutive_failures(4);
    let breaker = const { Breaker::new(PATIENT, Time) };
    let call = breaker.enter().ok();
    let fail = || tell(&breaker, call, Outcome::Failure);
    race.run([&mut { fail }], &mut { fail });
    let failures = breaker.snapshot().counts.consecutive_failures as u32;
    race.end(failures == 3, [failures, 0, 0]);
}

fn success_and_failure(race: &mut Race) {
    let breaker = const { Breaker::new(CONFIG, Time) };
    let call = breaker.enter().ok();
    tell(&breaker, call, Outcome::Failure);
    race.run([&mut || tell(&breaker, call, Outcome::Success)], &mut || {
        tell(&breaker, call, Outcome::Failure)
    });
    end(race, &breaker, &[(State::Open, 1), (State::Closed, 0)]);
}

fn call_and_trip(race: &mut Race) {
    let breaker = const { Breaker::new(CONFIG, Time) };
    let earlier = breaker.enter().ok();
    tell(&breaker, earlier, Outcome::Failure);
    let call = Cell::new(None);
    race.run(
        [&mut || enter(&breaker, &call), &mut || tell(&breaker, call.get(), Outcome::Success)],
        &mut || tell(&breaker, earlier, Outcome::Failure),
    );
    end(race, &breaker, &[(State::Open, 1), (State::Closed, 0)]);
}

fn two_probes(race: &mut Race) {
    let breaker = to_be_probed(const { Breaker::new(CONFIG, Time) });
    let ask = || enter(&breaker, &Cell::new(None));
    race.run([&mut { ask }], &mut { ask });
    race.end(race.let_in() == 1, [breaker.state() as u32, 0, 0]);
}

/// The time is read, then the open time is over and a probe fails, and then the earlier time is
/// used.
fn late_reading(race: &mut Race) {
    let breaker = const { Breaker::new(CONFIG, Time) };
    breaker.trip();
    let now = Cell::new(Time.now());
    let mut read = || {
        now.set(Time.now());
        0
    };
    race.run([&mut read, &mut || answer(breaker.enter_at(now.get()).map(drop))], &mut || {
        Time::advance(Duration::from_millis(100));
        tell(&breaker, breaker.enter().ok(), Outcome::Failure)
    });
    end(race, &breaker, &[(State::Open, 3)]);
}

/// Where a probe that ends like this can leave the breaker, if the next call ends well.
fn after_probe(outcome: Outcome) -> &'static [(State, u16)] {
    match outcome {
        Outcome::Success => &[(State::Closed, 3)],
        Outcome::Failure => &[(State::Open, 3)],
        // The next call was the next probe, or came too early for that.
        _ => &[(State::Closed, 3), (State::HalfOpen, 2)],
    }
}

/// A call asks while the probe ends; then it ends well itself, if it was let in.
fn call_and_probe(race: &mut Race, outcome: Outcome) {
    let breaker = to_be_probed(const { Breaker::new(CONFIG, Time) });
    let probe = breaker.enter().ok();
    let call = Cell::new(None);
    race.run(
        [&mut || enter(&breaker, &call), &mut || tell(&breaker, call.get(), Outcome::Success)],
        &mut || tell(&breaker, probe, outcome),
    );
    end(race, &breaker, after_probe(outcome));
}

/// The same from the other side.
fn probe_and_call(race: &mut Race, outcome: Outcome) {
    let breaker = to_be_probed(const { Breaker::new(CONFIG, Time) });
    let probe = breaker.enter().ok();
    race.run([&mut || tell(&breaker, probe, outcome)], &mut || {
        let call = Cell::new(None);
        enter(&breaker, &call) << 1 | tell(&breaker, call.get(), Outcome::Success)
    });
    end(race, &breaker, after_probe(outcome));
}

/// Two probes are out, and two successes are needed.
fn two_probes_end(race: &mut Race, own: Outcome, other: Outcome) {
    const TWO: BreakerConfig = CONFIG.max_probes(2).success_threshold(2);
    let breaker = to_be_probed(const { Breaker::new(TWO, Time) });
    let probe = breaker.enter().ok();
    let _ = breaker.enter();
    race.run([&mut || tell(&breaker, probe, own)], &mut || tell(&breaker, probe, other));
    let state = match other {
        Outcome::Success => (State::Closed, 3),
        Outcome::Failure => (State::Open, 3),
        _ => (State::HalfOpen, 2),
    };
    end(race, &breaker, &[state]);
}

/// A call from before the breaker opened ends while the probe closes it. Its failure must not
/// count: one more would then trip it.
fn late_result(race: &mut Race) {
    let breaker = const { Breaker::new(CONFIG, Time) };
    let late = breaker.enter().ok();
    breaker.trip();
    Time::advance(Duration::from_millis(100));
    let probe = breaker.enter().ok();
    race.run([&mut || tell(&breaker, probe, Outcome::Success)], &mut || {
        tell(&breaker, late, Outcome::Failure)
    });
    end(race, &breaker, &[(State::Closed, 3)]);
}

/// Someone changes the state by hand while a call fails that trips the breaker.
fn by_hand(race: &mut Race, to: State, change: fn(&Breaker)) {
    let breaker = const { Breaker::new(CONFIG, Time) };
    let call = breaker.enter().ok();
    tell(&breaker, call, Outcome::Failure);
    race.run([&mut || tell(&breaker, call, Outcome::Failure)], &mut || {
        change(&breaker);
        0
    });
    // It tripped before that, or not at all any more.
    end(race, &breaker, &[(to, 1), (to, 2)]);
}

/// The probe has been away for too long: the next call reopens the breaker, and then its result is
/// late.
fn probe_times_out(race: &mut Race) {
    let breaker = to_be_probed(const { Breaker::new(CONFIG, Time) });
    let probe = breaker.enter().ok();
    Time::advance(Duration::from_secs(1));
    race.run([&mut || tell(&breaker, probe, Outcome::Success)], &mut || {
        enter(&breaker, &Cell::new(None))
    });
    end(race, &breaker, &[(State::Closed, 3), (State::Open, 3)]);
}

const BY_RATE: BreakerConfig = CONFIG.without_consecutive_failures();
const HALF_FAIL: Rates = Rates::failures(Ratio::percent(50)).minimum_calls(4);

/// The fourth call of a window of four decides: half of them failed.
fn window_of_calls(race: &mut Race) {
    let breaker =
        const { CircuitBreaker::with_window(BY_RATE, LastCalls::<_, 2>::new(4, HALF_FAIL), Time) };
    let call = breaker.enter().ok();
    tell(&breaker, call, Outcome::Failure);
    tell(&breaker, call, Outcome::Success);
    race.run([&mut || tell(&breaker, call, Outcome::Success)], &mut || {
        tell(&breaker, call, Outcome::Failure)
    });
    let now = breaker.snapshot();
    race.end(now.state == State::Open, [now.state as u32, u32::from(now.generation), 0]);
}

/// A call in each of a window's four buckets, of which one has `failed`. Then two end when the
/// oldest bucket is over, and the first of them moves the window on.
fn window_of_time(race: &mut Race, failed: u32) {
    let breaker = const {
        let window = LastTime::<_, 4>::new(Duration::from_secs(1), HALF_FAIL);
        CircuitBreaker::with_window(BY_RATE, window, Time)
    };
    for n in 0..4 {
        let outcome = if n == failed { Outcome::Failure } else { Outcome::Success };
        tell(&breaker, breaker.enter().ok(), Outcome::Ignored);
        tell(&breaker, breaker.enter().ok(), outcome);
        Time::advance(Duration::from_millis(250));
    }
    let call = breaker.enter().ok();
    race.run([&mut || tell(&breaker, call, Outcome::Success)], &mut || {
        tell(&breaker, call, Outcome::Failure)
    });
    // Where the call that failed before is not the oldest, and the failure comes first, half of
    // those in the window have failed.
    let now = breaker.snapshot();
    let (requests, failures) = (now.counts.requests as u32, now.counts.failures as u32);
    let holds = match now.state {
        State::Closed => (requests, failures) == (5, 1 + failed),
        state => state == State::Open && failed == 1,
    };
    race.end(holds, [now.state as u32, requests, failures]);
}

/// What is counted for people must be exact as well.
fn metered(race: &mut Race) {
    let breaker = const { CircuitBreaker::with_parts(CONFIG, Consecutive, Meter::new(), (), Time) };
    let call = breaker.enter().ok();
    let own = Cell::new(None);
    race.run(
        [&mut || enter(&breaker, &own), &mut || tell(&breaker, own.get(), Outcome::Success)],
        &mut || tell(&breaker, call, Outcome::Failure),
    );
    let now = breaker.snapshot();
    let totals = now.totals.unwrap_or_default();
    let both = totals.successes == 1 && totals.failures == 1;
    race.end(
        both && now.running == Some(0),
        [
            now.running.map_or(u32::MAX, |running| running as u32),
            totals.successes as u32 | (totals.failures as u32) << 8,
            now.counts.consecutive_failures as u32,
        ],
    );
}
