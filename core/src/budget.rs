//! The retry budget: retries as a fraction of calls.
//!
//! **Background.** Retries multiply load just when there is too much of it: three attempts per
//! call, through three layers, is 27 times the traffic at the bottom. A budget bounds the sum of
//! all retries instead of each call's: calls deposit, retries withdraw, and when the balance is
//! spent, failing calls fail at once.
//!
//! **Solution.** The balance is counted in the ratio's own denominator: at 7/10 a call deposits 7
//! units and a retry costs 10. So every fraction is exact; nothing is rounded, ever. (A cost of
//! `1/ratio` deposits, rounded to a whole number, makes 100 % out of everything above 50 %: seen in
//! the field.) The balance is capped at `reserve` retries, so that a quiet week does not pay for a
//! storm. A floor adds one retry at a fixed interval, so that a service with little traffic can
//! still retry.
//!
//! **Time.** The word holds when the floor was last paid. A withdrawal pays for the whole intervals
//! since then at once, with one division and only where one has elapsed, and moves the time on by
//! just those intervals: nothing is lost however often it is polled, and thirty idle days cost no
//! more than one interval. Adding late is as good as adding on time: between two withdrawals there
//! are only additions, and a capped sum does not depend on their order. So deposits need no clock,
//! and at a full balance they write nothing: a healthy service pays one load per call.
//!
//! The time is compared by the rules of `time/scale.rs`: a reading that is late, by at most the
//! supported lateness, neither pays nor moves the time; beyond that the time in the word is stale
//! and counts as elapsed. After a number of idle wraps the floor may pay less than it could have,
//! never more. That the time has not started yet is a bit of its own: without it, the first
//! withdrawal would measure from the clock's arbitrary origin.
//!
//! # Synchronization
//!
//! One word, changed by compare-and-swap on a pure function of what it was. It guards no other
//! memory, so Relaxed would do for every access: that all threads agree on the order of changes to
//! one word holds for any ordering.

use core::fmt;

use crate::error::{ConfigError, Reason, Rejection};
use crate::gate::{Gate, Idle, Outcome};
use crate::sync::{AtomicWord, Ordering, constructor, swap};
use crate::time::{Clock, Ticks};
use crate::word::Word;

mod config;
mod state;

pub use config::BudgetConfig;
use state::{Plan, State, Withdrawal};

/// Retries as an exact fraction of calls, with a floor per second, shared by many callers.
///
/// Each call [deposits](Self::deposit) once as it begins, however many attempts it makes, and also
/// where gates refuse them all: the [reserve](BudgetConfig::reserve) bounds what that can save up
/// while a circuit is open. Each retry [withdraws](Self::try_withdraw). As a [`Gate`] it withdraws,
/// and takes it back where a later gate refuses.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BudgetConfig, ManualClock, Ratio, Reason, RetryBudget};
///
/// let clock: ManualClock = ManualClock::new();
/// // One retry for five calls, and one every second whatever the traffic.
/// let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(1);
/// let budget = RetryBudget::new(config, &clock);
///
/// assert!(budget.try_withdraw().is_ok(), "the floor of one second is there from the start");
/// let refused = budget.try_withdraw().unwrap_err();
/// assert_eq!(refused.reason(), Reason::BudgetExhausted);
///
/// for _call in 0..5 {
///     budget.deposit();
/// }
/// assert!(budget.try_withdraw().is_ok());
/// assert!(budget.try_withdraw().is_err());
///
/// clock.advance(refused.retry_after().unwrap());
/// assert!(budget.try_withdraw().is_ok());
/// ```
///
/// Shared by all callers of a service, without a cell:
///
/// ```
/// use fusebox_core::{BudgetConfig, Clock, Ratio, RetryBudget, Ticks};
///
/// #[derive(Debug)]
/// struct Uptime;
/// # fn milliseconds_since_boot() -> u64 { 5 }
///
/// impl Clock for Uptime {
///     const TICKS_PER_SECOND: u64 = 1_000;
///     fn now(&self) -> Ticks {
///         Ticks(milliseconds_since_boot())
///     }
/// }
///
/// static BUDGET: RetryBudget<Uptime> =
///     RetryBudget::new(BudgetConfig::new(Ratio::percent(20)), Uptime);
///
/// BUDGET.deposit();
/// assert!(BUDGET.try_withdraw().is_ok());
/// ```
///
/// A bad configuration in a `static` does not compile:
///
/// ```compile_fail
/// # use fusebox_core::{BudgetConfig, ManualClock, Ratio, RetryBudget};
/// static BUDGET: RetryBudget<ManualClock> =
///     RetryBudget::new(BudgetConfig::new(Ratio::new(1, 0)), ManualClock::new());
/// ```
///
/// # Interrupt safety
///
/// Lock-free where the target has compare-and-swap: an operation is repeated only because another
/// one succeeded.
///
/// # Memory ordering
///
/// As if Relaxed throughout: a withdrawal is not a synchronization with whoever deposited.
pub struct RetryBudget<C> {
    word: AtomicWord,
    plan: Plan,
    clock: C,
}

