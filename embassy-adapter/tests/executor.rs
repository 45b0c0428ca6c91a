//! Tasks of embassy's executor that share statics: every wait ends, no limit is passed, and nothing
//! is lost.

mod mock;

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use embassy_executor::Executor;
use embassy_futures::yield_now;
use embassy_time::{Instant, MockDriver, Timer};
use fusebox_embassy::prelude::*;
use mock::{Time, ms};

const TASKS: usize = 8;
const CALLS: u32 = 50;

static BUS: Bulkhead<Queue<TASKS>> = Bulkhead::new(BulkheadConfig::new(2).max_wait(ms(200)));
static PACKETS: TokenBucket =
    TokenBucket::new(BucketConfig::per_second(100).burst(4), EmbassyClock);
static RADIO: CircuitBreaker = CircuitBreaker::new(
    BreakerConfig::standard().consecutive_failures(5).open_for(Duration::from_millis(300)),
    EmbassyClock,
);

/// Calls that run, and the most that did at once.
static IN_FLIGHT: AtomicU32 = AtomicU32::new(0);
static PEAK: AtomicU32 = AtomicU32::new(0);
static RAN: AtomicU32 = AtomicU32::new(0);
static SENT: AtomicU32 = AtomicU32::new(0);
static FINISHED: AtomicU32 = AtomicU32::new(0);

/// A millisecond passes whenever each task that can run has had its turn.
#[embassy_executor::task]
async fn time_passes() {
    loop {
        MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        yield_now().await;
        assert!(Instant::now().as_secs() < 1_000, "a task waits for ever");
    }
}

/// A call while it runs.
struct Flight;

impl Flight {
    fn begin() -> Self {
        let flying = IN_FLIGHT.fetch_add(1, Ordering::Relaxed) + 1;
        PEAK.fetch_max(flying, Ordering::Relaxed);
        RAN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Ordering::Relaxed);
    }
}

#[embassy_executor::task(pool_size = TASKS)]
async fn client(number: u64) {
    let rng = Rng::from_seed(number);
    let backoff = Backoff::exponential(ms(10)).jitter(Jitter::Full, &rng);
    let pipeline = Pipeline::new(EmbassyTimer)
        .deadline(Duration::from_secs(2))
        .retry(Retry::new(backoff).max_attempts(3))
        .per_attempt_waiting((&BUS, &PACKETS, Immediate(&RADIO)))
        .attempt_timeout(ms(20));
    for call in 0..CALLS {
        let answer = pipeline.call(|_| async {
            let _flight = Flight::begin();
            match rng.below(10) {
                0..5 => {}
                5..7 => Timer::after_millis(7).await,
                7 => pending().await,
                _ => return Err(()),
            }
            Ok(())
        });
        if answer.await.is_ok() {
            SENT.fetch_add(1, Ordering::Relaxed);
        }
        if call % 5 == 0 {
            RADIO.until_ready(EmbassyTimer).await.expect("without a limit");
        }
    }
    FINISHED.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn tasks_share_statics() {
    let time = Time::begin();
    let executor = Box::leak(Box::new(Executor::new()));
    executor.run_until(
        |spawner| {
            spawner.spawn(time_passes().expect("spawned once"));
            // Which takes only what is `Send`, as an executor in an interrupt does.
            let elsewhere = spawner.make_send();
            for number in 0..TASKS {
                elsewhere.spawn(client(number as u64).expect("within the pool"));
            }
        },
        || FINISHED.load(Ordering::Relaxed) == TASKS as u32,
    );
    let ran = u64::from(RAN.load(Ordering::Relaxed));
    assert_eq!(IN_FLIGHT.load(Ordering::Relaxed), 0);
    assert_eq!(PEAK.load(Ordering::Relaxed), 2, "as many as the bulkhead lets in");
    assert_eq!((BUS.snapshot().available(), BUS.snapshot().waiting()), (2, 0));
    // A token for each that ran, and more do not exist.
    assert!(ran <= 4 + time.millis() / 10, "{ran} in {} ms", time.millis());
    assert!(SENT.load(Ordering::Relaxed) > CALLS, "most calls are good");
    RADIO.reset();
    assert!(RADIO.permit().is_ok());
}
