//! A deposit, and a withdrawal for a retry.
#![no_std]
#![no_main]

use fusebox_core::{BudgetConfig, Ratio, RetryBudget};
use size::{CLOCK, Uptime, output, program};

static FIRST: RetryBudget<Uptime> = RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), &CLOCK);
static SECOND: RetryBudget<Uptime> =
    RetryBudget::new(BudgetConfig::new(Ratio::percent(10)), &CLOCK);

#[inline(never)]
fn typical(budget: &RetryBudget<Uptime>) {
    budget.deposit();
    output(budget.try_withdraw().is_ok().into());
}

program!(typical, &FIRST, &SECOND);
