//! How far a hedged call has come, as plain data.

use crate::deadline::Deadline;
use crate::event::GiveUp;
use crate::retry::Due;
use crate::time::Ticks;

#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Until the first poll that of the caller alone, then the one that holds.
    pub(super) deadline: Deadline,
    /// When the first attempt began.
    pub(super) first: Ticks,
    pub(super) next: Next,
    /// No attempt begins before this: a server asked for it.
    held_back: Ticks,
    /// How many attempts were begun.
    pub(super) begun: u32,
    /// Which of them have not ended: a bit for each, the lowest for the first.
    pub(super) live: u32,
    /// Which of them were begun beside others.
    hedges: u32,
    /// Whether the next attempt follows on one that failed: then it is paid for already.
    pub(super) owed: bool,
    /// Why there was no further attempt, should the call fail.
    pub(super) cause: GiveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing has happened.
    Idle,
    Running,
    Done,
}

/// When the next attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Never,
    At(Ticks),
    /// At once; it was this time when that was decided.
    Now(Ticks),
}

impl State {
    pub(super) const fn new(deadline: Deadline) -> Self {
        Self {
            phase: Phase::Idle,
            deadline,
            first: Ticks::ZERO,
            next: Next::Never,
            held_back: Ticks::ZERO,
            begun: 0,
            live: 0,
            hedges: 0,
            owed: false,
            cause: GiveUp::Attempts,
        }
    }

    /// Whether a set of attempts has that one.
    pub(super) const fn has(set: u32, place: u32) -> bool {
        set.wrapping_shr(place) & 1 != 0
    }

    pub(super) const fn is_live(&self, place: u32) -> bool {
        Self::has(self.live, place)
    }

    /// How many attempts run.
    pub(super) const fn running(&self) -> u32 {
        self.live.count_ones()
    }

    /// The attempt in a place.
    pub(super) const fn due(&self, place: u32) -> Due {
        Due { number: place.saturating_add(1), deadline: self.deadline }
    }

    /// Whether it was begun beside others.
    pub(super) const fn is_hedge(&self, place: u32) -> bool {
        Self::has(self.hedges, place)
    }

    /// One more attempt.
    pub(super) const fn begin(&mut self) {
        let bit = 1_u32.wrapping_shl(self.begun);
        if self.live != 0 {
            self.hedges |= bit;
        }
        self.live |= bit;
        self.begun = self.begun.saturating_add(1);
    }

    /// That attempt has ended.
    pub(super) const fn end(&mut self, place: u32) {
        self.live &= !1_u32.wrapping_shl(place);
    }

    /// Plans the next attempt for `at`, or later where a server asked for it; not at all where the
    /// deadline comes first.
    pub(super) const fn plan(&mut self, at: Ticks) {
        let at = later(at, self.held_back);
        self.next = if self.deadline.expired_at(at) { Next::Never } else { Next::At(at) };
    }

    /// Plans it for now, or as soon as a server allows; there must be time for it.
    pub(super) const fn plan_now(&mut self, now: Ticks) {
        self.next =
            if self.held_back.0 > now.0 { Next::At(self.held_back) } else { Next::Now(now) };
    }

    /// Lets nothing begin before `until`.
    pub(super) const fn hold_back(&mut self, until: Ticks) {
        self.held_back = later(self.held_back, until);
        if let Next::At(at) = self.next {
            self.plan(at);
        }
    }

    /// Whether the deadline would have passed before an attempt can begin.
    pub(super) const fn would_be_late(&self, now: Ticks) -> bool {
        self.deadline.expired_at(later(now, self.held_back))
    }
}

const fn later(one: Ticks, other: Ticks) -> Ticks {
    if one.0 >= other.0 { one } else { other }
}
