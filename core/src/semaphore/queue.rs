//! The places in which tasks wait.

use core::fmt;
use core::task::Waker;

use crate::sync::{AtomicWaker, AtomicWord, Ordering, array_of, constructor, swap};
use crate::word::{Field, Word};

const TAG: Field = Field::lowest(2);
const TICKET: Field = TAG.above(Word::BITS - TAG.end());

/// The number of a waiter: who came earlier has the lower one. Wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(Word);

impl Ticket {
    /// The ticket in the low bits of a counter.
    pub(super) const fn new(count: Word) -> Self {
        Self(count & TICKET.max())
    }

    /// How many tickets were drawn from this one on, this one included, when the counter stood at
    /// `issued`; `None` where this one had not been drawn by then.
    ///
    /// Half of the numbers count as drawn. With 32-bit words a task would have to wait while 2^29
    /// others come (and give up) to be taken for one that was not; see `Pool::oldest`.
    pub(super) const fn age(self, issued: Self) -> Option<Word> {
        let age = issued.0.wrapping_sub(self.0) & TICKET.max();
        if age == 0 || age > TICKET.max() / 2 { None } else { Some(age) }
    }
}

/// What the word of a [`Slot`] says.
///
/// ```text
///    63 or 31                 2 1   0
///   +--------------------------+-----+
///   |          ticket          | tag |    ticket: 0 but in WAITING, and 1 in REFUSED
///   +--------------------------+-----+
/// ```
///
/// * `FREE`: nobody's. Set by the owner when it leaves; ends when a waiter claims it.
/// * `CLAIMED`: its owner is moving in or out, granters pass by. Set by the owner alone, and ended
///   by the owner alone.
/// * `WAITING(ticket)`: the owner waits. Set by the owner; ended by a granter (`GRANTED`,
///   `REFUSED`) or by the owner that gives up (`CLAIMED`), whoever is first. Each wait has a ticket
///   of its own, so that a granter that comes late cannot take the next wait in this slot for the
///   one it saw.
/// * `GRANTED`: the permits are the owner's. Set by a granter, ended by the owner (`FREE`).
/// * `REFUSED`: there are not so many permits any more. As `GRANTED`, but without permits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Phase(Word);

impl Phase {
    const FREE: Self = Self(TAG.set(0, 0));
    const CLAIMED: Self = Self(TAG.set(0, 1));
    const GRANTED: Self = Self(TAG.set(0, 2));
    const REFUSED: Self = Self(TICKET.set(Self::GRANTED.0, 1));

    const fn waiting(ticket: Ticket) -> Self {
        Self(TICKET.set(TAG.set(0, 3), ticket.0))
    }

    const fn ticket(self) -> Option<Ticket> {
        if TAG.get(self.0) == 3 { Some(Ticket(TICKET.get(self.0))) } else { None }
    }

    /// Whether the wait was granted or refused; `None` where it is not over.
    const fn answer(self) -> Option<bool> {
        match TAG.get(self.0) {
            2 => Some(TICKET.get(self.0) == 0),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match TAG.get(self.0) {
            0 => "free",
            1 => "claimed",
            2 if TICKET.get(self.0) == 0 => "granted",
            2 => "refused",
            _ => "waiting",
        }
    }
}

/// A place in a wait queue.
pub struct Slot {
    phase: AtomicWord,
    /// How many permits the owner wants. Written in `CLAIMED`, published by `WAITING`.
    need: AtomicWord,
    waker: AtomicWaker,
}

impl Slot {
    constructor! {
        const fn new() -> Self {
            Self {
                phase: AtomicWord::new(Phase::FREE.0),
                need: AtomicWord::new(0),
                waker: AtomicWaker::new(),
            }
        }
    }