impl<C> RetryBudget<C> {
    #[inline]
    fn load(&self) -> State {
        // Relaxed: whatever is read, the CAS checks it; and to look at, it is as good as any a
        // moment later.
        State::new(self.word.load(Ordering::Relaxed))
    }
}

impl<C: Clock> RetryBudget<C> {
    constructor! {
        /// A budget that starts with what the floor pays in one second, at most the reserve.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would fail; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: BudgetConfig, clock: C) -> Self {
            let plan = match config.resolve(C::TICKS_PER_SECOND) {
                Ok(plan) => plan,
                Err(error) => error.fail(),
            };
            Self { word: AtomicWord::new(plan.initial().word()), plan, clock }
        }
    }

    /// As [`new`](Self::new), for settings that are known only at run time.
    ///
    /// # Errors
    ///
    /// A ratio with denominator 0, a reserve below what one call deposits, neither deposits nor a
    /// floor, a lateness above an hour, or more than the word has bits for
    /// ([`ConfigError::BudgetNeedsMoreBits`]); see [`BudgetConfig`].
    pub fn try_new(config: BudgetConfig, clock: C) -> Result<Self, ConfigError> {
        let plan = config.resolve(C::TICKS_PER_SECOND)?;
        Ok(Self { word: AtomicWord::new(plan.initial().word()), plan, clock })
    }

    /// Notes one call: adds the ratio's worth of a retry. Reads no clock; where the balance is
    /// full, writes nothing.
    #[inline]
    pub fn deposit(&self) {
        self.add(self.plan.deposit);
    }

    /// Notes `calls` calls at once.
    #[inline]
    pub fn deposit_many(&self, calls: u32) {
        self.add(self.plan.deposit.saturating_mul(Word::from(calls)));
    }

    /// Takes one retry.
    ///
    /// # Errors
    ///
    /// [`Reason::BudgetExhausted`], with the time to the floor's next retry where there is a floor.
    /// A refusal takes and writes nothing.
    #[inline]
    pub fn try_withdraw(&self) -> Result<(), Rejection> {
        self.try_withdraw_at(self.now())
    }

    /// As [`try_withdraw`](Self::try_withdraw), at an instant that the caller read from the same
    /// clock. Without a floor it does not matter which.
    ///
    /// # Errors
    ///
    /// As [`try_withdraw`](Self::try_withdraw).
    pub fn try_withdraw_at(&self, now: Ticks) -> Result<(), Rejection> {
        let now = self.plan.time(now);
        loop {
            let state = self.load();
            let next = match self.plan.transition_withdraw(state, now) {
                Withdrawal::Granted(next) => next,
                Withdrawal::Exhausted { wait } => return Err(self.exhausted(wait)),
            };
            if self.swap(state, next) {
                return Ok(());
            }
        }
    }

    /// Gives back a retry that was withdrawn and did not take place. At most once for each
    /// withdrawal.
    #[inline]
    pub fn refund(&self) {
        self.add(self.plan.cost);
    }

    /// How many retries could be withdrawn now.
    #[must_use]
    pub fn balance(&self) -> u32 {
        self.balance_at(self.now())
    }

    /// How many retries could be withdrawn at `now`.
    #[must_use]
    pub fn balance_at(&self, now: Ticks) -> u32 {
        self.snapshot_at(now).retries()
    }

    /// What the budget holds now, for metrics and tests.
    pub fn snapshot(&self) -> BudgetSnapshot {
        self.snapshot_at(self.now())
    }

    /// What the budget holds at `now`. Changes nothing.
    pub fn snapshot_at(&self, now: Ticks) -> BudgetSnapshot {
        self.plan.snapshot(self.load(), self.plan.time(now))
    }

    /// The clock this budget goes by.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// The time now; without a floor nothing depends on it, and the clock is not read.
    #[inline]
    fn now(&self) -> Ticks {
        if self.plan.interval == 0 { Ticks::ZERO } else { self.clock.now() }
    }

    // One copy where it is long.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn add(&self, units: Word) {
        loop {
            // Of a full balance that was just drawn from, this call may as well have come before
            // the withdrawal.
            let state = self.load();
            match self.plan.transition_deposit(state, units) {
                Some(next) if !self.swap(state, next) => {}
                _ => return,
            }
        }
    }

    /// Commits a transition. Lock-free: fails only where another one was committed (or, on LL/SC
    /// targets, for no reason, which does not last).
    #[inline]
    fn swap(&self, old: State, new: State) -> bool {
        // Relaxed would do: the word is all there is; nothing is published with it.
        swap(&self.word, old.word(), new.word())
    }

    #[cold]
    fn exhausted(&self, wait: Option<Word>) -> Rejection {
        match wait {
            Some(units) => {
                #[allow(
                    clippy::useless_conversion,
                    reason = "a conversion where words are 32 bits"
                )]
                let ticks = self.plan.scale.ticks_up(units.into());
                Rejection::after_ticks(Reason::BudgetExhausted, ticks, C::TICKS_PER_SECOND)
            }
            None => Rejection::new(Reason::BudgetExhausted),
        }
    }
}

