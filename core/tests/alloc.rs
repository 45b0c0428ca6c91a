//! Nothing here allocates: not on the way in, not on the way out, not when refused.
//!
//! A counting allocator stands in for the system's. Each audit builds what it needs first, then
//! makes a million calls during which this thread may allocate nothing.

mod counting;

use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use counting::{ALLOCATIONS, CALLS, audit};
use fusebox_core::*;

/// Polls to the end, by hand: an executor's allocations are its own.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// The same for what waits: time moves on while it does.
fn waited<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        clock.advance(Duration::from_millis(1));
    }
}

/// The proof that the audits can fail.
#[test]
fn an_allocation_is_counted() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn deadline() {
    let clock: ManualClock = ManualClock::new();
    let deadline = Deadline::after(&clock, Duration::from_nanos(u64::from(CALLS / 2)));
    audit(|_| {
        clock.advance_ticks(1);
        let _ = deadline.on(&clock).call(|| Ok::<_, ()>(1));
        let _ = run(deadline.on(&clock).guard(async { Ok::<_, ()>(1) }));
    });
}

#[test]
fn breaker() {
    let clock: ManualClock = ManualClock::new();
    let closed = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    audit(|_| {
        let _ = closed.call(|| Ok::<_, ()>(1));
        let _ = run(closed.guard(async { Ok::<_, ()>(1) }));
    });
    assert_eq!(closed.state(), State::Closed);

    closed.force_open();
    audit(|_| {
        let _ = closed.call(|| Ok::<_, ()>(1));
        let _ = run(closed.guard(async { Ok::<_, ()>(1) }));
    });
    assert_eq!(closed.state(), State::ForcedOpen);

    // Through all states: trips, waits, probes, and now and then closes.
    let turning = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    let mut opened = 0;
    audit(|number| {
        clock.advance(Duration::from_secs(1));
        let _ = turning.call(|| if number % 1000 < 500 { Err(()) } else { Ok(()) });
        opened += u32::from(turning.is_open());
    });
    assert!(opened > CALLS / 4 && opened < CALLS, "open after {opened} of {CALLS} calls");
}

/// Through a ramp as well, with settings that change.
#[test]
fn breaker_that_ramps_up() {
    let clock: ManualClock = ManualClock::new();
    let ramp = RampUp::new(Ramp::linear(Ratio::percent(10), Duration::from_secs(100)));
    let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), ramp, &clock);
    let mut refused = 0;
    audit(|number| {
        clock.advance(Duration::from_secs(1));
        let config = BreakerConfig::standard().consecutive_failures(3 + number % 3);
        breaker.reconfigure(&config).unwrap();
        let permit = breaker.permit().map(|permit| permit.finish(Outcome::Success));
        refused +=
            u32::from(permit.is_err_and(|rejection| rejection.reason() == Reason::RampingUp));
        if number % 1000 == 0 {
            breaker.trip();
        }
    });
    assert!(refused > CALLS / 100, "{refused} refused in ramps");
}

/// A meter, an observer, and the wait for an open breaker.
#[test]
fn breaker_with_a_meter() {
    struct Events(Cell<u32>);
    impl Observer for Events {
        fn on_event(&self, _event: &Event<'_>) {
            self.0.set(self.0.get() + 1);
        }
    }
    let (clock, events): (ManualClock, _) = (ManualClock::new(), Events(Cell::new(0)));
    let timer = &clock;
    let breaker = CircuitBreaker::new(BreakerConfig::standard().consecutive_failures(1), &clock)
        .metered(Meter::new().max_concurrent(1))
        .observed_by("audited", &events);
    audit(|_| {
        let _ = run(breaker.guard(async { Err::<(), _>(()) }));
        assert!(breaker.permit().is_err());
        let mut ready = pin!(breaker.until_ready(timer));
        let mut context = Context::from_waker(Waker::noop());
        assert!(ready.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_secs(31));
        assert_eq!(ready.as_mut().poll(&mut context), Poll::Ready(Ok(())));
        breaker.permit().expect("a probe").success();
        assert_eq!(breaker.snapshot().running, Some(0));
    });
    assert_eq!(events.0.get(), 4 * CALLS, "opened, refused, half-open, closed");
}

