//! The packed word of a budget and its transitions.

use super::BudgetSnapshot;
use crate::time::Ticks;
use crate::time::scale::{Scale, ahead};
use crate::word::Word;

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
///
/// Neither is shifted down to be looked at: the balance stands at the bottom, and times are
/// compared where they stand, at the top, where they wrap as a word does.
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

/// Where the fields of a [`State`] meet: its bit `started` alone.
#[derive(Clone, Copy)]
pub(super) struct Layout(Word);

/// The widest balance: one bit for `started` and at least one for `since` remain.
pub(super) const MAX_BALANCE_BITS: u32 = Word::BITS - 2;

impl Layout {
    /// `balance_bits` from 1 to [`MAX_BALANCE_BITS`].
    pub(super) const fn new(balance_bits: u32) -> Self {
        Self((1 as Word).wrapping_shl(balance_bits))
    }

    pub(super) const fn time_bits(self) -> u32 {
        self.0.leading_zeros()
    }

    /// Units of time as they stand in a word; those that do not fit wrap.
    #[inline]
    pub(super) const fn raised(self, units: Word) -> Word {
        units.wrapping_mul(self.0.wrapping_shl(1))
    }

    /// The other way round.
    const fn lowered(self, time: Word) -> Word {
        time.wrapping_shr(Word::BITS.wrapping_sub(self.time_bits()))
    }

    const fn balance(self, state: State) -> Word {
        state.0 & self.0.wrapping_sub(1)
    }

    const fn has_started(self, state: State) -> bool {
        state.0 & self.0 != 0
    }

    const fn since(self, state: State) -> Word {
        state.0 & self.0.wrapping_shl(1).wrapping_neg()
    }
}

/// A configuration turned into what the transitions need; times as they stand in a word.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) layout: Layout,
    pub(super) scale: Scale,
    /// What a call deposits, in units: the ratio's numerator.
    pub(super) deposit: Word,
    /// What a retry costs, in units: the ratio's denominator. Not 0.
    pub(super) cost: Word,
    /// How many retries can be saved up.
    pub(super) reserve: Word,
    /// The largest balance: the reserve, in units.
    pub(super) full: Word,
    /// What the floor has paid at the start, in units.
    pub(super) start: Word,
    /// Between two retries of the floor, rounded up to a unit of time; 0 for no floor.
    pub(super) interval: Word,
    /// The supported lateness.
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
        State(self.start)
    }

    /// A reading as it stands in a word.
    #[inline]
    pub(super) const fn time(&self, now: Ticks) -> Word {
        self.layout.raised(self.scale.units(now))
    }

    /// How far `since` lies ahead of `now`: not 0 for a reader that is late.
    const fn ahead(&self, state: State, now: Word) -> Word {
        ahead(self.layout.since(state), now, Word::BITS, self.lateness)
    }

    /// The time since the floor was last paid; modulo the wrap, and meaningless for a late reader.
    const fn elapsed(&self, state: State, now: Word) -> Word {
        now.wrapping_sub(self.layout.since(state))
    }

    /// What the floor owes at `now` is paid, for whole intervals only.
    const fn transition_refill(&self, state: State, now: Word) -> State {
        if self.interval == 0 {
            return state;
        }
        if !self.layout.has_started(state) {
            return State(self.layout.balance(state) | self.layout.0 | now);
        }
        let elapsed = self.elapsed(state, now);
        // Only what looks like a payment looks twice: from a late reader it would be a gift.
        if elapsed < self.interval || self.ahead(state, now) > 0 {
            return state;
        }
        let intervals = elapsed / self.interval;
        let rest = elapsed % self.interval;
        // More than the reserve is never paid, and so nothing overflows.
        let paid = if intervals < self.reserve { intervals } else { self.reserve };
        let balance = self.capped(state, paid.wrapping_mul(self.cost));
        State(balance | self.layout.0 | now.wrapping_sub(rest))
    }

    /// The balance with so many units more, at most a full one.
    const fn capped(&self, state: State, units: Word) -> Word {
        // Not the other way round, as any number of units may be deposited at once.
        let balance = self.layout.balance(state);
        let room = self.full.wrapping_sub(balance);
        balance.wrapping_add(if units < room { units } else { room })
    }

    #[inline]
    pub(super) const fn transition_withdraw(&self, state: State, now: Word) -> Withdrawal {
        let refilled = self.transition_refill(state, now);
        if self.layout.balance(refilled) >= self.cost {
            return Withdrawal::Granted(State(refilled.0.wrapping_sub(self.cost)));
        }
        // A payment is never less than a retry, and the time has started at the first withdrawal,
        // which a budget with a floor grants: so nothing has changed, and nothing needs to be
        // committed.
        let wait = match self.interval {
            0 => None,
            _ => Some(self.layout.lowered(self.wait(refilled, now))),
        };
        Withdrawal::Exhausted { wait }
    }

    /// The time until the floor pays the next retry.
    const fn wait(&self, state: State, now: Word) -> Word {
        match self.ahead(state, now) {
            0 => self.interval.saturating_sub(self.elapsed(state, now)),
            late => self.interval.saturating_add(late),
        }
    }

    /// `units` more, at most a full balance; `None` where that changes nothing.
    #[inline]
    pub(super) const fn transition_deposit(&self, state: State, units: Word) -> Option<State> {
        let more = self.capped(state, units).wrapping_sub(self.layout.balance(state));
        if more == 0 {
            return None;
        }
        Some(State(state.0.wrapping_add(more)))
    }

    pub(super) const fn snapshot(&self, state: State, now: Word) -> BudgetSnapshot {
        self.stored(self.transition_refill(state, now))
    }

    /// What is in the word, without what the floor owes.
    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
    pub(super) const fn stored(&self, state: State) -> BudgetSnapshot {
        BudgetSnapshot {
            units: self.layout.balance(state) as u64,
            // This one and the next come from a `u32`.
            units_per_retry: self.cost as u32,
            reserve: self.reserve as u32,
        }
    }
}
