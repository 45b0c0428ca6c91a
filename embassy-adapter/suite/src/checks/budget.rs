//! The retry budget.

use fusebox_core::{BudgetConfig, Gate, ManualClock, Outcome, Ratio, Reason, RetryBudget};

use super::support::{SECOND, reason, wait};
use crate::{Checked, Failure, ensure, ensure_eq};

/// Seven retries for ten calls and no floor: a ratio that floors and powers of two get wrong.
const CONFIG: BudgetConfig = BudgetConfig::new(Ratio::percent(70)).floor_per_second(0).reserve(20);

fn withdrawals<C: fusebox_core::Clock>(budget: &RetryBudget<C>) -> u32 {
    (0..1_000).take_while(|_| budget.try_withdraw().is_ok()).count() as u32
}

pub(super) fn the_ratio_is_exact<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let budget = RetryBudget::new(CONFIG, &clock);
    ensure_eq!(withdrawals(&budget), 0, "nothing is there at first");
    ensure!(reason(budget.try_withdraw()) == Some(Reason::BudgetExhausted));
    let mut retries = 0;
    for _ in 0..100 {
        budget.deposit();
        retries += withdrawals(&budget);
    }
    ensure_eq!(retries, 70);
    budget.deposit_many(10);
    ensure_eq!(budget.balance(), 7);
    ensure_eq!(budget.snapshot().units(), 70);
    Ok(())
}

pub(super) fn no_more_is_saved_than_the_reserve<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let budget = RetryBudget::new(CONFIG, &clock);
    budget.deposit_many(u32::MAX);
    ensure!(budget.snapshot().is_full());
    budget.refund();
    ensure_eq!(withdrawals(&budget), 20);
    Ok(())
}

pub(super) fn the_floor_pays_by_time<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(2).reserve(10);
    let budget = RetryBudget::new(config, &clock);
    ensure_eq!(withdrawals(&budget), 2, "the floor of a second is there from the start");
    let soon = wait(budget.try_withdraw()).ok_or(Failure::new("it knows when"))?;
    ensure!(soon <= SECOND);
    clock.advance(soon);
    ensure_eq!(withdrawals(&budget), 1);
    clock.advance(SECOND * 2);
    // The interval is rounded up, by a sixteenth at most where words are narrow.
    let paid = withdrawals(&budget);
    ensure!((3..=4).contains(&paid));
    clock.advance(SECOND * 60 * 60 * 24);
    ensure_eq!(withdrawals(&budget), 10, "never more than the reserve");
    Ok(())
}

pub(super) fn a_retry_that_did_not_take_place_is_given_back<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let budget = RetryBudget::new(CONFIG, &clock);
    budget.deposit_many(10);
    for (outcome, left) in [(Outcome::Success, 6), (Outcome::Refused, 6), (Outcome::Abandoned, 5)] {
        let retry = budget.permit().map_err(|_| Failure::new("a retry is there"))?;
        retry.finish(outcome);
        ensure_eq!(budget.balance(), left);
    }
    budget.refund();
    ensure_eq!(budget.balance(), 6);
    Ok(())
}

pub(super) fn a_budget_that_cannot_be_is_refused<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let made = |config| RetryBudget::try_new(config, &clock).is_ok();
    ensure!(made(CONFIG));
    ensure!(!made(CONFIG.reserve(0)));
    ensure!(!made(BudgetConfig::new(Ratio::new(1, 0))));
    ensure!(!made(BudgetConfig::new(Ratio::percent(0)).floor_per_second(0)));
    ensure!(!made(CONFIG.reserve(u32::MAX).floor_per_second(10)));
    Ok(())
}
