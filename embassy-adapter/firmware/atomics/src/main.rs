//! Every primitive as a `static`, without a cell, used once by a program for bare metal.
//!
//! It is built to be looked at, not run: `.ci/run` disassembles it and finds no 64-bit atomic, no
//! lock and no critical section where the target has compare-and-swap. What the primitives are
//! given is opaque, so that the optimiser can leave nothing out.
#![no_std]
#![no_main]

use core::future::{Future, ready};
use core::hint::black_box;
use core::panic::PanicInfo;
use core::pin::pin;
use core::task::{Context, Waker};
use core::time::Duration;

use fusebox_core::{
    AdaptiveLimit, AdaptiveThrottle, Aimd, Backoff, BreakerConfig, BucketConfig, BudgetConfig,
    Bulkhead, BulkheadConfig, CircuitBreaker, Clock, CoDel, CoDelConfig, Deadline, EnvoyGradient,
    Gate, Gradient2, Jitter, LastTime, LimitConfig, LoadShedder, ManualClock, Meter, Outcome,
    Pipeline, Priority, Queue, Rate, Rates, Ratio, Retry, RetryBudget, Rng, Semaphore,
    ShedderConfig, ThrottleConfig, Ticks, TokenBucket, Vegas, WaitGate,
};

type Us = ManualClock<1_000_000>;

static CLOCK: Us = ManualClock::new();
static BREAKER: CircuitBreaker<&Us> = CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
static WINDOWED: CircuitBreaker<&Us, LastTime<&Us>, Meter> = CircuitBreaker::with_parts(
    BreakerConfig::standard(),
    LastTime::new(Duration::from_secs(10), Rates::failures(Ratio::percent(50))),
    Meter::new(),
    (),
    &CLOCK,
);
static BUDGET: RetryBudget<&Us> =
    RetryBudget::new(BudgetConfig::new(Ratio::percent(20)).floor_per_second(1), &CLOCK);
static BUCKET: TokenBucket<&Us> =
    TokenBucket::new(BucketConfig::per_second(10).max_wait(Duration::from_secs(1)), &CLOCK);
static SEMAPHORE: Semaphore<Queue<4>> = Semaphore::new(2);
static BULKHEAD: Bulkhead<Queue<4>> =
    Bulkhead::new(BulkheadConfig::new(4).max_wait(Duration::from_secs(1)));
static RANDOM: Rng = Rng::from_seed(1);
static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(8));
static CODEL: CoDel<&Us> = CoDel::new(CoDelConfig::new(), &CLOCK);
static THROTTLE: AdaptiveThrottle<&Us, &Rng> =
    AdaptiveThrottle::new(ThrottleConfig::new(), &CLOCK, &RANDOM);
static AIMD: AdaptiveLimit<&Us, Aimd> = AdaptiveLimit::new(LimitConfig::aimd(), &CLOCK);
static VEGAS: AdaptiveLimit<&Us, Vegas> = AdaptiveLimit::new(LimitConfig::vegas(), &CLOCK);
static GRADIENT: AdaptiveLimit<&Us, Gradient2> =
    AdaptiveLimit::new(LimitConfig::gradient2(), &CLOCK);
static ENVOY: AdaptiveLimit<&Us, EnvoyGradient> =
    AdaptiveLimit::new(LimitConfig::envoy_gradient(), &CLOCK);

/// The linker's entry: no runtime, as nothing here ever runs.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    CLOCK.advance(black_box(Duration::from_micros(1)));
    CLOCK.set(black_box(Ticks(1 << 40)));
    black_box(CLOCK.now());

    use_gate(&BREAKER);
    black_box(BREAKER.snapshot());
    black_box(BREAKER.time_until_half_open());
    BREAKER.force_open();
    BREAKER.reset();
    use_gate(&WINDOWED);
    black_box(WINDOWED.snapshot());
    use_gate(&BUCKET);
    use_gate(&BUCKET.of(black_box(2)));
    black_box(BUCKET.reserve(black_box(1)).is_ok());
    black_box(BUCKET.time_until(black_box(1)));
    black_box(BUCKET.set_rate(black_box(Rate::per_minute(7))).is_ok());
    black_box(BUCKET.set_burst(black_box(5)).is_ok());
    use_gate(&SEMAPHORE);
    use_gate(&BULKHEAD);
    black_box(SEMAPHORE.try_acquire_many(black_box(2)).is_ok());
    black_box(SEMAPHORE.snapshot().percent());
    poll_once(SEMAPHORE.acquire_many(black_box(2)));
    poll_once(BULKHEAD.enter_waiting(&CLOCK));
    BUDGET.deposit_many(black_box(3));
    black_box(BUDGET.try_withdraw().is_ok());
    BUDGET.refund();
    black_box(BUDGET.balance());
    use_gate(&SHEDDER.at(black_box(Priority::High)));
    black_box(SHEDDER.set_limit(black_box(5)).is_ok());
    use_gate(&CODEL.since(black_box(Ticks(1))));
    poll_once(CODEL.queue(&BULKHEAD).wait_enter(&&CLOCK, black_box(Deadline::NEVER)));
    use_gate(&THROTTLE);
    use_gate(&AIMD);
    use_gate(&VEGAS);
    use_gate(&GRADIENT.at(black_box(Priority::Low)));
    black_box(GRADIENT.snapshot());
    use_gate(&ENVOY);
    let backoff = Backoff::exponential(black_box(Duration::from_millis(10)));
    black_box(backoff.jitter(Jitter::Decorrelated, &RANDOM).delays().next());
    use_pipeline();

    #[cfg(feature = "planted-lock")]
    planted_lock();
    #[cfg(feature = "planted-critical-section")]
    cortex_m::interrupt::free(|_| CLOCK.advance_ticks(1));
    loop {}
}

/// Enters and leaves by every path.
fn use_gate<G: Gate>(gate: &G) {
    let outcome = match black_box(0_u32) {
        0 => Outcome::Success,
        1 => Outcome::Failure,
        2 => Outcome::Ignored,
        3 => Outcome::Abandoned,
        _ => Outcome::Refused,
    };
    match black_box(gate).permit() {
        Ok(permit) => permit.finish(outcome),
        Err(rejection) => {
            black_box(rejection.retry_after());
        }
    }
}

/// A pipeline with all its parts.
fn use_pipeline() {
    let delays = Backoff::exponential(black_box(Duration::from_millis(10)));
    let Ok(retry) = Retry::try_new(delays.jitter(Jitter::Full, &RANDOM)) else { return };
    let retry = retry.max_attempts(3).budget(&BUDGET);
    let timer = &CLOCK;
    let pipeline = Pipeline::new(timer)
        .deadline(black_box(Duration::from_secs(1)))
        .per_call_waiting((&BULKHEAD, &BUCKET))
        .retry(retry)
        .per_attempt((&BREAKER, &WINDOWED))
        .attempt_timeout(black_box(Duration::from_millis(100)));
    poll_once(pipeline.call(|_| ready(black_box(Err::<(), u32>(1)))));
}

/// Polls once, and cancels what is pending then.
fn poll_once<F: Future>(future: F) {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    black_box(polled.is_ready());
}

/// A 64-bit atomic as its users write it, which a 32-bit target emulates.
#[cfg(feature = "planted-lock")]
fn planted_lock() {
    use portable_atomic::{AtomicU64, Ordering};

    static COUNTER: AtomicU64 = AtomicU64::new(0);
    COUNTER.fetch_add(black_box(1), Ordering::Relaxed);
}

// The critical section of `cortex-m` is linked only where something names the crate.
#[cfg(feature = "critical-section")]
use cortex_m as _;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