    /// Moves in, if nobody is here.
    #[must_use]
    pub(super) fn claim(&self) -> bool {
        // Relaxed: a first guess, so that passing by a taken slot writes nothing.
        while self.phase.load(Ordering::Relaxed) == Phase::FREE.0 {
            // Acquire: pairs with the Release in `vacate`; the last owner's `take` of its waker is
            // done, and cannot take ours. Where it fails, it is mostly somebody else's slot, and
            // nothing is read from it.
            if swap(&self.phase, Phase::FREE.0, Phase::CLAIMED.0) {
                return true;
            }
        }
        false
    }

    /// Says what the owner waits for and how to wake it. Only in `CLAIMED`.
    pub(super) fn prepare(&self, need: u32, waker: &Waker) {
        // Relaxed: published by the Release in `publish`.
        self.need.store(Word::from(need), Ordering::Relaxed);
        self.waker.register(waker);
    }

    /// `CLAIMED` becomes `WAITING`.
    pub(super) fn publish(&self, ticket: Ticket) {
        // A store is safe: nobody but the owner changes a CLAIMED slot.
        // Release: publishes `need` and the waker; pairs with the Acquire in `waiting`.
        self.phase.store(Phase::waiting(ticket).0, Ordering::Release);
    }

    /// Whose wait a granter finds here.
    pub(super) fn waiting(&self) -> Option<Ticket> {
        // Acquire: pairs with the Release in `publish`.
        Phase(self.phase.load(Ordering::Acquire)).ticket()
    }

    /// How many permits the owner wants.
    ///
    /// The slot may have changed hands since `waiting`, and then this is another's need: what is
    /// reserved by it is put back, as `grant` will fail.
    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 64 bits")]
    pub(super) fn need(&self) -> u32 {
        // Relaxed: ordered by the Acquire in `waiting`.
        self.need.load(Ordering::Relaxed) as u32
    }

    /// `WAITING(ticket)` becomes `GRANTED`, or `REFUSED`, unless that wait is over. Like any `swap`
    /// it may also fail for no reason.
    #[must_use]
    pub(super) fn answer(&self, ticket: Ticket, granted: bool) -> bool {
        let answer = if granted { Phase::GRANTED } else { Phase::REFUSED };
        // Release: hands on what the granter acquired with the permits; pairs with the Acquire in
        // `answered` and `withdraw`. Where it fails, nothing is read.
        swap(&self.phase, Phase::waiting(ticket).0, answer.0)
    }

    /// Wakes the owner. It may be the next owner by now, who then looks and sleeps on.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.take_waker() {
            waker.wake();
        }
    }

    // One copy on small targets, of this and of `vacate`, for all ways in which a wait ends.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn take_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    /// Replaces the owner's waker. `answered` must be asked afterwards: a granter that came before
    /// found the old one.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Whether the owner was granted what it waits for; `None` where it still waits.
    #[must_use]
    pub(super) fn answered(&self) -> Option<bool> {
        // Acquire: pairs with the Release in `answer`.
        Phase(self.phase.load(Ordering::Acquire)).answer()
    }

    /// `WAITING(ticket)` becomes `CLAIMED`; the answer where there was one before.
    pub(super) fn withdraw(&self, ticket: Ticket) -> Result<(), bool> {
        self.phase
            .compare_exchange(
                Phase::waiting(ticket).0,
                Phase::CLAIMED.0,
                // Relaxed: granters that see it pass by, and read nothing here. That they see it
                // in time is the business of the fence in `Pool::grant`.
                Ordering::Relaxed,
                // Acquire: GRANTED was there; pairs with the Release in `answer`.
                Ordering::Acquire,
            )
            .map(|_| ())
            .map_err(|phase| Phase(phase).answer() == Some(true))
    }

    /// The owner moves out of a slot in which it does not wait.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn vacate(&self) {
        // An idle slot must not keep a task's memory alive.
        let waker = self.take_waker();
        // A store is safe: nobody but the owner changes a slot in which it does not wait.
        // Release: pairs with the Acquire in `claim`.
        self.phase.store(Phase::FREE.0, Ordering::Release);
        // Last, as it is foreign code: should it panic, the place is free all the same.
        drop(waker);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: to look at.
        let phase = Phase(self.phase.load(Ordering::Relaxed));
        f.debug_tuple("Slot").field(&phase.name()).finish()
    }
}

