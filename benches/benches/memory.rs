//! Bytes of one instance, ours and the peers': its own, and those that it has on the heap, with the
//! settings of the benchmarks in `peers`.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::semaphore::{FairSemaphore, GreedySemaphore};
use failsafe::{backoff, failure_policy};
use fusebox_benches::{Counting, Table, allocated};
use fusebox_std::{
    BreakerConfig, BucketConfig, CircuitBreaker, LastCalls, LastTime, Queue, Rates, Ratio,
    Semaphore, StdClock, TokenBucket,
};
use governor::clock::MonotonicClock;
use governor::{Quota, RateLimiter};
use tower_resilience_circuitbreaker::{CircuitBreakerConfigBuilder, CircuitBreakerLayer};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RATES: Rates = Rates::failures(Ratio::percent(50)).minimum_calls(100);
const SPAN: Duration = Duration::from_secs(10);

struct Instances(Table);

impl Instances {
    fn one<T>(&mut self, job: &str, who: &str, make: impl FnOnce() -> T) {
        let before = allocated();
        let instance = black_box(make());
        let heap = allocated() - before;
        drop(instance);
        println!("{job}, {who}: {} bytes, {heap} on the heap", size_of::<T>());
        self.0.add(&[job, who], &[size_of::<T>() as f64, heap as f64]);
    }
}

fn breakers(all: &mut Instances) {
    let job = "breaker, failures in a row";
    all.one(job, "fusebox", || {
        CircuitBreaker::<StdClock>::new(BreakerConfig::standard(), StdClock)
    });
    all.one(job, "failsafe", || {
        let policy = failure_policy::consecutive_failures(5, backoff::constant(SPAN));
        failsafe::Config::new().failure_policy(policy).build()
    });
    let tower = |config: CircuitBreakerConfigBuilder<_>| {
        config.build().expect("good settings").layer_fn(())
    };
    all.one(job, "tower-resilience", || {
        tower(CircuitBreakerLayer::builder().consecutive_failures(5))
    });

    let job = "breaker, half of the last 100 calls";
    all.one(job, "fusebox", || {
        let window = LastCalls::<StdClock>::new(100, RATES);
        CircuitBreaker::with_window(BreakerConfig::standard(), window, StdClock)
    });
    all.one(job, "recloser", || recloser::Recloser::custom().closed_len(100).build());
    all.one(job, "tower-resilience", || {
        tower(CircuitBreakerLayer::builder().sliding_window_size(100))
    });

    let job = "breaker, half of the calls of 10 s";
    all.one(job, "fusebox", || {
        let window = LastTime::<StdClock>::new(SPAN, RATES);
        CircuitBreaker::with_window(BreakerConfig::standard(), window, StdClock)
    });
    all.one(job, "failsafe", || {
        let policy =
            failure_policy::success_rate_over_time_window(0.5, 100, SPAN, backoff::constant(SPAN));
        failsafe::Config::new().failure_policy(policy).build()
    });
}

fn buckets(all: &mut Instances) {
    let job = "token bucket";
    all.one(job, "fusebox", || {
        TokenBucket::<StdClock>::new(BucketConfig::per_second(1000).burst(100), StdClock)
    });
    let number = |n| NonZeroU32::new(n).expect("not 0");
    let quota = Quota::per_second(number(1000)).allow_burst(number(100));
    all.one(job, "governor", || RateLimiter::direct_with_clock(quota, MonotonicClock));
    all.one(job, "better-bucket", || better_bucket::Bucket::per_second(1000));
    all.one(job, "ratelimit", || ratelimit::Ratelimiter::new(1000));
    all.one(job, "leaky-bucket", || leaky_bucket::RateLimiter::builder().max(1000).build());
}

fn semaphores(all: &mut Instances) {
    let job = "semaphore";
    all.one(job, "fusebox, no queue", || Semaphore::<Queue<0>>::new(64));
    all.one(job, "fusebox, queue of 16", || Semaphore::<Queue<16>>::new(64));
    all.one(job, "tokio", || tokio::sync::Semaphore::new(64));
    all.one(job, "async-lock", || async_lock::Semaphore::new(64));
    all.one(job, "embassy-sync, greedy", || GreedySemaphore::<CriticalSectionRawMutex>::new(64));
    all.one(job, "embassy-sync, fair, queue of 16", || {
        FairSemaphore::<CriticalSectionRawMutex, 16>::new(64)
    });
}

fn main() {
    let mut all = Instances(Table::new("memory"));
    breakers(&mut all);
    buckets(&mut all);
    semaphores(&mut all);
    all.0.save();
}
