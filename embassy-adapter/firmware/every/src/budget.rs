//! The retry budget.

use fusebox_core::{BudgetConfig, Idle, Ratio, RetryBudget};

use crate::{CLOCK, Us, any, keep, now, some_time};

static BUDGET: RetryBudget<&Us> =
    RetryBudget::new(BudgetConfig::new(Ratio::percent(20)).floor_per_second(1), &CLOCK);

pub(crate) fn all() {
    use_budget(&BUDGET);
    let config = BudgetConfig::new(Ratio::new(any(1), any(2)))
        .floor_per_second(any(1))
        .reserve(any(1))
        .max_lateness(some_time());
    if let Ok(budget) = RetryBudget::try_new(config, &CLOCK) {
        use_budget(&budget);
    }
}

pub(crate) fn shared() -> &'static RetryBudget<&'static Us> {
    &BUDGET
}

fn use_budget(budget: &RetryBudget<&'static Us>) {
    keep(budget.is_idle());
    budget.deposit();
    budget.deposit_many(any(3));
    keep((budget.try_withdraw().is_ok(), budget.try_withdraw_at(now()).is_ok()));
    budget.refund();
    keep((budget.balance(), budget.balance_at(now()), budget.clock()));
    for snapshot in [budget.snapshot(), budget.snapshot_at(now())] {
        keep((snapshot.retries(), snapshot.units(), snapshot.units_per_retry()));
        keep((snapshot.reserve(), snapshot.is_full()));
    }
}