/// Latencies of both kinds, and what is read of them.
#[test]
fn histograms() {
    let clock: ManualClock = ManualClock::new();
    let all: Histogram<&ManualClock, 8, 8> = Histogram::new(HistogramConfig::standard());
    let recent: WindowedHistogram<_, 4, 8, 8> =
        WindowedHistogram::new(Duration::from_secs(10), HistogramConfig::standard(), &clock);
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        .metered(Meter::new().latencies(&recent));
    let meter = PipelineMeter::with_latencies(&all, &clock);
    let (timer, share) = (&clock, Ratio::percent(95));
    let pipeline = Pipeline::new(timer).per_attempt(&breaker).metered(&meter);
    audit(|number| {
        clock.advance(Duration::from_millis(7));
        let work = |_| {
            clock.advance_ticks(u64::from(number) << 8);
            std::future::ready(if number % 100 == 0 { Err(()) } else { Ok(()) })
        };
        let _ = run(pipeline.call(work));
        if number % 1000 == 0 {
            assert!(recent.percentile(share).is_some() && all.percentile(share).is_some());
            assert!(breaker.snapshot().latency.is_some());
            assert!(meter.snapshot().latency.is_some());
            recent.merge(&all.drain());
        }
    });
    recent.reset();
    assert_eq!(recent.percentile(share), None);
}

#[test]
fn breaker_with_windows() {
    let clock: ManualClock = ManualClock::new();
    let rates = Rates::failures(Ratio::percent(50)).slow_calls(Ratio::percent(50), SLOW);
    const SLOW: Duration = Duration::from_secs(1);
    let calls = LastCalls::<_>::new(100, rates);
    let calls = CircuitBreaker::with_window(BreakerConfig::standard(), calls, &clock);
    let time = LastTime::<_>::new(Duration::from_secs(60), rates);
    let time = CircuitBreaker::with_window(BreakerConfig::standard(), time, &clock);
    audit(|number| {
        clock.advance(Duration::from_millis(100));
        let operation = || if number % 1000 < 500 { Err(()) } else { Ok(()) };
        let _ = calls.call(operation);
        let _ = run(time.guard(std::future::ready(operation())));
    });
}

#[test]
fn switches_and_shadows() {
    let (switch, flags, permits): (_, _, Semaphore) =
        (Switch::new(), Switches::new(), Semaphore::new(1));
    switch.set_share(Ratio::percent(50)).unwrap();
    let shadow = (&permits).shadow();
    let mut let_in = 0;
    audit(|number| {
        let gates = (&switch, switch.of(u64::from(number)), flags.at::<1>(), &shadow);
        let_in += u32::from(gates.permit().is_ok());
        let held = shadow.permit();
        assert!(shadow.permit().is_ok());
        drop(held);
    });
    assert!(let_in > CALLS / 5 && let_in < CALLS / 3, "{let_in} of {CALLS}");
}

#[test]
fn leases() {
    let clock: ManualClock = ManualClock::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(1000).burst(20), &clock);
    let lease = bucket.lease(10);
    let mut granted = 0;
    audit(|_| {
        clock.advance(Duration::from_micros(100));
        granted += u32::from(lease.call(|| Ok::<_, ()>(())).is_ok());
    });
    assert!(granted > CALLS / 11 && granted < CALLS, "{granted} of {CALLS}");
}

#[test]
fn fallbacks() {
    audit(|number| {
        let asked = |tier| if number % 3 < tier { Ok(tier) } else { Err(number) };
        let sync = asked(0).fallback(|_| asked(1)).fallback_if(|_| true, |_| asked(2)).or_value(3);
        let first = std::future::ready(asked(0));
        let chain = first
            .fallback(|_| std::future::ready(asked(1)))
            .fallback_if(|_| true, |_| std::future::ready(asked(2)))
            .or_value(3);
        assert_eq!(run(chain), sync);
        assert_eq!(sync.tier(), *sync.value());
    });
}

