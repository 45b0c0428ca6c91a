//! When gates may be forgotten, and what it would cost to forget them earlier.

use core::time::Duration;

use fusebox_core::*;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[test]
fn a_bucket_is_idle_when_it_is_full_for_late_readers_too() {
    let clock: ManualClock = ManualClock::new();
    let config = BucketConfig::per_second(10).burst(5).max_lateness(300 * MS);
    let bucket = TokenBucket::new(config, &clock);
    assert!(bucket.is_idle(), "nobody has used it");
    bucket.try_acquire(1).unwrap();
    clock.advance(399 * MS);
    assert_eq!((bucket.peek(), bucket.is_idle()), (5, false), "full, but not to a late reader");
    // Where words are 32 bits, an interval may be a thousandth longer.
    clock.advance(2 * MS);
    assert!(bucket.is_idle());

    // Promised tokens are debt as well.
    bucket.try_acquire(5).unwrap();
    let turn = bucket.reserve(3).unwrap();
    clock.advance(SECOND);
    assert!(!bucket.is_idle());
    turn.commit();
    clock.advance(102 * MS);
    assert!(bucket.is_idle());

    let empty = TokenBucket::new(config.initially(0), &clock);
    assert!(empty.is_idle() && empty.is_idle(), "as new, and not started by the question");
    assert_eq!(empty.peek(), 0);
    assert!(!empty.is_idle(), "started, and empty");
}

/// Refusals are made to count for good: a shadow that was never stale then filled whatever it was
/// kept in.
#[test]
fn a_shadow_that_counts_is_stale_when_its_gate_is() {
    let permits: Semaphore = Semaphore::new(1);
    let shadow = Shadow::new(&permits);
    assert!(shadow.is_idle());
    shadow.enforce();
    assert_eq!((shadow.is_idle(), shadow.is_stale()), (false, true));
    let held = shadow.permit().unwrap();
    assert!(!shadow.is_stale());
    drop(held);
    shadow.only_watch();
    assert!(shadow.is_idle());
}

#[test]
fn the_other_limits_are_idle_when_nothing_counts_for_late_readers_either() {
    let clock: ManualClock = ManualClock::new();
    clock.set(Ticks(1_234_567_890_123));
    let until_idle = |limit: &dyn Idle| {
        assert!(!limit.is_idle());
        let started = clock.now();
        while !limit.is_idle() {
            clock.advance(10 * MS);
        }
        clock.now().saturating_since(started) / 1_000_000
    };
    let config = SlidingLogConfig::per_second().max_lateness(300 * MS);
    let log: SlidingLog<2, _> = SlidingLog::new(config, &clock);
    assert!(log.is_idle());
    log.try_acquire().unwrap();
    let waited = until_idle(&log);
    assert!((1_300..1_350).contains(&waited), "{waited} ms");
    log.exit(log.enter().unwrap(), Outcome::Refused);
    assert!(!log.is_idle(), "for a late reader it may be a call of the window before");

    let config = SlidingWindowConfig::per_second(5).max_lateness(300 * MS);
    let counter = SlidingWindowCounter::new(config, &clock);
    assert!(counter.is_idle());
    counter.try_acquire(1).unwrap();
    let waited = until_idle(&counter);
    assert!((2_300..2_400).contains(&waited), "{waited} ms");
    counter.exit(counter.enter().unwrap(), Outcome::Refused);
    assert!(counter.is_idle(), "as if it had not come");

    let config = WarmUpConfig::new(Rate::per_second(10), SECOND).max_lateness(300 * MS);
    let warm_up = WarmUp::new(config.max_wait(Duration::ZERO), &clock);
    assert!(warm_up.is_idle(), "cold");
    warm_up.try_acquire().unwrap();
    // The pause of a cold call, a tenth of a second to cool, and the lateness.
    let waited = until_idle(&warm_up);
    assert!((680..750).contains(&waited), "{waited} ms");
}

