//! A call through a pipeline of bulkhead, retry, breaker and timeout.
#![no_std]
#![no_main]

use core::time::Duration;

use fusebox_core::{
    Backoff, BreakerConfig, Bulkhead, BulkheadConfig, CircuitBreaker, Pipeline, Retry,
};
use size::{CLOCK, SLEEP, Uptime, Work, output, program, run};

struct Service {
    calls: Bulkhead,
    breaker: CircuitBreaker<Uptime>,
}

static FIRST: Service = Service {
    calls: Bulkhead::new(BulkheadConfig::new(4)),
    breaker: CircuitBreaker::new(BreakerConfig::standard(), &CLOCK),
};
static SECOND: Service = Service {
    calls: Bulkhead::new(BulkheadConfig::new(2)),
    breaker: CircuitBreaker::new(BreakerConfig::aggressive(), &CLOCK),
};
const RETRY: Retry = Retry::new(Backoff::exponential(Duration::from_millis(10))).max_attempts(3);

#[inline(never)]
fn typical(service: &Service) {
    let pipeline = Pipeline::new(SLEEP)
        .deadline(Duration::from_secs(1))
        .per_call(&service.calls)
        .retry(RETRY)
        .per_attempt(&service.breaker)
        .attempt_timeout(Duration::from_millis(100));
    output(run(pipeline.call(|_| Work)).is_some().into());
}

program!(typical, &FIRST, &SECOND);
