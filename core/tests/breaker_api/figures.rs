//! Snapshots, sizes, and what is kept for how long.

use std::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Clock, Counts, Gate, Histogram, HistogramConfig, LastCalls,
    LastTime, ManualClock, Meter, Outcome, Rates, Ratio, Reason, State, Ticks, WORD_BITS,
    WindowedHistogram,
};

use super::{Millis, fail, ms, succeed};

#[test]
fn a_snapshot_has_the_figures() {
    let clock = Millis::new();
    let rates = Rates::none().slow_calls(Ratio::percent(100), ms(10)).minimum_calls(10);
    let window: LastCalls<_, 10> = LastCalls::new(10, rates);
    let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), window, &clock)
        .metered(Meter::new());
    let empty = breaker.snapshot();
    assert_eq!((empty.since_last_failure, empty.since_last_change), (None, None));
    assert_eq!((empty.totals, empty.running), (Some(Counts::default()), Some(0)));

    let slow = breaker.permit().unwrap();
    fail(&breaker, 2);
    breaker.permit().unwrap().ignore();
    clock.advance(ms(10));
    assert_eq!(breaker.snapshot().running, Some(1));
    slow.success();
    succeed(&breaker, 2);
    clock.advance(ms(5));
    let now = breaker.snapshot();
    assert_eq!((now.state, now.generation, now.until_half_open), (State::Closed, 0, None));
    let counts = now.counts;
    assert_eq!((counts.requests, counts.successes, counts.failures, counts.slow), (5, 3, 2, 1));
    assert_eq!((counts.consecutive_successes, counts.consecutive_failures), (3, 0));
    assert_eq!((counts.ignored, counts.rejected), (1, 0));
    assert_eq!(now.totals, Some(counts), "nothing has slid out yet");
    assert_eq!(now.since_last_failure, Some(ms(15)));
    assert_eq!(now.running, Some(0));

    fail(&breaker, 5);
    clock.advance(ms(3));
    assert!(breaker.permit().is_err());
    let now = breaker.snapshot();
    assert_eq!((now.state, now.generation), (State::Open, 1));
    assert_eq!(
        (now.counts.requests, now.counts.rejected),
        (0, 1),
        "of this generation, and of all"
    );
    let totals = now.totals.unwrap();
    assert_eq!((totals.requests, totals.failures, totals.consecutive_successes), (10, 7, 0));
    assert_eq!((now.since_last_failure, now.since_last_change), (Some(ms(3)), Some(ms(3))));
    let left = now.until_half_open.unwrap();
    assert!(left <= ms(30_000) && left >= ms(29_900), "{left:?}");
}

#[test]
fn a_snapshot_has_the_latencies_of_what_succeeded_or_failed() {
    let clock = Millis::new();
    let latencies: Histogram<&Millis, 4, 256> = Histogram::new(HistogramConfig::up_to(ms(2_000)));
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        .metered(Meter::new().latencies(&latencies));
    assert_eq!(breaker.snapshot().latency, None, "nothing has run");
    for took in 1..=100 {
        let outcome = if took % 2 == 0 { Outcome::Success } else { Outcome::Failure };
        let call = breaker.enter_at(Ticks(500)).unwrap();
        breaker.exit_at(call, outcome, Ticks(500 + took));
    }
    for outcome in [Outcome::Ignored, Outcome::Abandoned, Outcome::Refused] {
        let call = breaker.enter_at(Ticks(500)).unwrap();
        breaker.exit_at(call, outcome, Ticks(1_500));
    }
    let latency = breaker.snapshot().latency.unwrap();
    assert_eq!((latency.count, latency.mean), (100, ms(50)), "rounded down to a tick");
    assert_eq!((latency.min, latency.max), (ms(1), ms(100)));
    assert_eq!((latency.p50, latency.p95, latency.p99), (ms(50), ms(95), ms(99)));
    assert_eq!(latencies.percentile(Ratio::percent(95)), Some(latency.p95), "shared with others");

    // A result of before a reset, in a state in which nothing else is counted, is a latency, too.
    let late = breaker.enter_at(Ticks(500)).unwrap();
    breaker.disable();
    breaker.exit_at(late, Outcome::Success, Ticks(510));
    assert_eq!(breaker.snapshot().latency.unwrap().count, 101);
}

