//! The circuit breaker, with each kind of window, a meter and an observer.

use core::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Consecutive, Counts, Idle, LastCalls, LastTime, Meter, Metering,
    Named, Observer, Ramp, RampUp, Rates, Ratio, Window,
};

use crate::{CLOCK, Us, Watcher, any, keep, now, outcome, poll, some_time, use_gate};

static PLAIN: CircuitBreaker<&Us> = CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
static CAREFUL: CircuitBreaker<&Us> = CircuitBreaker::new(BreakerConfig::aggressive(), &CLOCK);
static PATIENT: CircuitBreaker<&Us> =
    CircuitBreaker::with_window(BreakerConfig::conservative(), Consecutive, &CLOCK);
static WINDOWED: CircuitBreaker<&Us, (LastCalls<&Us>, LastTime<&Us>), Meter, Named<Watcher>> =
    CircuitBreaker::with_parts(
        BreakerConfig::standard(),
        (
            LastCalls::new(20, Rates::failures(Ratio::percent(50))),
            LastTime::new(Duration::from_secs(10), Rates::failures(Ratio::percent(50))),
        ),
        Meter::new().max_concurrent(10),
        Named::new("windowed", Watcher),
        &CLOCK,
    );

static RAMPING: CircuitBreaker<&Us, RampUp<&Us>> = CircuitBreaker::with_window(
    BreakerConfig::standard(),
    RampUp::new(Ramp::linear(Ratio::percent(10), Duration::from_secs(60))),
    &CLOCK,
);
static RAMPING_BY_CALLS: CircuitBreaker<&Us, RampUp<&Us, LastCalls<&Us>>> =
    CircuitBreaker::with_window(
        BreakerConfig::standard(),
        RampUp::around(
            Ramp::exponential(Ratio::percent(1), Duration::from_secs(60)),
            LastCalls::new(20, Rates::failures(Ratio::percent(50))),
        ),
        &CLOCK,
    );

pub(crate) fn all() {
    use_breaker(&PLAIN);
    use_breaker(&WINDOWED);
    if let Ok(breaker) = CircuitBreaker::try_new(config(), &CLOCK) {
        use_breaker(&breaker.metered(Meter::new()).observed_by("made", Watcher));
    }
    use_breaker(&CAREFUL);
    use_breaker(&PATIENT);
    with_windows();
    use_breaker(&RAMPING);
    use_breaker(&RAMPING_BY_CALLS);
    with_ramp();
}

fn with_ramp() {
    let (from, over) = (Ratio::new(any(1), any(10)), some_time());
    let ramp = if any(true) { Ramp::linear(from, over) } else { Ramp::exponential(from, over) };
    let Ok(ramp) = RampUp::try_around(ramp.max_lateness(some_time()), Consecutive) else { return };
    keep(*ramp.window());
    if let Ok(breaker) = CircuitBreaker::try_with_window(config(), ramp, &CLOCK) {
        use_breaker(&breaker);
    }
}

fn config() -> BreakerConfig {
    let (ratio, time) = (Ratio::new(any(1), any(2)), some_time());
    let config = BreakerConfig::standard()
        .consecutive_failures(any(5))
        .trip_when(|counts: &Counts| any(counts.failures) > 1)
        .open_for(time)
        .open_growth(ratio, time)
        .open_jitter(any(10), any(1))
        .max_probes(any(1))
        .success_threshold(any(1))
        .half_open_timeout(time)
        .room_for(time, some_time())
        .max_lateness(time)
        .abandoned_is_failure(any(true));
    let config = if any(true) { config.probe_failure_rate(ratio, any(1)) } else { config };
    if any(true) { config.without_consecutive_failures() } else { config }
}

fn with_windows() {
    let rates = Rates::none().slow_calls(Ratio::new(any(1), any(2)), some_time());
    let rates = rates.minimum_calls(any(5));
    let Ok(calls) = LastCalls::<_, 5>::try_new(any(10), rates) else { return };
    let Ok(time) = LastTime::<_, 5>::try_new(some_time(), rates, some_time()) else { return };
    if let Ok(breaker) = CircuitBreaker::try_with_window(config(), (calls, time), &CLOCK) {
        use_breaker(&breaker);
        let (calls, time) = breaker.window();
        let rates = rates.minimum_calls(any(2));
        keep((calls.set_rates(rates).is_ok(), time.set_rates(rates).is_ok()));
        use_breaker(&breaker);
    }
}

pub(crate) fn use_breaker<W: Window<&'static Us>, M: Metering<&'static Us>, O: Observer>(
    breaker: &CircuitBreaker<&'static Us, W, M, O>,
) {
    keep((breaker.is_idle(), breaker.is_stale()));
    use_gate(breaker);
    if let Ok(token) = breaker.enter_at(now()) {
        breaker.exit_at(token, outcome(), now());
    }
    match any(0_u32) {
        0 => breaker.trip(),
        1 => breaker.trip_at(now()),
        2 => breaker.force_open(),
        3 => breaker.force_open_at(now()),
        4 => breaker.disable(),
        5 => breaker.disable_at(now()),
        6 => breaker.metrics_only(),
        7 => breaker.metrics_only_at(now()),
        8 => breaker.reset(),
        _ => breaker.reset_at(now()),
    }
    keep((breaker.state(), breaker.is_open(), breaker.snapshot(), breaker.snapshot_at(now())));
    keep((breaker.time_until_half_open(), breaker.time_until_half_open_at(now())));
    keep(breaker.observer().is_active());
    keep(breaker.reconfigure(&config()).is_ok());
    poll(breaker.until_ready(&CLOCK));
}
