//! Bugs of the field that touch the retry budget.

use std::time::{Duration, Instant};

use fusebox_core::{BudgetConfig, Clock, ManualClock, Ratio, RetryBudget, Ticks};

/// Bug 23. Cause: the cost of a retry was `1 / ratio` deposits, cut to a whole number, so that 0.6,
/// 0.7 and 0.9 all became 100 %. Seen in tower's `TpsBudget`.
#[test]
pub(crate) fn every_percentage_is_exact() {
    let clock: ManualClock = ManualClock::new();
    for percent in 1..=200 {
        let config = BudgetConfig::new(Ratio::percent(percent)).floor_per_second(0).reserve(10);
        let budget = RetryBudget::new(config, &clock);
        let mut retries = 0;
        for calls in 1..=1_000_u32 {
            budget.deposit();
            while budget.try_withdraw().is_ok() {
                retries += 1;
            }
            assert_eq!(retries, calls * percent / 100, "{percent} % of {calls}");
        }
    }
}

/// Bug 23. Cause: expiry ran once for each window missed, under a lock: 25.9 million iterations
/// after 30 idle days. Seen in tower's `TpsBudget`. Here a jump is one division.
#[test]
pub(crate) fn thirty_idle_days_cost_no_loop() {
    let clock: ManualClock = ManualClock::new();
    let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(10).reserve(20);
    let budget = RetryBudget::new(config, &clock);
    let begin = Instant::now();
    let mut granted = 0_u32;
    for _ in 0..10_000 {
        clock.advance(Duration::from_secs(30 * 86_400));
        granted += u32::from(budget.try_withdraw().is_ok());
    }
    // With the loop of the field that were 2.6 * 10^11 iterations.
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(granted >= 9_990, "{granted} of 10000");
    assert!(budget.balance() <= 20);
}

/// Bug 2. Cause: a refill that rounded down moved its timestamp to now, and lost the rest: polled
/// often, half of the rate was lost. Seen in ratelimit 2.0.0. Here the time moves by whole
/// intervals only.
#[test]
pub(crate) fn polling_does_not_starve_the_floor() {
    let clock: ManualClock = ManualClock::new();
    let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(10);
    for poll in [1, 19, 51, 99, 199].map(Duration::from_millis) {
        let budget = RetryBudget::new(config, &clock);
        let (mut granted, mut time) = (0_u32, Duration::ZERO);
        while time < Duration::from_secs(20) {
            while budget.try_withdraw().is_ok() {
                granted += 1;
            }
            clock.advance(poll);
            time += poll;
        }
        // One second's worth at the start, and ten for each of twenty seconds; 3 % for rounding.
        assert!((203..=210).contains(&granted), "{granted} of 210 when polled each {poll:?}");
    }
}

/// Bugs 1 and 5. Causes: a late reading makes the elapsed time wrap to something huge and refills
/// everything (better-bucket 1.0.0), and a clock that stepped back reads as no time elapsed for
/// ever (retry-policies) or refills twice.
#[test]
pub(crate) fn a_clock_that_steps_back_neither_pays_twice_nor_wedges() {
    let clock: ManualClock = ManualClock::new();
    clock.advance(Duration::from_secs(100));
    let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(10);
    let budget = RetryBudget::new(config, &clock);
    while budget.try_withdraw().is_ok() {}
    for _ in 0..1_000 {
        clock.rewind(Duration::from_millis(900));
        assert!(budget.try_withdraw().is_err(), "minted by a late reading");
        clock.advance(Duration::from_millis(900));
        assert!(budget.try_withdraw().is_err(), "paid twice");
    }
    clock.rewind(Duration::from_millis(900));
    let wait = budget.try_withdraw().unwrap_err().retry_after().unwrap();
    assert!(wait <= Duration::from_millis(1_020), "{wait:?}");
    clock.advance(wait);
    assert!(budget.try_withdraw().is_ok(), "wedged");
}

/// Bug 4. Causes: very slow rates never refilled, and an idle counter wrapped after 49.7 days and
/// blocked. Seen in better-bucket before 1.1.
#[test]
pub(crate) fn no_idle_time_blocks_the_floor() {
    let config = BudgetConfig::new(Ratio::percent(0)).floor_per_second(1).reserve(1);
    for hours in (0..20_000).step_by(7) {
        let clock: ManualClock<1_000> = ManualClock::new();
        let budget = RetryBudget::new(config, &clock);
        assert!(budget.try_withdraw().is_ok());
        clock.advance(Duration::from_secs(hours * 3_600));
        if let Err(refused) = budget.try_withdraw() {
            // At worst one needless wait, of an interval and the supported lateness.
            let wait = refused.retry_after().unwrap();
            assert!(wait <= Duration::from_millis(2_100), "{wait:?} after {hours} hours");
            clock.advance(wait);
            assert!(budget.try_withdraw().is_ok(), "blocked after {hours} hours");
        }
    }
}

/// Beside bug 23: the origin of a clock is arbitrary, and a first withdrawal that measures from
/// zero fills the balance.
#[test]
pub(crate) fn the_first_withdrawal_does_not_pay_for_the_time_before_it() {
    struct Arbitrary(u64);
    impl Clock for Arbitrary {
        const TICKS_PER_SECOND: u64 = 1_000_000;
        fn now(&self) -> Ticks {
            Ticks(self.0)
        }
    }
    for origin in (0..64).map(|bit| 1 << bit).chain([0, u64::MAX]) {
        let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(3);
        let budget = RetryBudget::new(config, Arbitrary(origin));
        let granted = (0..100).filter(|_| budget.try_withdraw().is_ok()).count();
        assert_eq!(granted, 3, "at {origin}");
    }
}
