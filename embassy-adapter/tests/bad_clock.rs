//! A time driver that breaks its contract: it stands still, steps back, or wraps at 32 bits. The
//! table in the crate's documentation says what that costs, and this is where it was found out.

mod mock;

use std::future::pending;
use std::pin::pin;

use fusebox_embassy::prelude::*;
use mock::{Alarm, Time, ms};

const PER_SECOND: u64 = 10;
const BURST: u64 = 5;
const OPEN_MS: u64 = 2_000;
const MAX_WAIT_MS: u64 = 1_000;
/// How far the clock may step back for limits to be kept strictly.
const LATENESS_MS: u64 = 1_000;
/// Words of 32 bits tell time in units that are longer than a tick, and this looks each 10 ms.
const SLACK_MS: u64 = 20;
const MINUTE: u64 = 60_000;

/// One of each, on embassy's clock.
struct Parts {
    breaker: CircuitBreaker,
    bucket: TokenBucket,
    budget: RetryBudget,
    permits: Semaphore<Queue<4>>,
}

impl Parts {
    /// An open circuit, an empty bucket and an empty budget.
    fn used_up() -> Self {
        let opens = BreakerConfig::standard().open_for(ms(OPEN_MS));
        let bucket = BucketConfig::per_second(PER_SECOND as u32).burst(BURST as u32);
        let budget = BudgetConfig::new(Ratio::percent(0))
            .floor_per_second(PER_SECOND as u32)
            .reserve(BURST as u32);
        let parts = Self {
            breaker: CircuitBreaker::new(opens, EmbassyClock),
            bucket: TokenBucket::new(bucket.max_wait(ms(MAX_WAIT_MS)), EmbassyClock),
            budget: RetryBudget::new(budget, EmbassyClock),
            permits: Semaphore::new(1),
        };
        parts.breaker.trip();
        assert_eq!((parts.tokens(), parts.retries()), (BURST, BURST));
        parts
    }

    /// Takes what there is.
    fn tokens(&self) -> u64 {
        (0..).take_while(|_| self.bucket.try_acquire(1).is_ok()).count() as u64
    }

    /// Takes what there is.
    fn retries(&self) -> u64 {
        (0..).take_while(|_| self.budget.try_withdraw().is_ok()).count() as u64
    }