/// A breaker with every part that wants to know the time reads it twice for each call.
#[test]
fn the_clock_is_read_once_on_the_way_in_and_once_on_the_way_out() {
    #[derive(Default)]
    struct Counting(std::cell::Cell<u64>);
    impl Clock for &Counting {
        const TICKS_PER_SECOND: u64 = 1_000;
        fn now(&self) -> Ticks {
            self.0.set(self.0.get() + 1);
            Ticks(self.0.get())
        }
    }
    let clock = Counting::default();
    let rates = Rates::failures(Ratio::percent(50)).slow_calls(Ratio::percent(50), ms(1_000));
    let window: LastTime<_, 2> = LastTime::new(ms(10_000), rates.minimum_calls(100));
    let latencies: WindowedHistogram<_, 2, 4, 4> =
        WindowedHistogram::new(ms(10_000), HistogramConfig::standard(), &clock);
    let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), window, &clock)
        .metered(Meter::new().latencies(latencies));
    for readings in [2, 4, 6] {
        breaker.permit().unwrap().success();
        assert_eq!(clock.0.get(), readings);
    }
    breaker.permit().unwrap().failure();
    assert_eq!(clock.0.get(), 8);
    assert_eq!(breaker.snapshot_at(Ticks(9)).latency.unwrap().count, 4);
}

#[test]
fn an_abandoned_call_that_fails_is_metered_as_a_failure() {
    let clock = Millis::new();
    let config = BreakerConfig::standard().abandoned_is_failure(true);
    let breaker = CircuitBreaker::new(config, &clock).metered(Meter::new());
    drop(breaker.permit().unwrap());
    let now = breaker.snapshot();
    let totals = now.totals.unwrap();
    assert_eq!((totals.failures, totals.ignored, totals.consecutive_failures), (1, 0, 1));
    assert_eq!(now.since_last_failure, Some(Duration::ZERO));
}

#[test]
fn a_rule_of_ones_own_is_told_of_the_call_it_judges() {
    // In a row are either failures or successes, never both.
    fn contradictory(counts: &Counts) -> bool {
        counts.consecutive_failures > 0 && counts.consecutive_successes > 0
    }
    let clock = Millis::new();
    let config = BreakerConfig::standard().consecutive_failures(9).trip_when(contradictory);
    let window: LastCalls<_, 5> = LastCalls::new(5, Rates::none().minimum_calls(5));
    let breaker = CircuitBreaker::with_window(config, window, &clock).metered(Meter::new());
    succeed(&breaker, 3);
    fail(&breaker, 2);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_meter_goes_on_over_transitions_and_while_disabled() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        .metered(Meter::new().max_concurrent(2));
    let late = breaker.permit().unwrap();
    breaker.reset();
    late.failure();
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 0, "a result of before the reset");
    assert_eq!(breaker.snapshot().totals.unwrap().failures, 1);
    breaker.disable();
    let held = [breaker.permit().unwrap(), breaker.permit().unwrap()];
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::BulkheadFull);
    for permit in held {
        permit.failure();
    }
    assert_eq!(breaker.snapshot().counts.failures, 0);
    assert_eq!(breaker.snapshot().totals.unwrap().failures, 3);
    assert_eq!(breaker.snapshot().running, Some(0));
}

#[test]
fn the_age_of_a_failure_is_shown_for_24_days() {
    let clock: ManualClock = ManualClock::new();
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock).metered(Meter::new());
    clock.advance(ms(1));
    fail(&breaker, 1);
    for days in [1, 12, 13, 24] {
        let age = Duration::from_secs(days * 86_400);
        clock.set(Ticks(1_000_000));
        clock.advance(age);
        let shown = breaker.snapshot().since_last_failure.unwrap();
        assert!(shown <= age + ms(1) && shown + ms(1) >= age, "{shown:?} for {age:?}");
    }
    // A reader that is late by a second.
    clock.set(Ticks(1_000_000));
    clock.rewind(ms(1));
    assert_eq!(breaker.snapshot().since_last_failure, Some(Duration::ZERO));
}

#[test]
fn results_of_any_older_generation_are_dropped() {
    let clock = Millis::new();
    let config = BreakerConfig::standard().consecutive_failures(1);
    let breaker = CircuitBreaker::new(config, &clock);
    // Short of a whole turn of generations, which is 64 where words are 32 bits.
    for transitions in 1..64 {
        let late = breaker.enter_at(Ticks(0)).unwrap();
        for _ in 0..transitions {
            breaker.reset();
        }
        breaker.exit_at(late, Outcome::Failure, Ticks(0));
        assert_eq!(breaker.state(), State::Closed, "{transitions} transitions later");
    }
    let before = breaker.snapshot().generation;
    breaker.reset();
    let turn = if WORD_BITS == 64 { 1 << 16 } else { 1 << 6 };
    assert_eq!(u32::from(breaker.snapshot().generation), (u32::from(before) + 1) % turn);
}

