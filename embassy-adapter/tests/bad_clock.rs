//! A time driver that breaks its contract: it stands still, steps back, or wraps at 32 bits. The
//! table in the crate's documentation says what that costs, and this is where it was found out.

mod mock;

use std::future::{Future, pending};
use std::pin::pin;

use fusebox_embassy::prelude::*;
use mock::{Alarm, Time, ms};

const BURST: u32 = 5;
const PER_SECOND: u32 = 10;
const OPEN_MS: u64 = 2_000;
/// How far the clock may step back for limits to be kept strictly.
const LATENESS_MS: u64 = 1_000;
/// Words of 32 bits tell time in units that are longer than a tick.
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
    fn new() -> Self {
        let opens = BreakerConfig::standard().consecutive_failures(1).open_for(ms(OPEN_MS));
        let budget =
            BudgetConfig::new(Ratio::percent(0)).floor_per_second(PER_SECOND).reserve(BURST);
        Self {
            breaker: CircuitBreaker::new(opens, EmbassyClock),
            bucket: TokenBucket::new(
                BucketConfig::per_second(PER_SECOND).burst(BURST),
                EmbassyClock,
            ),
            budget: RetryBudget::new(budget, EmbassyClock),
            permits: Semaphore::new(1),
        }
    }

    /// An open circuit, an empty bucket and an empty budget.
    fn used_up() -> Self {
        let parts = Self::new();
        parts.breaker.trip();
        assert_eq!((parts.tokens(), parts.retries()), (BURST, BURST));
        parts
    }

    /// Takes what there is.
    fn tokens(&self) -> u32 {
        (0..).take_while(|_| self.bucket.try_acquire(1).is_ok()).count() as u32
    }

    fn retries(&self) -> u32 {
        (0..).take_while(|_| self.budget.try_withdraw().is_ok()).count() as u32
    }

    /// How long until the breaker lets a probe in, as counted by the steps of 10 ms that it takes,
    /// and how many tokens there are until then.
    fn until_probed(&self, time: &Time) -> (u64, u32) {
        let (mut waited, mut tokens) = (0, self.tokens());
        while self.breaker.permit().is_err() {
            assert!(waited < MINUTE, "the circuit stays open");
            time.advance_millis(10);
            waited += 10;
            tokens += self.tokens();
        }
        (waited, tokens)
    }
}

fn polled<F: Future>(future: F) -> Option<F::Output> {
    match Alarm::new().poll(pin!(future)) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn a_clock_that_stands_still_changes_nothing() {
    let time = Time::begin();
    time.jump(Ticks(12_345_678));
    let (parts, alarm) = (Parts::used_up(), Alarm::new());
    let held = parts.permits.try_acquire();
    let waits = async {
        let hangs = Timeout::new(ms(1)).run(EmbassyTimer, pending::<Result<(), ()>>()).await;
        (hangs, parts.bucket.acquire(EmbassyTimer, 1).await, EmbassyClock.now())
    };
    let mut waits = pin!(waits);
    for _ in 0..1_000 {
        assert!(parts.breaker.permit().is_err() && parts.tokens() == 0);
        assert!(alarm.poll(waits.as_mut()).is_pending());
        assert!(polled(parts.permits.acquire_timeout(EmbassyTimer, ms(1))).is_none());
    }
    assert_eq!(alarm.rung(), 0, "nobody looks at such a clock again and again");
    // What needs no clock goes on.
    drop(held);
    assert!(parts.permits.try_acquire().is_ok());
    // And all the rest does when the clock does.
    let (timeout, token, at) = time.run(waits);
    assert_eq!((timeout, token), (Err(Error::TimedOut), Ok(())));
    assert!(at > Ticks(12_345_678));
    let (waited, _) = parts.until_probed(&time);
    assert!(waited <= OPEN_MS);
}

#[test]
fn small_steps_back_cost_only_time() {
    let time = Time::begin();
    for back in [1, 10, 500, LATENESS_MS - SLACK_MS] {
        time.jump(Ticks(3_000_000_000));
        let parts = Parts::used_up();
        time.jump(Ticks(3_000_000_000 - back * 1_000));

        let (waited, tokens) = parts.until_probed(&time);
        // As long as it would have taken, and the step.
        let expected = OPEN_MS + back;
        assert!(waited <= expected + 10 && waited + SLACK_MS >= expected, "{waited} ms");
        // Nothing for the time that passed twice.
        assert!(u64::from(tokens) <= OPEN_MS * u64::from(PER_SECOND) / 1_000, "{tokens}");
        assert!(u64::from(parts.retries()) <= waited * u64::from(PER_SECOND) / 1_000);
    }
}

#[test]
fn large_steps_back_cost_at_most_a_fresh_start() {
    let time = Time::begin();
    let now = 90 * MINUTE;
    for back in [LATENESS_MS + SLACK_MS, 2_500, 3_500, 10_000, MINUTE, 71 * MINUTE, now] {
        time.jump(Ticks(now * 1_000));
        let parts = Parts::used_up();
        time.jump(Ticks((now - back) * 1_000));

        let (waited, tokens) = parts.until_probed(&time);
        assert!(waited <= OPEN_MS + LATENESS_MS + SLACK_MS, "{waited} ms after -{back}");
        let fresh = BURST + (waited * u64::from(PER_SECOND) / 1_000) as u32;
        assert!(tokens <= fresh, "{tokens} in {waited} ms after -{back}");
        assert!(parts.retries() <= fresh);
        // From then on it is as it was.
        time.advance_millis(10_000);
        assert_eq!((parts.tokens(), parts.tokens()), (BURST, 0));
        assert_eq!(parts.breaker.call(|| Ok::<_, ()>(7)), Ok(7));
    }
}

/// As a driver over a 32-bit counter would that forgets to count its overflows.
#[test]
fn a_clock_that_wraps_at_32_bits_costs_a_burst_for_each_wrap() {
    const WRAP: u64 = 1 << 32;
    let time = Time::begin();
    let parts = Parts::new();
    for second in [0, 1, 2, 3, 30] {
        time.jump(Ticks(WRAP - second * 1_000_000 - 1));
        parts.breaker.trip();
        let (mut passed, mut tokens, mut probed) = (0, 0, None);
        let mut held = parts.permits.try_acquire().expect("free");
        while passed < MINUTE {
            tokens += parts.tokens();
            if probed.is_none() && parts.breaker.permit().is_ok() {
                probed = Some(passed);
            }
            drop(held);
            held = parts.permits.try_acquire().expect("not one is lost");
            assert!(parts.permits.try_acquire().is_err(), "nor is one made up");
            time.advance_millis(10);
            passed += 10;
            if EmbassyClock.now() >= Ticks(WRAP) {
                time.jump(Ticks(EmbassyClock.now().0 - WRAP));
            }
        }
        drop(held);
        let most = 2 * BURST + (passed * u64::from(PER_SECOND) / 1_000) as u32;
        assert!((most - 3 * BURST..=most).contains(&tokens), "{tokens} of {most}");
        let probed = probed.expect("it does not stay open");
        assert!(probed <= OPEN_MS + LATENESS_MS + SLACK_MS, "{probed} ms");
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
