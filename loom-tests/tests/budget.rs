//! The retry budget under every interleaving.
//!
//! The orderings are all Relaxed, as the word guards nothing else, so there is none to weaken: what
//! the models hold is that each change is one compare-and-swap, and the rule for late readings.

mod bounded;

use bounded::model;
use fusebox_core::{BudgetConfig, Clock, Ratio, RetryBudget, Ticks};
use loom::sync::Arc;
use loom::thread;

/// The models give the time themselves.
struct Milliseconds;

impl Clock for Milliseconds {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        NOW
    }
}

/// When the floor of `budget` begins.
const NOW: Ticks = Ticks(1_000_000);

/// So many milliseconds after [`NOW`].
fn later(milliseconds: u64) -> Ticks {
    NOW.wrapping_add(milliseconds)
}

/// One retry for two calls, a reserve of 3, one retry per second; 1 retry saved up, and the floor's
/// time has begun.
fn budget() -> Arc<RetryBudget<Milliseconds>> {
    let config = BudgetConfig::new(Ratio::percent(50)).floor_per_second(1).reserve(3);
    let budget = RetryBudget::new(config, Milliseconds);
    budget.try_withdraw_at(NOW).unwrap();
    budget.refund();
    Arc::new(budget)
}

/// Runs `own` and `other` at once on one budget.
fn race<A, B: 'static>(
    budget: &Arc<RetryBudget<Milliseconds>>,
    own: impl FnOnce(&RetryBudget<Milliseconds>) -> A,
    other: impl FnOnce(&RetryBudget<Milliseconds>) -> B + 'static,
) -> (A, B) {
    let thread = thread::spawn({
        let budget = Arc::clone(budget);
        move || other(&budget)
    });
    let own = own(budget);
    (own, thread.join().unwrap())
}

/// Race: a deposit against a withdrawal. Fails where either commits with a store instead of a CAS:
/// the deposit is lost, or the withdrawal is free.
#[test]
fn a_deposit_and_a_withdrawal_both_count() {
    model(|| {
        let budget = budget();
        let ((), granted) =
            race(&budget, |budget| budget.deposit_many(3), |budget| budget.try_withdraw_at(NOW));
        assert!(granted.is_ok(), "one was there from the start");
        // The two units that were there have been spent.
        assert_eq!(budget.snapshot_at(NOW).units(), 3);
    });
}

/// Race: a call's last unit makes the retry that another thread asks for. Fails where the deposit
/// commits with a store: it undoes a withdrawal that came between.
#[test]
fn deposits_of_two_threads_make_one_retry() {
    model(|| {
        let budget = budget();
        budget.try_withdraw_at(NOW).unwrap();
        let work = |budget: &RetryBudget<Milliseconds>| {
            budget.deposit();
            u64::from(budget.try_withdraw_at(NOW).is_ok())
        };
        let (own, other) = race(&budget, work, work);
        assert_eq!(own + other, 1, "whoever deposits last can take it");
        assert_eq!(budget.snapshot_at(NOW).units(), 0);
    });
}

/// Race: three withdrawals of the last retry. Fails where the withdrawal commits with a store, or
/// does not check the balance again when its CAS fails: the retry is granted twice.
#[test]
fn the_last_retry_is_granted_once() {
    model(|| {
        let budget = budget();
        let third = thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.try_withdraw_at(NOW).is_ok()
        });
        let withdraw = |budget: &RetryBudget<Milliseconds>| budget.try_withdraw_at(NOW).is_ok();
        let (own, other) = race(&budget, withdraw, withdraw);
        let third = third.join().unwrap();
        assert_eq!(u32::from(own) + u32::from(other) + u32::from(third), 1);
    });
}

/// Race: the first interval elapses, and two threads find it unpaid. Fails where the balance and
/// the time are two steps: the balance of the refill added to what is there now, while the time it
/// was computed from is old. Both pay, and two intervals' worth is granted for one.
#[test]
fn an_interval_is_paid_once() {
    model(|| {
        let budget = budget();
        budget.try_withdraw_at(NOW).unwrap();
        let withdraw =
            |budget: &RetryBudget<Milliseconds>| budget.try_withdraw_at(later(1_100)).is_ok();
        let (own, other) = race(&budget, withdraw, withdraw);
        assert_eq!(u32::from(own) + u32::from(other), 1);
        assert_eq!(budget.snapshot_at(later(1_100)).units(), 0);
    });
}

/// Race: a retry given back against one taken. Fails where the refund commits with a store: it
/// undoes the withdrawal that came between, which was then free.
#[test]
fn a_refund_and_a_withdrawal_both_count() {
    model(|| {
        let budget = budget();
        let ((), granted) =
            race(&budget, |budget| budget.refund(), |budget| budget.try_withdraw_at(NOW).is_ok());
        assert!(granted, "one was there from the start");
        assert_eq!(budget.snapshot_at(NOW).units(), 2 + 2 - 2);
    });
}

/// Race: a reserve's last place, filled by two threads. Fails where the cap is checked before the
/// loop instead of in it: more is saved than the reserve.
#[test]
fn deposits_stop_at_the_reserve() {
    model(|| {
        let budget = budget();
        budget.deposit_many(3);
        race(&budget, |budget| budget.refund(), |budget| budget.deposit());
        assert!(budget.snapshot_at(NOW).is_full());
        assert_eq!(budget.balance_at(NOW), 3);
    });
}

/// Race: a thread reads the clock, loses the CPU, and another commits a later time; the late one
/// must not take the wrapped difference for elapsed time. Fails where the refill does not ask
/// whether the word is ahead of the reading: the late reader fills the balance.
#[test]
fn a_late_reading_pays_nothing() {
    model(|| {
        let budget = budget();
        budget.try_withdraw_at(NOW).unwrap();
        // The late one on the other thread: a mere load of this one, where it came first, would not
        // make loom turn the order round, as it remembers only the last access before a
        // compare-and-swap.
        let (prompt, late) = race(
            &budget,
            |budget| budget.try_withdraw_at(later(1_100)).is_ok(),
            |budget| budget.try_withdraw_at(later(600)).is_ok(),
        );
        assert!(prompt, "an interval had elapsed");
        assert!(!late, "granted by a reading from before the interval had elapsed");
        assert_eq!(budget.snapshot_at(later(1_100)).units(), 0);
    });
}