#[test]
fn a_full_bucket_is_halved_and_the_rate_stays() {
    let clock = Millis::new();
    let full = if WORD_BITS == 64 { (1 << 17) - 1 } else { 511 };
    let rates = Rates::failures(Ratio::new(51, 100)).minimum_calls(full / 2 + 1);
    let window: LastTime<_, 1> = LastTime::new(ms(1_000), rates);
    let config = BreakerConfig::standard().without_consecutive_failures();
    let breaker = CircuitBreaker::with_window(config, window, &clock);
    for _ in 0..full {
        succeed(&breaker, 1);
        fail(&breaker, 1);
        let counts = breaker.snapshot().counts;
        assert!(counts.requests <= u64::from(full));
        assert_eq!(counts.requests, counts.successes + counts.failures);
    }
    let counts = breaker.snapshot().counts;
    assert!(counts.requests > u64::from(full / 2));
    assert!(counts.failures.abs_diff(counts.successes) <= 2, "{counts:?}");
    // What is counted for certain is enough to judge by.
    let mut failed = 0;
    while !breaker.is_open() {
        fail(&breaker, 1);
        failed += 1;
        assert!(failed <= full / 16, "{:?}", breaker.snapshot().counts);
    }
}

#[test]
fn an_idle_time_is_mistaken_for_a_live_one_only_in_a_small_fraction() {
    let clock = Millis::new();
    let config = BreakerConfig::standard().open_for(ms(30)).max_lateness(ms(30));
    let (samples, mut needless) = (1 << 16, 0);
    for sample in 0..samples {
        clock.set(Ticks(0));
        let breaker = CircuitBreaker::new(config, &clock);
        breaker.trip();
        // Over 16 turns of the 32-bit word's time at least.
        let idle = 30 + sample * 257;
        let left = breaker.time_until_half_open_at(Ticks(idle)).unwrap();
        needless += u64::from(left > Duration::ZERO);
        assert!(left <= ms(60), "at most the open time and the lateness");
    }
    assert!(needless <= samples >> 10, "{needless} of {samples}");
}

/// A reader as late as is supported must not take the probes' deadline for a stale one: with times
/// that are no multiple of a 32-bit word's unit, rounding made it one unit too far ahead.
#[test]
fn a_reader_just_as_late_as_is_supported_does_not_time_probes_out() {
    for timeout in 100..140 {
        for lateness in 1..20 {
            let clock = Millis::new();
            let config = BreakerConfig::standard()
                .open_for(ms(3))
                .half_open_timeout(ms(timeout))
                .max_lateness(ms(lateness));
            let breaker = CircuitBreaker::new(config, &clock);
            breaker.trip();
            clock.set(Ticks(225));
            let _probe = breaker.permit().unwrap();
            clock.set(Ticks(225 - lateness));
            let refused = breaker.permit().unwrap_err();
            assert_eq!(refused.reason(), Reason::ProbesBusy, "{timeout} ms, {lateness} ms late");
        }
    }
}

/// The deadline of an earlier probe that reads as stale is not kept for a later one: both would
/// time out at once.
#[test]
fn a_step_back_beyond_the_lateness_does_not_time_probes_out() {
    let clock = Millis::new();
    let config = BreakerConfig::standard()
        .open_for(ms(10))
        .half_open_timeout(ms(100))
        .max_lateness(ms(10))
        .max_probes(2);
    let breaker = CircuitBreaker::new(config, &clock);
    clock.set(Ticks(1_000));
    breaker.trip();
    clock.advance(ms(10));
    let _first = breaker.permit().unwrap();
    clock.rewind(ms(50));
    let _second = breaker.permit().unwrap();
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::ProbesBusy);
}

struct Zero;

impl Clock for Zero {
    const TICKS_PER_SECOND: u64 = 1_000_000_000;
    fn now(&self) -> Ticks {
        Ticks::ZERO
    }
}

/// Prints the sizes: `cargo test -p fusebox-core --test breaker_api sizes -- --nocapture`.
#[test]
fn sizes() {
    type Breaker<C, W> = CircuitBreaker<C, W>;
    let plain = size_of::<CircuitBreaker<Zero>>();
    let by_reference = size_of::<CircuitBreaker<&ManualClock>>();
    println!("failures in a row: {plain} bytes; with a clock by reference: {by_reference}");
    println!("last calls, 10 buckets: {} bytes", size_of::<Breaker<Zero, LastCalls<Zero>>>());
    println!("last time, 10 buckets: {} bytes", size_of::<Breaker<Zero, LastTime<Zero>>>());
    println!("with a meter: {} bytes", size_of::<CircuitBreaker<Zero, LastTime<Zero>, Meter>>());
    if cfg!(target_pointer_width = "64") {
        assert!(plain < 100, "{plain}");
        assert!(by_reference < 100, "{by_reference}");
    }
}
