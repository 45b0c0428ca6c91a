//! Does one thing so many times: `paths NAME TIMES`. For `benches/counts`, which counts the
//! instructions of it. Without a name it lists them.
//!
//! Clocks are manual ones: reading the operating system's takes another number of instructions each
//! time.

use std::env::args;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_std::tower::GateLayer;
use fusebox_std::{
    Backoff, BreakerConfig, BucketConfig, BudgetConfig, Bulkhead, BulkheadConfig, CircuitBreaker,
    Clock, Gate, Jitter, LastCalls, LastTime, ManualClock, Pipeline, Queue, Rates, Ratio, Retry,
    RetryBudget, Rng, Semaphore, TokenBucket,
};
use tower::{Layer, Service};

type Breaker = CircuitBreaker<&'static ManualClock>;

static CLOCK: ManualClock = ManualClock::new();
static RNG: Rng = Rng::from_seed(1);
const RATES: Rates = Rates::failures(Ratio::percent(50)).minimum_calls(100);
const CONFIG: BreakerConfig = BreakerConfig::standard();
const DELAYS: Backoff<&Rng> =
    Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::Full, &RNG);

/// A name, and a function that makes the thing and gives what is done each time.
type Path = (&'static str, fn() -> Box<dyn FnMut()>);

const PATHS: [Path; 14] = [
    ("nothing", || each(|| ())),
    ("breaker closed: call", || {
        let breaker = Breaker::new(CONFIG, &CLOCK);
        each(move || black_box(&breaker).call(work))
    }),
    ("breaker open: refused", || {
        let breaker = Breaker::new(CONFIG, &CLOCK);
        breaker.trip();
        each(move || black_box(&breaker).call(work))
    }),
    ("breaker on its last 100 calls: call", || {
        let breaker = CircuitBreaker::with_window(CONFIG, <LastCalls<_>>::new(100, RATES), &CLOCK);
        each(move || black_box(&breaker).call(work))
    }),
    ("breaker on its last 10 s: call", || {
        let window = <LastTime<_>>::new(Duration::from_secs(10), RATES);
        let breaker = CircuitBreaker::with_window(CONFIG, window, &CLOCK);
        each(move || black_box(&breaker).call(work))
    }),
    ("token bucket: granted", || {
        let bucket = TokenBucket::new(BucketConfig::per_second(1_000_000), &CLOCK);
        let mut now = CLOCK.now();
        each(move || {
            now = now.wrapping_add(10_000);
            black_box(&bucket).try_acquire_at(1, now)
        })
    }),
    ("token bucket: denied", || {
        let bucket = TokenBucket::new(BucketConfig::per_day(1).burst(1), &CLOCK);
        assert!(bucket.try_acquire(1).is_ok());
        each(move || black_box(&bucket).try_acquire(1))
    }),
    ("semaphore: permit and release", || {
        let semaphore = Semaphore::<Queue<0>>::new(64);
        each(move || drop(black_box(&semaphore).try_acquire()))
    }),
    ("semaphore with a queue: permit and release", || {
        let semaphore = Semaphore::<Queue<16>>::new(64);
        each(move || drop(black_box(&semaphore).try_acquire()))
    }),
    ("semaphore with a queue: handed over", || {
        let semaphore = Semaphore::<Queue<16>>::new(1);
        each(move || {
            let held = black_box(&semaphore).try_acquire();
            let mut next = pin!(semaphore.acquire());
            let mut context = Context::from_waker(Waker::noop());
            let waits = next.as_mut().poll(&mut context).is_pending();
            drop(held);
            assert!(waits && next.poll(&mut context).is_ready());
        })
    }),
    ("retry budget: deposit and withdrawal", || {
        let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(100)), &CLOCK);
        each(move || {
            black_box(&budget).deposit();
            budget.try_withdraw().is_ok()
        })
    }),
    ("pipeline of bulkhead, retry and breaker", || {
        let bulkhead: Bulkhead = Bulkhead::new(BulkheadConfig::new(64));
        let breaker = Breaker::new(CONFIG, &CLOCK);
        let retry = Retry::new(DELAYS).max_attempts(3);
        each(move || {
            let pipeline = Pipeline::new(&CLOCK)
                .per_call(black_box(&bulkhead))
                .retry(retry)
                .per_attempt(black_box(&breaker));
            let call = pin!(pipeline.call(|_| async { work() }));
            call.poll(&mut Context::from_waker(Waker::noop()))
        })
    }),
    ("layer of a breaker in a static", || {
        static BREAKER: Breaker = Breaker::new(CONFIG, &CLOCK);
        served(GateLayer::new(&BREAKER).layer(NoOp))
    }),
    ("layer of a breaker in an Arc", || {
        served(GateLayer::new(Arc::new(Breaker::new(CONFIG, &CLOCK))).layer(NoOp))
    }),
];

/// A service that succeeds at once.
#[derive(Clone)]
struct NoOp;

impl Service<()> for NoOp {
    type Response = u32;
    type Error = ();
    type Future = Ready<Result<u32, ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(work())
    }
}

/// Asks a service whether it is ready, and polls its answer once.
fn served<S: Service<()> + 'static>(mut service: S) -> Box<dyn FnMut()> {
    each(move || {
        let mut context = Context::from_waker(Waker::noop());
        let is_ready = black_box(&mut service).poll_ready(&mut context).is_ready();
        assert!(is_ready && pin!(service.call(())).poll(&mut context).is_ready());
    })
}

/// Boxed: the call through it is in "nothing" as well, and is taken off.
fn each<T>(mut operation: impl FnMut() -> T + 'static) -> Box<dyn FnMut()> {
    Box::new(move || {
        black_box(operation());
    })
}

fn work() -> Result<u32, ()> {
    black_box(Ok(1))
}

fn main() {
    let (name, times) = (args().nth(1), args().nth(2));
    let Some(name) = name else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let found = PATHS.iter().find(|(of, _)| *of == name).expect("a name of the list");
    let times: u32 = times.and_then(|times| times.parse().ok()).expect("how many times");
    let mut operation = found.1();
    (0..times).for_each(|_| operation());
}
