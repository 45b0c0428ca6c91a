//! All of the other programs together.
#![no_std]
#![no_main]

use core::time::Duration;

use fusebox_core::{
    Backoff, BreakerConfig, BucketConfig, BudgetConfig, Bulkhead, BulkheadConfig, CircuitBreaker,
    Jitter, LastTime, Pipeline, Queue, Rates, Ratio, Retry, RetryBudget, Rng, Semaphore,
    TokenBucket,
};
use size::{CLOCK, SLEEP, Uptime, Work, output, program, run, work};

const RATES: Rates = Rates::failures(Ratio::percent(50));
static RNG: Rng = Rng::from_seed(1);
const RETRY: Retry<Backoff<&Rng>> =
    Retry::new(Backoff::exponential(Duration::from_millis(10)).jitter(Jitter::Full, &RNG))
        .max_attempts(3);

struct Service {
    bucket: TokenBucket<Uptime>,
    permits: Semaphore<Queue<4>>,
    calls: Bulkhead,
    budget: RetryBudget<Uptime>,
    breaker: CircuitBreaker<Uptime>,
    windowed: CircuitBreaker<Uptime, LastTime<Uptime>>,
}

const fn service(config: BreakerConfig) -> Service {
    Service {
        bucket: TokenBucket::new(BucketConfig::per_second(10), &CLOCK),
        permits: Semaphore::new(1),
        calls: Bulkhead::new(BulkheadConfig::new(4)),
        budget: RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), &CLOCK),
        breaker: CircuitBreaker::new(config, &CLOCK),
        windowed: CircuitBreaker::with_window(
            config,
            LastTime::new(Duration::from_secs(10), RATES),
            &CLOCK,
        ),
    }
}

static FIRST: Service = service(BreakerConfig::standard());
static SECOND: Service = service(BreakerConfig::aggressive());

#[inline(never)]
fn typical(service: &Service) {
    use fusebox_core::Gate;

    output(service.bucket.try_acquire(1).is_ok().into());
    if let Some(Ok(_permit)) = run(service.permits.acquire()) {
        output(service.windowed.call(work).is_ok().into());
    }
    let pipeline = Pipeline::new(SLEEP)
        .deadline(Duration::from_secs(1))
        .per_call(&service.calls)
        .retry(RETRY.budget(&service.budget))
        .per_attempt(&service.breaker)
        .attempt_timeout(Duration::from_millis(100));
    output(run(pipeline.call(|_| Work)).is_some().into());
}

program!(typical, &FIRST, &SECOND);