#[test]
fn what_limits_the_load_is_idle_when_it_has_nothing_to_remember() {
    let clock: ManualClock = ManualClock::new();
    let shedder = LoadShedder::new(ShedderConfig::new(2));
    assert!(shedder.is_idle());
    let call = shedder.permit().unwrap();
    assert!(!shedder.is_idle());
    drop(call);
    assert!(shedder.is_idle());

    let limit = AdaptiveLimit::new(LimitConfig::aimd(), &clock);
    assert!(limit.is_idle() && limit.is_stale());
    let call = limit.permit().unwrap();
    assert!(!limit.is_stale(), "in flight");
    clock.advance(MS);
    call.success();
    assert!(limit.is_stale() && !limit.is_idle(), "it has begun to learn");

    let rng = Rng::from_seed(7);
    let throttle: AdaptiveThrottle<_, _> =
        AdaptiveThrottle::new(ThrottleConfig::new(), &clock, &rng);
    assert!(throttle.is_idle());
    throttle.permit().unwrap().failure();
    assert!(!throttle.is_idle());
    clock.advance(3 * 60 * SECOND);
    assert!(throttle.is_idle());

    // Where a late reader still sees the calls, it refuses by them; a new one would not.
    let config = ThrottleConfig::new().window(10 * SECOND).max_lateness(5 * SECOND);
    let throttle: AdaptiveThrottle<_, _> = AdaptiveThrottle::new(config, &clock, &rng);
    assert!(throttle.is_idle());
    throttle.permit().unwrap().failure();
    let mut waited = Duration::ZERO;
    while !throttle.is_idle() {
        clock.advance(100 * MS);
        waited += 100 * MS;
        assert!(throttle.snapshot().requests() == 0 || waited <= 10 * SECOND);
    }
    assert!(waited > 14 * SECOND && waited <= 15 * SECOND, "{waited:?}");
}

/// A late reader must not find a burst in a new bucket that it would not have found in the old one.
#[test]
fn replacing_an_idle_bucket_grants_nothing_to_a_late_reader() {
    let config = BucketConfig::per_second(10).burst(10).max_lateness(SECOND);
    let clock: ManualClock = ManualClock::new();
    let bucket = TokenBucket::new(config, &clock);
    bucket.try_acquire(10).unwrap();
    let mut granted = 10;
    let mut waited = 0;
    while !bucket.is_idle() {
        clock.advance(10 * MS);
        waited += 10;
    }
    // In place of the old one, with a reader that is late by the most that is supported.
    let fresh = TokenBucket::new(config, &clock);
    let late = Ticks(clock.now().0 - ticks_from_duration(SECOND, 1_000_000_000));
    while fresh.try_acquire_at(1, late).is_ok() || fresh.try_acquire(1).is_ok() {
        granted += 1;
    }
    assert!(granted <= 10 + waited / 100, "{granted} in {waited} ms");
}

#[test]
fn a_breaker_is_idle_when_closed_and_clean() {
    let clock: ManualClock = ManualClock::new();
    let config = BreakerConfig::standard().consecutive_failures(2).open_for(30 * SECOND);
    let breaker = CircuitBreaker::new(config, &clock);
    let answers = |breaker: &CircuitBreaker<&ManualClock>| (breaker.is_idle(), breaker.is_stale());
    assert_eq!(answers(&breaker), (true, true));
    breaker.permit().unwrap().failure();
    assert_eq!(answers(&breaker), (false, true), "one failure is on record");
    breaker.permit().unwrap().failure();
    assert_eq!(answers(&breaker), (false, false), "open");
    clock.advance(30 * SECOND);
    assert_eq!(answers(&breaker), (false, true), "open, and its time is over");
    let probe = breaker.permit().unwrap();
    assert_eq!(answers(&breaker), (false, true), "half-open");
    probe.success();
    assert_eq!(answers(&breaker), (true, true));
    breaker.force_open();
    assert_eq!(answers(&breaker), (false, false), "by hand");
    breaker.disable();
    assert_eq!(answers(&breaker), (false, false), "by hand");

    let window = LastTime::<_, 10>::new(10 * SECOND, Rates::failures(Ratio::percent(50)));
    let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), window, &clock);
    breaker.permit().unwrap().success();
    assert!(breaker.is_idle(), "successes trip nothing");
    breaker.permit().unwrap().failure();
    breaker.permit().unwrap().success();
    assert!(!breaker.is_idle(), "a failure in the window");
    clock.advance(20 * SECOND);
    assert!(breaker.is_idle(), "it has left the window");
}

