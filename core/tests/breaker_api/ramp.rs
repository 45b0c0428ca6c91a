//! Ramping up after half-open.

use std::cell::RefCell;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Event, Gate, LastCalls, Observer, Permit, Ramp, RampUp, Rates,
    Ratio, Reason, State, Switch, Ticks, Window,
};

use super::{Millis, fail, ms, succeed};

const CONFIG: BreakerConfig = BreakerConfig::standard()
    .consecutive_failures(3)
    .open_for(ms(1_000))
    .open_growth(Ratio::percent(200), ms(8_000));

/// A tenth at first, all after ten seconds.
const RAMP: Ramp = Ramp::linear(Ratio::percent(10), ms(10_000)).max_lateness(ms(0));

type Breaker<'a, W = fusebox_core::Consecutive> = CircuitBreaker<&'a Millis, RampUp<&'a Millis, W>>;

fn plain(clock: &Millis) -> Breaker<'_> {
    CircuitBreaker::with_window(CONFIG, RampUp::new(RAMP), clock)
}

fn ramping<W>(breaker: &Breaker<'_, W>, clock: &Millis)
where
    for<'a> RampUp<&'a Millis, W>: Window<&'a Millis>,
{
    breaker.trip();
    clock.advance(breaker.time_until_half_open().unwrap());
    succeed(breaker, 1);
    assert_eq!(breaker.state(), State::RampingUp);
}

fn let_in(breaker: &Breaker<'_>, calls: u32) -> usize {
    (0..calls).filter(|_| breaker.call(|| Ok::<_, ()>(())).is_ok()).count()
}

/// The permit of the next call that is let in.
fn until_let_in<'b, 'a>(breaker: &'b Breaker<'a>) -> Permit<&'b Breaker<'a>> {
    loop {
        if let Ok(permit) = breaker.permit() {
            return permit;
        }
    }
}

#[test]
fn the_share_is_even_over_any_run_of_calls() {
    let clock = Millis::new();
    let breaker = plain(&clock);
    ramping(&breaker, &clock);
    for (seconds, percent) in [(0, 10), (2, 28), (5, 55), (9, 91)] {
        clock.set(Ticks(1_000 + seconds * 1_000));
        for run in [10, 50, 100, 500] {
            let off = let_in(&breaker, run) as f64 - f64::from(run * percent) / 100.0;
            assert!(off.abs() < 3.0, "{off} too many of {run} at {percent} %");
        }
    }
    clock.set(Ticks(11_000));
    assert_eq!(let_in(&breaker, 100), 100);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn who_comes_every_second_time_gets_the_same_share() {
    let clock = Millis::new();
    let breaker = plain(&clock);
    ramping(&breaker, &clock);
    clock.advance(ms(5_000));
    let mut shares = [0_u32; 2];
    for number in 0..1_000 {
        shares[number % 2] += u32::from(breaker.call(|| Ok::<_, ()>(())).is_ok());
    }
    assert!(shares.iter().all(|share| share.abs_diff(275) < 5), "{shares:?}");
}

#[test]
fn a_refusal_says_when_all_are_let_in() {
    let clock = Millis::new();
    let breaker = plain(&clock);
    ramping(&breaker, &clock);
    clock.advance(ms(4_000));
    let refused = (0..10).find_map(|_| breaker.permit().err()).expect("not all are let in");
    assert_eq!(refused.reason(), Reason::RampingUp);
    assert!(refused.reason().is_transient());
    let about = |left: Option<core::time::Duration>| {
        let left = left.unwrap();
        assert!(left <= ms(6_020) && left >= ms(5_980), "{left:?}");
    };
    about(refused.retry_after());
    about(breaker.snapshot().until_closed);
    assert_eq!(breaker.snapshot().until_half_open, None);
    assert!(!breaker.is_open());
    assert_eq!(
        refused.to_string().split(';').next().unwrap().split(',').next().unwrap(),
        "the circuit is letting calls back in little by little"
    );
}

#[test]
fn a_trip_reopens_for_longer() {
    let clock = Millis::new();
    let breaker = plain(&clock);
    ramping(&breaker, &clock);
    for failures in 1..=3 {
        until_let_in(&breaker).failure();
        assert_eq!(breaker.is_open(), failures == 3);
    }
    let left = breaker.time_until_half_open().unwrap();
    assert!(left > ms(1_950) && left <= ms(2_000), "{left:?}: it has reopened once");
    clock.advance(left);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::RampingUp);
    until_let_in(&breaker).failure();
    until_let_in(&breaker).success();
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 0);
    clock.advance(ms(10_100));
    fail(&breaker, 3);
    let left = breaker.time_until_half_open().unwrap();
    assert!(left > ms(950) && left <= ms(1_000), "{left:?}: closed, it starts afresh");
}