mod sealed {
    pub trait Sealed {}
}

/// The places of a wait queue: [`Queue`], or with `alloc` `HeapQueue`.
///
/// Sealed: what waits in the slots relies on their number never changing.
pub trait Slots: sealed::Sealed {
    #[doc(hidden)]
    fn slots(&self) -> &[Slot];
}

/// A wait queue of `N` places inside the semaphore itself, for statics.
///
/// A place takes 40 bytes with 64-bit pointers and 20 with 32-bit ones.
#[derive(Debug)]
pub struct Queue<const N: usize>([Slot; N]);

impl<const N: usize> Queue<N> {
    constructor! {
        pub(super) const fn new() -> Self {
            Self(array_of!(Slot::new(); N))
        }
    }
}

impl<const N: usize> sealed::Sealed for Queue<N> {}

impl<const N: usize> Slots for Queue<N> {
    #[inline]
    fn slots(&self) -> &[Slot] {
        &self.0
    }
}

/// A wait queue whose number of places is chosen at run time; allocated once.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct HeapQueue(alloc::boxed::Box<[Slot]>);

#[cfg(feature = "alloc")]
impl HeapQueue {
    pub(super) fn new(places: usize) -> Self {
        Self(core::iter::repeat_with(Slot::new).take(places).collect())
    }
}

#[cfg(feature = "alloc")]
impl sealed::Sealed for HeapQueue {}

#[cfg(feature = "alloc")]
impl Slots for HeapQueue {
    #[inline]
    fn slots(&self) -> &[Slot] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_compare_across_the_wrap() {
        let last = Ticket::new(Word::MAX);
        assert_eq!(last.age(Ticket::new(0)), Some(1));
        assert_eq!(last.age(Ticket::new(5)), Some(6));
        assert_eq!(last.age(last), None, "not drawn yet");
        assert_eq!(Ticket::new(3).age(last), None, "from the future");
        assert_eq!(Ticket::new(TICKET.max()), Ticket::new(Word::MAX));
    }

    /// A compare-and-swap may fail for no reason, and a granter then goes round again.
    fn answered(slot: &Slot, ticket: Ticket, granted: bool) {
        while !slot.answer(ticket, granted) {
            assert_eq!(slot.waiting(), Some(ticket));
        }
    }

    #[test]
    fn a_late_granter_misses_the_next_wait() {
        let slot = Slot::new();
        let (first, second) = (Ticket::new(7), Ticket::new(8));
        assert!(slot.claim() && !slot.claim());
        slot.prepare(1, Waker::noop());
        slot.publish(first);
        assert_eq!(slot.waiting(), Some(first));
        assert_eq!(slot.withdraw(first), Ok(()));
        slot.vacate();
        assert!(slot.claim());
        slot.prepare(1, Waker::noop());
        slot.publish(second);
        assert!(!slot.answer(first, true) && slot.answered().is_none());
        answered(&slot, second, true);
        assert_eq!(slot.answered(), Some(true));
        assert_eq!(slot.withdraw(second), Err(true));
    }

    #[test]
    fn a_refusal_ends_a_wait_as_a_grant_does() {
        let (slot, ticket) = (Slot::new(), Ticket::new(0));
        assert!(slot.claim());
        slot.prepare(1, Waker::noop());
        slot.publish(ticket);
        answered(&slot, ticket, false);
        assert!(!slot.answer(ticket, true));
        assert_eq!((slot.answered(), slot.withdraw(ticket)), (Some(false), Err(false)));
        slot.vacate();
        assert!(slot.claim());
    }
}