#[test]
fn permits_budgets_and_switches_are_asked_too() {
    let semaphore: Semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    assert!(!semaphore.is_idle());
    drop(held);
    assert!(semaphore.is_idle());

    let clock: ManualClock = ManualClock::new();
    let config = BudgetConfig::new(Ratio::percent(50)).floor_per_second(1);
    let budget = RetryBudget::new(config, &clock);
    assert!(budget.is_idle());
    budget.try_withdraw().unwrap();
    assert!(!budget.is_idle(), "a new one would hold more");
    clock.advance(2 * SECOND);
    assert!(budget.is_idle());

    let switch = Switch::new();
    assert!(switch.is_idle());
    for turn in [Switch::disable, Switch::force_on, |switch: &Switch| switch.drive(true)] {
        let switch = Switch::new();
        turn(&switch);
        assert!(!switch.is_idle());
    }
    switch.set_share(Ratio::percent(50)).unwrap();
    assert!(!switch.is_idle());
}

#[test]
fn gates_of_gates_are_idle_when_all_of_them_are() {
    let (a, b): (Semaphore, Semaphore) = (Semaphore::new(1), Semaphore::new(1));
    let gates = (&a, Some(Immediate(&b)), (), ().observed("nothing", ()));
    assert!(gates.is_idle() && gates.is_stale());
    let held = b.try_acquire().unwrap();
    assert!(!gates.is_idle() && !gates.is_stale());
    drop(held);
    let shadow = (&a).shadow();
    assert!(shadow.is_idle());
    shadow.enforce();
    assert!(!shadow.is_idle(), "a new one would enforce nothing");
}

#[test]
fn buckets_that_share_their_limits_share_nothing_else() {
    let clock: ManualClock = ManualClock::new();
    let limit = SharedBucket::new(BucketConfig::per_second(10).burst(3), &clock);
    let (a, b) = (BucketState::new(), BucketState::default());
    let taken = limit.take_at(&a, 3, clock.now()).unwrap();
    let refused = limit.try_acquire(&a, 1).unwrap_err();
    assert_eq!(refused.reason(), Reason::RateLimited);
    let wait = refused.retry_after().unwrap();
    assert!(wait >= 100 * MS && wait <= 101 * MS, "{wait:?}");
    assert_eq!(limit.try_acquire(&b, 4).unwrap_err().reason(), Reason::ExceedsBurst);
    assert_eq!((limit.peek_at(&a, clock.now()), limit.peek_at(&b, clock.now())), (0, 3));
    assert!(!limit.is_idle_at(&a, clock.now()) && limit.is_idle_at(&b, clock.now()));
    limit.give_back_at(&a, taken, 3, clock.now());
    assert_eq!(limit.peek_at(&a, clock.now()), 3);
}

#[test]
fn a_breaker_that_ramps_up_is_stale_when_the_ramp_is_over() {
    let clock: ManualClock = ManualClock::new();
    let ramp = Ramp::linear(Ratio::percent(10), Duration::from_secs(60));
    let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), RampUp::new(ramp), &clock);
    breaker.trip();
    clock.advance(Duration::from_secs(30));
    breaker.permit().unwrap().success();
    assert_eq!(breaker.state(), State::RampingUp);
    assert!(!breaker.is_idle() && !breaker.is_stale());
    clock.advance(Duration::from_secs(61));
    assert!(!breaker.is_idle() && breaker.is_stale());
    breaker.permit().unwrap().success();
    assert!(breaker.is_idle());
}