/// Entering withdraws a retry; a call that never ran ([`Outcome::Refused`]) gives it back.
impl<C: Clock> Gate for RetryBudget<C> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.try_withdraw()
    }

    #[inline]
    fn exit(&self, (): (), outcome: Outcome) {
        if outcome == Outcome::Refused {
            self.refund();
        }
    }
}

/// Holds at least what it held at the start.
impl<C: Clock> Idle for RetryBudget<C> {
    fn is_idle(&self) -> bool {
        self.snapshot().units >= self.plan.stored(self.plan.initial()).units
    }
}

impl<C> fmt::Debug for RetryBudget<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The floor's unpaid part is left out, so that no clock is read.
        let stored = self.plan.stored(self.load());
        f.debug_struct("RetryBudget")
            .field("retries", &stored.retries())
            .field("reserve", &stored.reserve())
            .field("units", &stored.units())
            .field("units_per_retry", &stored.units_per_retry())
            .finish_non_exhaustive()
    }
}

/// What a [`RetryBudget`] held at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct BudgetSnapshot {
    units: u64,
    units_per_retry: u32,
    reserve: u32,
}

impl BudgetSnapshot {
    /// How many whole retries could be withdrawn.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        // At most the reserve. Not 0: the configuration is validated.
        match self.units.checked_div(self.units_per_retry as u64) {
            Some(retries) => retries as u32,
            None => 0,
        }
    }

    /// The balance in units: a call deposits as many as the numerator of the ratio.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// How many units a retry costs: the denominator of the ratio, in lowest terms.
    #[must_use]
    pub const fn units_per_retry(&self) -> u32 {
        self.units_per_retry
    }

    /// How many retries can be saved up.
    #[must_use]
    pub const fn reserve(&self) -> u32 {
        self.reserve
    }

    /// Whether no more can be saved up.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.units == self.reserve as u64 * self.units_per_retry as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, Ratio};

    #[test]
    fn an_instance_with_its_configuration_stays_small() {
        assert!(size_of::<RetryBudget<&ManualClock>>() < 100);
    }

    #[test]
    fn a_full_balance_is_not_written() {
        let clock: ManualClock = ManualClock::new();
        let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(50)).reserve(10), &clock);
        let full = budget.load();
        assert!(budget.snapshot().is_full());
        assert!(budget.plan.transition_deposit(full, budget.plan.deposit).is_none());
        assert!(budget.plan.transition_deposit(full, 0).is_none());
    }

    #[test]
    fn without_a_floor_the_clock_is_not_read() {
        struct Unread;
        impl Clock for Unread {
            const TICKS_PER_SECOND: u64 = 1;
            fn now(&self) -> Ticks {
                panic!("read the clock");
            }
        }
        let config = BudgetConfig::new(Ratio::percent(20)).floor_per_second(0);
        let budget = RetryBudget::new(config, Unread);
        assert_eq!(budget.try_withdraw().unwrap_err().retry_after(), None);
        budget.deposit_many(5);
        assert_eq!(budget.balance(), 1);
        assert!(budget.try_withdraw().is_ok());
    }
}