#[test]
fn backoff() {
    let random = Rng::from_seed(7);
    let backoff = Backoff::exponential(Duration::from_millis(1));
    let mut delays = backoff.jitter(Jitter::Decorrelated, &random).delays();
    audit(|_| assert!(delays.next().is_some()));
}

#[test]
fn random_numbers() {
    let random = Rng::from_seed(7);
    let (mut least, mut most) = (u64::MAX, 0);
    audit(|_| {
        let number = random.next_u64();
        (least, most) = (least.min(number), most.max(number));
    });
    assert!(least < most);
}

#[test]
fn timeout() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let limit = Timeout::new(Duration::from_millis(1));
    let (mut in_time, mut too_late) = (0, 0);
    audit(|number| {
        let deadline = Deadline::after(timer, Duration::from_millis(1));
        let end = clock.now().wrapping_add(u64::from(number % 2) * 2_000_000);
        let operation = std::future::poll_fn(|_| {
            if clock.now() >= end { Poll::Ready(Ok::<_, ()>(())) } else { Poll::Pending }
        });
        let mut both = pin!(limit.run(timer, deadline.run(timer, operation)));
        let mut context = Context::from_waker(Waker::noop());
        match both.as_mut().poll(&mut context) {
            Poll::Ready(_) => in_time += 1,
            Poll::Pending => {
                clock.advance(Duration::from_millis(1));
                assert!(both.as_mut().poll(&mut context).is_ready());
                too_late += 1;
            }
        }
    });
    assert_eq!((in_time, too_late), (CALLS / 2, CALLS / 2));
}

#[test]
fn retry() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let random = Rng::from_seed(7);
    let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(50)), &clock);
    let delays = Backoff::exponential(Duration::from_millis(1)).jitter(Jitter::Equal, &random);
    let again = Cell::new(0);
    let retry = Retry::new(delays)
        .max_attempts(3)
        .deadline(Duration::from_secs(1))
        .when(RetryIf(|_: &()| true))
        .budget(&budget)
        .on_retry(|_: &Retrying<'_, ()>| again.set(again.get() + 1));
    let mut worked = 0;
    audit(|number| {
        let operation = |attempt: Attempt| {
            std::future::ready(if attempt.number > number % 4 { Ok(()) } else { Err(()) })
        };
        worked += u32::from(waited(&clock, retry.call(timer, operation)).is_ok());
    });
    assert!(worked > 0 && worked < CALLS && again.get() > 0);
}

#[test]
fn hedge() {
    let clock: ManualClock = ManualClock::new();
    let (timer, permits) = (&clock, Semaphore::<Queue<0>>::new(8));
    let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(50)), timer);
    let delay = AfterPercentile::new(
        PercentileConfig::new(Ratio::percent(50), Duration::from_millis(1)),
        WindowedHistogram::<_>::new(Duration::from_secs(10), HistogramConfig::standard(), timer),
    );
    let hedge = Hedge::idempotent(&delay).max_attempts::<3>().budget(&budget);
    let pipeline = Pipeline::new(timer).hedge(hedge).per_attempt(&permits);
    let (mut worked, hedges) = (0, Cell::new(0));
    audit(|number| {
        let operation = |attempt: Attempt| {
            hedges.set(hedges.get() + u32::from(attempt.is_hedge()));
            let slow = u64::from(number % 16 == 3);
            let end = timer.now().saturating_add(slow * 3_000_000);
            async move {
                timer.sleep_until(end).await;
                if number % 64 == 3 { Err(()) } else { Ok(()) }
            }
        };
        worked += u32::from(waited(timer, hedge.call(timer, operation)).is_ok());
        worked += u32::from(waited(timer, pipeline.call(operation)).is_ok());
        // Not an executor that waits: one poll, then cancelled.
        let call = pin!(pipeline.call(operation));
        let _ = call.poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(worked > 0 && worked < 2 * CALLS && hedges.get() > 0);
}

#[test]
fn retry_budget() {
    let clock: ManualClock = ManualClock::new();
    let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), &clock);
    let (mut paid, mut refused) = (0, 0);
    audit(|_| {
        clock.advance_ticks(1000);
        budget.deposit();
        *if budget.try_withdraw().is_ok() { &mut paid } else { &mut refused } += 1;
    });
    assert!(paid > 0 && refused > 0, "{paid} paid, {refused} refused");
}