    /// Asks for everything each 10 ms, which `pass` lets pass, for so long.
    fn watch(&self, millis: u64, mut pass: impl FnMut()) -> Seen {
        let mut seen = Seen::default();
        for now in (0..millis).step_by(10) {
            let (tokens, retries) = (self.tokens(), self.retries());
            if self.breaker.permit().is_ok() {
                seen.probe.get_or_insert(now);
            }
            if tokens > 0 {
                seen.token.get_or_insert(now);
            }
            seen.tokens += tokens;
            seen.retries += retries;
            let permit = self.permits.try_acquire().expect("not one is lost");
            assert!(self.permits.try_acquire().is_err(), "nor is one made up");
            drop(permit);
            pass();
        }
        seen
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// When the circuit let a first call in.
    probe: Option<u64>,
    /// When there was a first token.
    token: Option<u64>,
    tokens: u64,
    retries: u64,
}

#[test]
fn a_clock_that_stands_still_changes_nothing() {
    let time = Time::begin();
    time.jump(Ticks(12_345_678));
    let (parts, alarm) = (Parts::used_up(), Alarm::new());
    let mut waits = pin!(async {
        let hangs = Timeout::new(ms(1)).run(EmbassyTimer, pending::<Result<(), ()>>()).await;
        (hangs, parts.bucket.acquire(EmbassyTimer, 1).await)
    });
    assert!(alarm.poll(waits.as_mut()).is_pending());
    let seen = parts.watch(MINUTE, || {
        assert!(alarm.poll(waits.as_mut()).is_pending());
    });
    assert_eq!((seen.probe, seen.tokens, seen.retries), (None, 0, 0));
    assert_eq!(alarm.rung(), 0, "nobody asks such a clock again and again");

    // Those that wait for permits need no clock for it.
    let held = parts.permits.try_acquire();
    let mut permit = pin!(parts.permits.acquire_timeout(EmbassyTimer, ms(1)));
    assert!(alarm.poll(permit.as_mut()).is_pending());
    drop(held);
    assert!(alarm.poll(permit).is_ready());

    // The rest goes on when the clock does.
    assert_eq!(time.run(waits), (Err(Error::TimedOut), Ok(())));
    let seen = parts.watch(3_000, || time.advance_millis(10));
    assert!(seen.probe.is_some_and(|at| at <= OPEN_MS), "{seen:?}");
}

#[test]
fn small_steps_back_cost_only_time() {
    let time = Time::begin();
    for back in [1, 10, 500, LATENESS_MS - SLACK_MS] {
        time.jump(Ticks(3_000_000_000));
        let parts = Parts::used_up();
        time.jump(Ticks(3_000_000_000 - back * 1_000));

        let seen = parts.watch(4_000, || time.advance_millis(10));
        let late = |at: Option<u64>, due| {
            at.is_some_and(|at| (due + back - SLACK_MS..=due + back + SLACK_MS).contains(&at))
        };
        assert!(late(seen.probe, OPEN_MS), "{seen:?} after -{back}");
        assert!(late(seen.token, 1_000 / PER_SECOND), "{seen:?} after -{back}");
        // Nothing for the time that passed twice.
        assert!(seen.tokens <= (4_000 - back) * PER_SECOND / 1_000, "{seen:?} after -{back}");
        assert!(seen.retries <= 4_000 * PER_SECOND / 1_000, "{seen:?} after -{back}");
    }
}

#[test]
fn large_steps_back_cost_at_most_a_fresh_start() {
    let time = Time::begin();
    let now = 90 * MINUTE;
    for back in [LATENESS_MS + SLACK_MS, 2_000, 2_500, 3_500, 10_000, MINUTE, 71 * MINUTE, now] {
        time.jump(Ticks(now * 1_000));
        let parts = Parts::used_up();
        time.jump(Ticks((now - back) * 1_000));

        let seen = parts.watch(10_000, || time.advance_millis(10));
        let soon = OPEN_MS + LATENESS_MS + SLACK_MS;
        assert!(seen.probe.is_some_and(|at| at <= soon), "{seen:?} after -{back}");
        let soon = 1_000 / PER_SECOND + MAX_WAIT_MS + LATENESS_MS + SLACK_MS;
        assert!(seen.token.is_some_and(|at| at <= soon), "{seen:?} after -{back}");
        let fresh = BURST + 10_000 * PER_SECOND / 1_000;
        assert!(seen.tokens <= fresh && seen.retries <= fresh, "{seen:?} after -{back}");
        // From then on it is as it was.
        assert!(seen.tokens >= 70 && seen.retries >= 70, "{seen:?} after -{back}");
        assert_eq!(parts.breaker.call(|| Ok::<_, ()>(7)), Ok(7));
    }
}

/// As a driver over a 32-bit counter would that forgets to count its overflows.
#[test]
fn a_clock_that_wraps_at_32_bits_costs_a_burst_for_each_wrap() {
    const WRAP: u64 = 1 << 32;
    let time = Time::begin();
    for before in [0, 1, 500, 1_000, 2_000, 3_000, 30_000] {
        time.jump(Ticks(WRAP - before * 1_000 - 1));
        let parts = Parts::used_up();
        let seen = parts.watch(MINUTE, || {
            time.advance_millis(10);
            if EmbassyClock.now() >= Ticks(WRAP) {
                time.jump(Ticks(EmbassyClock.now().0 - WRAP));
            }
        });
        let exact = MINUTE * PER_SECOND / 1_000;
        assert!((exact - 30..=exact + BURST).contains(&seen.tokens), "{seen:?}, -{before}");
        assert!((exact - 40..=exact + BURST).contains(&seen.retries), "{seen:?}, -{before}");
        let soon = OPEN_MS + LATENESS_MS + SLACK_MS;
        assert!(seen.probe.is_some_and(|at| at <= soon), "{seen:?}, -{before}");
    }
}

#[test]
fn waits_that_had_begun_before_a_step_back_are_late_by_it_and_can_be_dropped() {
    let time = Time::begin();
    time.advance_millis(100);
    let mut late = pin!(EmbassyTimer.sleep_until(Ticks(150_000)));
    assert!(Alarm::new().poll(late.as_mut()).is_pending());
    time.jump(Ticks(70_000));
    time.run(late);
    assert_eq!(time.millis(), 150);

    time.jump(Ticks(u64::from(u32::MAX) - 5_000));
    let (parts, alarm) = (Parts::used_up(), Alarm::new());
    {
        let mut timeout = pin!(Timeout::new(ms(10)).run(EmbassyTimer, pending::<Result<(), ()>>()));
        assert!(alarm.poll(timeout.as_mut()).is_pending());
        // Its end is beyond the wrap: no reading of that clock will ever reach it.
        time.jump(Ticks::ZERO);
        assert!(alarm.poll(timeout.as_mut()).is_pending());
        time.jump(Ticks(u64::from(u32::MAX)));
        assert!(alarm.poll(timeout.as_mut()).is_pending());
    }
    {
        let mut turn = pin!(parts.bucket.acquire(EmbassyTimer, 1));
        assert!(alarm.poll(turn.as_mut()).is_pending());
        time.jump(Ticks(1_000));
        assert!(alarm.poll(turn.as_mut()).is_pending());
    }
    // Those that begin now take as long as they say.
    let begun = time.millis();
    let hangs = Timeout::new(ms(10)).run(EmbassyTimer, pending::<Result<(), ()>>());
    assert_eq!(time.run(hangs), Err(Error::TimedOut));
    assert_eq!(time.millis() - begun, 10);
    assert_eq!(time.run(parts.bucket.acquire(EmbassyTimer, 1)), Ok(()));
}
