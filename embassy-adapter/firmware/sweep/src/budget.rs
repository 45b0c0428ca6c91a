//! Races for the retries of a budget.

use core::cell::Cell;
use core::time::Duration;

use fusebox_core::{BudgetConfig, Clock, Ratio, RetryBudget};

use crate::answer;
use crate::explore::Case;
use crate::race::Race;
use crate::time::Time;

type Budget = RetryBudget<Time>;

pub(crate) const CASES: &[Case] = &[
    Case::new("budget: two want the last retry", last_retry),
    Case::twice("budget: a retry that two others preempt", three_retries),
    Case::new("budget: a call pays for a retry that another one wants", deposit),
    Case::new("budget: two calls pay", two_deposits),
    Case::new("budget: two calls pay into the last room", last_room),
    Case::new("budget: a retry comes back while one is taken", refund),
    Case::new("budget: a reading of the clock that is late", late_reading),
];

/// Every second call pays for a retry, at most three are saved up, and there is one per second; so
/// one is there from the start.
const CONFIG: BudgetConfig = BudgetConfig::new(Ratio::percent(50)).floor_per_second(1).reserve(3);

fn withdraw(budget: &Budget) -> u32 {
    answer(budget.try_withdraw())
}

fn pay(budget: &Budget) -> u32 {
    budget.deposit();
    u32::MAX
}

/// Whether it holds so many units: two to a retry.
fn holds(budget: &Budget, units: u64) -> bool {
    budget.snapshot().units() == units
}

/// What it holds now, and a second later.
fn left(budget: &Budget) -> [u32; 3] {
    let now = budget.snapshot();
    Time::advance(Duration::from_secs(1));
    [now.retries(), now.units() as u32, budget.snapshot().units() as u32]
}

fn last_retry(race: &mut Race) {
    let budget = const { Budget::new(CONFIG, Time) };
    race.run([&mut || withdraw(&budget)], &mut || withdraw(&budget));
    race.end(race.let_in() == 1 && holds(&budget, 0), left(&budget));
}

fn three_retries(race: &mut Race) {
    let budget = const { Budget::new(CONFIG, Time) };
    budget.deposit_many(6);
    race.run([&mut || withdraw(&budget)], &mut || withdraw(&budget));
    race.end(race.let_in() == 3 && holds(&budget, 0), left(&budget));
}

fn deposit(race: &mut Race) {
    let budget = const { Budget::new(CONFIG.floor_per_second(0), Time) };
    budget.deposit();
    race.run([&mut || pay(&budget)], &mut || withdraw(&budget));
    race.end(holds(&budget, 2 - 2 * race.let_in() as u64), left(&budget));
}

fn two_deposits(race: &mut Race) {
    let budget = const { Budget::new(CONFIG, Time) };
    race.run([&mut || pay(&budget)], &mut || pay(&budget));
    race.end(holds(&budget, 4), left(&budget));
}

fn last_room(race: &mut Race) {
    let budget = const { Budget::new(CONFIG, Time) };
    budget.deposit_many(3);
    race.run([&mut || pay(&budget), &mut || withdraw(&budget)], &mut || pay(&budget));
    race.end(race.let_in() == 1, left(&budget));
}

fn refund(race: &mut Race) {
    let budget = const { Budget::new(CONFIG, Time) };
    let _ = budget.try_withdraw();
    let mut put_back = || {
        budget.refund();
        u32::MAX
    };
    race.run([&mut put_back], &mut || withdraw(&budget));
    race.end(holds(&budget, 2 - 2 * race.let_in() as u64), left(&budget));
}

/// The time is read, then the floor pays for a later time, and then the earlier one is used.
fn late_reading(race: &mut Race) {
    let budget = const { Budget::new(CONFIG, Time) };
    let _ = budget.try_withdraw();
    let now = Cell::new(Time.now());
    let mut read = || {
        now.set(Time.now());
        u32::MAX
    };
    race.run([&mut read, &mut || answer(budget.try_withdraw_at(now.get()))], &mut || {
        Time::advance(Duration::from_secs(1));
        withdraw(&budget)
    });
    race.end(race.let_in() == 1 && holds(&budget, 0), left(&budget));
}