/// By key and by name: states beside their limits, a sketch, and gates of a group.
#[test]
fn buckets_by_key() {
    let clock: ManualClock = ManualClock::new();
    let config = BucketConfig::per_second(100).burst(10);
    let shared = SharedBucket::new(config, &clock);
    let states = Group::new(["a", "b"].map(|name| (name, BucketState::new())));
    let sketch = BucketSketch::new(config, &clock, [const { SketchColumn::new() }; 8]);
    let (mut granted, mut idle) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(5));
        let state = states.get(if number % 2 == 0 { "a" } else { "b" }).unwrap();
        granted += u32::from(shared.try_acquire(state, number % 4).is_ok());
        idle += u32::from(shared.is_idle_at(state, clock.now()));
        let hash = u64::from(number % 3);
        granted += u32::from(sketch.of(hash, 2).call(|| Ok::<_, ()>(1)).is_ok());
        let _ = (sketch.peek(hash), sketch.try_acquire(hash, 11));
    });
    assert!(granted > CALLS / 4 && granted < 2 * CALLS && idle < CALLS, "{granted} and {idle}");
}

#[test]
fn sliding_log() {
    let clock: ManualClock = ManualClock::new();
    let log: SlidingLog<16, _> = SlidingLog::new(SlidingLogConfig::per_second(), &clock);
    let (mut granted, mut denied) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(20));
        *if log.try_acquire().is_ok() { &mut granted } else { &mut denied } += 1;
        if let Ok(token) = log.enter() {
            log.exit(token, if number % 2 == 0 { Outcome::Refused } else { Outcome::Success });
        }
        let _ = run(log.guard(async { Ok::<_, ()>(1) }));
        assert!(log.snapshot().used > 0);
    });
    assert!(granted > CALLS / 20 && denied > CALLS / 20, "{granted} granted, {denied} denied");
}

#[test]
fn sliding_window_counter() {
    let clock: ManualClock = ManualClock::new();
    let counter = SlidingWindowCounter::new(SlidingWindowConfig::per_second(16), &clock);
    let (mut granted, mut denied) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(20));
        *if counter.try_acquire(1).is_ok() { &mut granted } else { &mut denied } += 1;
        if let Ok(token) = counter.enter() {
            counter.exit(token, if number % 2 == 0 { Outcome::Refused } else { Outcome::Success });
        }
        let _ = run(counter.guard(async { Ok::<_, ()>(1) }));
        assert!(counter.snapshot().used > 0);
    });
    assert!(granted > CALLS / 20 && denied > CALLS / 20, "{granted} granted, {denied} denied");
}

#[test]
fn warm_up() {
    let clock: ManualClock = ManualClock::new();
    let config = WarmUpConfig::new(Rate::per_second(10), Duration::from_secs(10));
    let limit = WarmUp::new(config, &clock);
    let (mut granted, mut denied) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(20));
        *if limit.try_acquire().is_ok() { &mut granted } else { &mut denied } += 1;
        if let Ok(token) = limit.enter() {
            limit.exit(token, if number % 2 == 0 { Outcome::Refused } else { Outcome::Success });
        }
        let _ = run(limit.guard(async { Ok::<_, ()>(1) }));
        let mut waiting = pin!(limit.acquire(&clock));
        let _ = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(limit.level() <= Duration::from_secs(11));
    });
    assert!(granted > CALLS / 20 && denied > CALLS / 20, "{granted} granted, {denied} denied");
}