#[test]
fn its_window_judges() {
    let clock = Millis::new();
    let half = Rates::failures(Ratio::percent(50)).minimum_calls(4);
    let window = RampUp::around(RAMP, LastCalls::<_, 5>::new(10, half));
    let breaker =
        CircuitBreaker::with_window(CONFIG.without_consecutive_failures(), window, &clock);
    breaker.trip();
    clock.advance(ms(1_000));
    succeed(&breaker, 1);
    let mut counted = 0;
    while breaker.state() == State::RampingUp {
        if let Ok(permit) = breaker.permit() {
            counted += 1;
            if counted % 2 == 0 { permit.failure() } else { permit.success() }
        }
    }
    assert_eq!((counted, breaker.state()), (4, State::Open));
    breaker.window().window().set_rates(half.minimum_calls(5)).unwrap();
}

#[test]
fn a_result_of_half_open_is_of_an_older_generation() {
    let clock = Millis::new();
    let config = CONFIG.max_probes(2);
    let breaker = CircuitBreaker::with_window(config, RampUp::new(RAMP), &clock);
    breaker.trip();
    clock.advance(ms(1_000));
    let (good, late) = (breaker.permit().unwrap(), breaker.permit().unwrap());
    good.success();
    late.failure();
    assert_eq!(breaker.state(), State::RampingUp);
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 0);
}

#[test]
fn by_hand_it_is_left_like_any_other_state() {
    let clock = Millis::new();
    let breaker = plain(&clock);
    for (change, state) in [
        ((|b| b.reset()) as fn(&Breaker<'_>), State::Closed),
        (|b| b.trip(), State::Open),
        (|b| b.force_open(), State::ForcedOpen),
        (|b| b.disable(), State::Disabled),
        (|b| b.metrics_only(), State::MetricsOnly),
    ] {
        breaker.reset();
        ramping(&breaker, &clock);
        change(&breaker);
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn a_ready_future_does_not_wait_for_its_end() {
    let clock = Millis::new();
    let breaker = plain(&clock);
    ramping(&breaker, &clock);
    assert!(pollster::block_on(breaker.until_ready(&clock)).is_ok());
    assert_eq!(breaker.state(), State::RampingUp, "looking changes nothing");
}

#[test]
fn everybody_is_told_of_it() {
    struct Both<'a>(&'a Switch, &'a RefCell<Vec<State>>);
    impl Observer for Both<'_> {
        fn on_event(&self, event: &Event<'_>) {
            self.0.on_event(event);
            if let Event::StateChanged { to, .. } = *event {
                self.1.borrow_mut().push(to);
            }
        }
    }
    let (clock, switch, seen) = (Millis::new(), Switch::new(), RefCell::default());
    let breaker = CircuitBreaker::with_window(CONFIG, RampUp::new(RAMP), &clock)
        .observed_by("db", Both(&switch, &seen));
    breaker.trip();
    clock.advance(ms(1_000));
    breaker.permit().unwrap().success();
    assert!(!switch.is_enabled(), "not before all is well");
    clock.advance(ms(10_100));
    breaker.permit().unwrap().success();
    assert!(switch.is_enabled());
    let states = [State::Open, State::HalfOpen, State::RampingUp, State::Closed];
    assert_eq!(*seen.borrow(), states);
    assert_eq!(State::RampingUp.to_string(), "ramping up");
}

#[test]
fn ramps_say_what_would_be_right() {
    let error = |ramp| {
        RampUp::<Millis>::try_around(ramp, fusebox_core::Consecutive).unwrap_err().to_string()
    };
    for (from, text) in
        [(Ratio::percent(0), "0 %"), (Ratio::percent(101), "101 %"), (Ratio::new(1, 0), "1/0")]
    {
        assert_eq!(
            error(Ramp::linear(from, ms(1))),
            format!("the ramp's `from` must be more than 0 % and at most 100 %, but is {text}")
        );
    }
    let text = error(Ramp::exponential(Ratio::percent(1), ms(0)));
    assert!(text.starts_with("the ramp's `over` must be from 1ms to "), "{text}");
    let text = error(RAMP.max_lateness(core::time::Duration::MAX));
    assert!(text.starts_with("the ramp's `max_lateness` must be "), "{text}");
}

#[test]
fn many_failures_in_a_row_trip_it_before_the_count_is_full() {
    let clock = Millis::new();
    let config = CONFIG.consecutive_failures(100_000);
    let breaker = CircuitBreaker::with_window(config, RampUp::new(RAMP), &clock);
    ramping(&breaker, &clock);
    let most = if fusebox_core::WORD_BITS == 64 { 4_095 } else { 63 };
    for failures in 1..=most {
        until_let_in(&breaker).failure();
        assert_eq!(breaker.is_open(), failures == most);
    }
    // Unless they are no rule at all.
    let rare = |counts: &fusebox_core::Counts| counts.consecutive_failures > 1 << 40;
    let config = CONFIG.without_consecutive_failures().trip_when(rare);
    let breaker = CircuitBreaker::with_window(config, RampUp::new(RAMP), &clock);
    ramping(&breaker, &clock);
    for _ in 0..5_000 {
        until_let_in(&breaker).failure();
    }
    assert_eq!(breaker.state(), State::RampingUp);
}
