//! The packed word of a budget and its transitions.

use super::BudgetSnapshot;
use crate::time::scale::{Scale, ahead};
use crate::word::{Field, Word};

/// The word of a budget, to be read through its [`Plan`]:
///
/// ```text
///  msb                                                         lsb
/// | since: all that is left | started: 1 | balance: as it needs |
/// ```
///
/// * `balance`: units saved up, at most `reserve * denominator`, for which it is just wide enough.
///   It never wraps.
/// * `started`: set by the first withdrawal that has a floor, never cleared. While it is not,
///   `since` means nothing.
/// * `since`: the scaled instant up to which the floor has been paid; wraps. The bits that a small
///   balance leaves make it finer, which is what a floor on a 32-bit word needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(Word);

impl State {
    pub(super) const fn new(word: Word) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> Word {
        self.0
    }
}

/// The fields of a [`State`].
#[derive(Clone, Copy)]
pub(super) struct Layout {
    balance: Field,
    started: Field,
    since: Field,
}

/// The widest balance: one bit for `started` and at least one for `since` remain.
pub(super) const MAX_BALANCE_BITS: u32 = Word::BITS - 2;

impl Layout {
    /// `balance_bits` from 1 to [`MAX_BALANCE_BITS`].
    pub(super) const fn new(balance_bits: u32) -> Self {
        let balance = Field::between(0, balance_bits);
        // Not `above`, which could panic at run time: the caller keeps to the widest balance.
        let started = Field::between(balance.end(), balance.end() + 1);
        Self { balance, started, since: Field::between(started.end(), Word::BITS) }
    }

    pub(super) const fn time_bits(self) -> u32 {
        self.since.width()
    }
}

/// A configuration turned into what the transitions need.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) layout: Layout,
    pub(super) scale: Scale,
    /// What a call deposits, in units: the ratio's numerator.
    pub(super) deposit: Word,
    /// What a retry costs, in units: the ratio's denominator. Not 0.
    pub(super) cost: Word,
    /// The largest balance: the reserve, in units.
    pub(super) full: Word,
    /// What the floor has paid at the start, in units.
    pub(super) start: Word,
    /// Between two retries of the floor, in units of time, rounded up; 0 for no floor.
    pub(super) interval: Word,
    /// The supported lateness, in units of time.
    pub(super) lateness: Word,
}

/// The answer to a withdrawal.
#[must_use]
pub(super) enum Withdrawal {
    /// Granted, and this is to be committed.
    Granted(State),
    /// Not enough, and nothing to commit; `wait` units of time until the floor pays, where there is
    /// one.
    Exhausted { wait: Option<Word> },
}

impl Plan {
    pub(super) const fn initial(&self) -> State {
        State(self.layout.balance.set(0, self.start))
    }

    const fn balance(&self, state: State) -> Word {
        self.layout.balance.get(state.0)
    }

    /// How far `since` lies ahead of `now`: not 0 for a reader that is late.
    const fn ahead(&self, state: State, now: Word) -> Word {
        ahead(self.layout.since.get(state.0), now, self.layout.time_bits(), self.lateness)
    }

    /// The time since the floor was last paid; modulo the wrap, and meaningless for a late reader.
    const fn elapsed(&self, state: State, now: Word) -> Word {
        now.wrapping_sub(self.layout.since.get(state.0)) & self.layout.since.max()
    }

    /// What the floor owes at `now` is paid, for whole intervals only.
    const fn transition_refill(&self, state: State, now: Word) -> State {
        let Layout { balance, started, since } = self.layout;
        if self.interval == 0 {
            return state;
        }
        if started.get(state.0) == 0 {
            return State(since.set(started.set(state.0, 1), now));
        }
        let elapsed = self.elapsed(state, now);
        // Only what looks like a payment looks twice: from a late reader it would be a gift.
        if elapsed < self.interval || self.ahead(state, now) > 0 {
            return state;
        }
        let intervals = elapsed / self.interval;
        let rest = elapsed % self.interval;
        let paid = self.capped(state, intervals.saturating_mul(self.cost));
        State(since.set(balance.set(state.0, paid), now.wrapping_sub(rest)))
    }

    const fn capped(&self, state: State, units: Word) -> Word {
        let sum = self.balance(state).saturating_add(units);
        if sum < self.full { sum } else { self.full }
    }

    #[inline]
    pub(super) const fn transition_withdraw(&self, state: State, now: Word) -> Withdrawal {
        let refilled = self.transition_refill(state, now);
        match self.balance(refilled).checked_sub(self.cost) {
            Some(rest) => Withdrawal::Granted(State(self.layout.balance.set(refilled.0, rest))),
            // A payment is never less than a retry, and the time has started at the first
            // withdrawal, which a budget with a floor grants: so nothing has changed, and nothing
            // needs to be committed.
            None if self.interval == 0 => Withdrawal::Exhausted { wait: None },
            None => Withdrawal::Exhausted { wait: Some(self.wait(refilled, now)) },
        }
    }

    /// The units of time until the floor pays the next retry.
    const fn wait(&self, state: State, now: Word) -> Word {
        match self.ahead(state, now) {
            0 => self.interval.saturating_sub(self.elapsed(state, now)),
            late => self.interval.saturating_add(late),
        }
    }

    /// `units` more, at most a full balance; `None` where that changes nothing.
    #[inline]
    pub(super) const fn transition_deposit(&self, state: State, units: Word) -> Option<State> {
        let balance = self.capped(state, units);
        if balance == self.balance(state) {
            return None;
        }
        Some(State(self.layout.balance.set(state.0, balance)))
    }

    pub(super) const fn snapshot(&self, state: State, now: Word) -> BudgetSnapshot {
        self.stored(self.transition_refill(state, now))
    }

    /// What is in the word, without what the floor owes.
    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
    pub(super) const fn stored(&self, state: State) -> BudgetSnapshot {
        BudgetSnapshot {
            units: self.balance(state) as u64,
            // Both come from a `u32`.
            units_per_retry: self.cost as u32,
            reserve: match self.full.checked_div(self.cost) {
                Some(reserve) => reserve as u32,
                None => 0, // A cost of 0 is refused.
            },
        }
    }
}