#[test]
fn bucket() {
    let clock: ManualClock = ManualClock::new();
    let config = BucketConfig::per_second(100).burst(10).max_wait(Duration::from_secs(1));
    let bucket = TokenBucket::new(config, &clock);
    let timer = &clock;
    let (mut granted, mut denied) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(5));
        *if bucket.try_acquire(1).is_ok() { &mut granted } else { &mut denied } += 1;
        let _ = bucket.of(2).call(|| Ok::<_, ()>(1));
        let _ = run(bucket.guard(async { Ok::<_, ()>(1) }));
        drop(bucket.reserve(number % 4 + 1));
        // Not an executor that waits: one poll, then cancelled.
        let waiting = pin!(bucket.acquire(timer, 1));
        let _ = waiting.poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(granted > 0 && denied > 0, "{granted} granted, {denied} denied");
}

#[test]
fn semaphore_and_bulkhead() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let semaphore: Semaphore<Queue<2>> = Semaphore::new(2);
    let bulkhead: Bulkhead<Queue<2>> =
        Bulkhead::new(BulkheadConfig::new(1).max_wait(Duration::from_millis(1)));
    let mut context = Context::from_waker(Waker::noop());
    audit(|_| {
        let _ = bulkhead.call(|| Ok::<_, ()>(1));
        let _ = run(semaphore.guard(async { Ok::<_, ()>(1) }));

        // All permits out, both places taken, and a third that is turned away.
        let all = semaphore.try_acquire_many(2);
        let (mut first, mut second) = (pin!(semaphore.acquire()), pin!(semaphore.acquire()));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(run(semaphore.acquire()).is_err());
        drop(all);
        assert!(first.as_mut().poll(&mut context).is_ready());

        // One waits until it is too late.
        let only = bulkhead.permit();
        let mut late = pin!(bulkhead.enter_waiting(timer));
        assert!(late.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_millis(1));
        assert!(matches!(late.as_mut().poll(&mut context), Poll::Ready(Err(_))));
        drop(only);
    });
}

#[test]
fn load_shedder() {
    let shedder = LoadShedder::new(ShedderConfig::new(2));
    audit(|_| {
        let busy = shedder.permit();
        assert!(shedder.at(Priority::Low).permit().is_err());
        let _ = run(shedder.at(Priority::Critical).guard(async { Ok::<_, ()>(1) }));
        shedder.set_limit(2).unwrap();
        drop(busy);
    });
}

#[test]
fn codel() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    let bulkhead: Bulkhead<Queue<2>> = Bulkhead::new(BulkheadConfig::new(1));
    let queue = codel.queue(&bulkhead);
    let mut context = Context::from_waker(Waker::noop());
    let (mut served, mut shed) = (0, 0);
    audit(|number| {
        let enqueued = clock.now();
        let busy = bulkhead.permit();
        let mut waits = pin!(queue.wait_enter(&timer, Deadline::NEVER));
        assert!(waits.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_millis(u64::from(number % 1000) / 40));
        drop(busy);
        match waits.as_mut().poll(&mut context) {
            Poll::Ready(Ok(token)) => {
                served += 1;
                queue.exit(token, Outcome::Success);
            }
            Poll::Ready(Err(_)) => shed += 1,
            Poll::Pending => unreachable!("it is its turn"),
        }
        let _ = codel.since(enqueued).call(|| Ok::<_, ()>(1));
    });
    assert!(served > 0 && shed > 0, "{served} served, {shed} shed");
    assert_eq!(bulkhead.snapshot().in_use(), 0);
}

#[test]
fn adaptive_throttle() {
    let clock: ManualClock = ManualClock::new();
    let throttle: AdaptiveThrottle<_, _> =
        AdaptiveThrottle::new(ThrottleConfig::new(), &clock, Rng::from_seed(7));
    let (mut sent, mut refused) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(50));
        let operation = || if number % 10 == 0 { Ok(1) } else { Err(()) };
        match throttle.call(operation) {
            Err(Error::Rejected(_)) => refused += 1,
            _ => sent += 1,
        }
    });
    assert!(sent > 0 && refused > 0, "{sent} sent, {refused} refused");
}

/// Through windows, probes and drops.
fn audit_limit<A: LimitAlgorithm>(clock: &ManualClock, config: LimitConfig<A>) {
    let limit = AdaptiveLimit::new(config.window(Duration::from_millis(2)), clock);
    let (mut probes, mut limits, mut last) = (0, 0, 0);
    audit(|number| {
        let high = limit.at(Priority::High);
        let busy = high.permit();
        clock.advance_ticks(1_000_000);
        let result = if number % 1000 < 100 { Err(()) } else { Ok(()) };
        let _ = limit.call(|| result);
        let _ = run(limit.guard(std::future::ready(result)));
        let _ = busy.map(Permit::success);
        let now = limit.snapshot();
        probes += u32::from(now.is_probing());
        limits += u32::from(now.limit() != last);
        last = now.limit();
    });
    assert!(limits > 0 && probes < CALLS, "{limits} limits, {probes} in probes");
}

#[test]
fn adaptive_limits() {
    let clock: ManualClock = ManualClock::new();
    audit_limit(&clock, LimitConfig::aimd());
    audit_limit(&clock, LimitConfig::vegas().initial(2));
    audit_limit(&clock, LimitConfig::gradient2().min(2).initial(4));
    audit_limit(&clock, LimitConfig::envoy_gradient());
}

/// All gates at once, let in and refused by the last one, at once and after a wait.
#[test]
fn tuples_of_gates() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let bucket = TokenBucket::new(BucketConfig::per_second(100).burst(10), &clock);
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(100)), &clock);
    let semaphore: Semaphore<Queue<2>> = Semaphore::new(2);
    let bulkhead: Bulkhead<Queue<2>> = Bulkhead::new(BulkheadConfig::new(1));
    let until = Deadline::NEVER.on(&clock);
    let gates =
        (&bulkhead, semaphore.of(2), Some(bucket.of(2)), Immediate(until), Immediate(&breaker));
    let (mut let_in, mut refused) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(50));
        budget.deposit();
        match number % 1000 {
            0 => breaker.reset(),
            500 => breaker.force_open(),
            _ => {}
        }
        for answer in [
            gates.call(|| Ok::<_, ()>(())),
            run(gates.guard(async { Ok::<_, ()>(()) })),
            waited(&clock, gates.wait_enter(timer, Deadline::NEVER))
                .map(|tokens| gates.exit(tokens, Outcome::Refused))
                .map_err(Error::Rejected),
        ] {
            *if answer.is_ok() { &mut let_in } else { &mut refused } += 1;
        }
    });
    assert!(let_in > 0 && refused > 0, "{let_in} let in, {refused} refused");
    assert_eq!((semaphore.available(), bulkhead.snapshot().available()), (2, 1));
}

#[test]
fn pipeline() {
    const RETRY: Retry = Retry::new(Backoff::constant(Duration::from_millis(1))).max_attempts(3);
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let bucket = TokenBucket::new(BucketConfig::per_second(100).burst(10), &clock);
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    let bulkhead: Bulkhead<Queue<2>> = Bulkhead::new(BulkheadConfig::new(1));
    let pipeline = Pipeline::new(timer)
        .deadline(Duration::from_secs(1))
        .per_call_waiting((&bulkhead, &bucket))
        .retry(RETRY)
        .per_attempt(&breaker)
        .attempt_timeout(Duration::from_millis(100));
    let (mut served, mut refused) = (0, 0);
    audit(|number| {
        clock.advance(Duration::from_millis(200));
        let operation = |_| {
            clock.advance_ticks(1_000_000);
            std::future::ready(if number % 1000 < 500 { Err(()) } else { Ok(()) })
        };
        let mut call = pin!(pipeline.call(operation));
        let mut context = Context::from_waker(Waker::noop());
        let answer = loop {
            match call.as_mut().poll(&mut context) {
                Poll::Ready(answer) => break answer,
                Poll::Pending => clock.advance_ticks(1_000_000),
            }
        };
        match answer {
            Ok(()) => served += 1,
            Err(Error::Rejected(_)) => refused += 1,
            Err(_) => {}
        }
    });
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
}
