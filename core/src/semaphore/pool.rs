//! How permits go to whom: taking, giving back, waiting, granting.
//!
//! # Algorithm
//!
//! **Background.** A waiter comes, a holder gives back, a waiter gives up: each may be what makes
//! the oldest waiter's wait over, each can happen on another core or in an interrupt handler, and
//! none may spin on another. The usual list of waiters under a lock is out of the question.
//!
//! **Solution.** Waiters sit in a fixed array of slots, each a word of its own, in no order; a
//! ticket says who came first. There is one function, [`Pool::grant`], that hands free permits to
//! the oldest waiters, and everybody who did something that could end a wait calls it *afterwards*:
//!
//! * the waiter itself, once its slot is published;
//! * who gives permits back, if the word they went into counts a waiter;
//! * who gave up waiting, for the next one may need less;
//! * who changed the number of permits there are;
//! * a granter, after each grant and each failed grant: it goes round again.
//!
//! A round of `grant` reserves the permits in the state word first and then tries to end the wait,
//! slot `WAITING(ticket)` to `GRANTED`, by compare-and-swap. Where that fails, because the waiter
//! gave up or another granter was quicker, the reservation is put back. So a permit is at any time
//! in exactly one of: the word, a reservation, a granted slot, a holder's hands. Who needs more
//! than there are any more is refused when its turn comes, `WAITING(ticket)` to `REFUSED`, and
//! stands in nobody's way.
//!
//! **Why not the other way round**, slot first? Then a granted waiter would run before its permits
//! are taken.
//!
//! # Synchronization
//!
//! **No wake-up is lost.** Let everything have come to rest with a waiter in slot S whose need is
//! free, and no older one. What led there is a set of events: S was published; permits went into
//! the word; there came to be more of them; older waiters left their slots. Whoever did one of
//! these then went through a round of `grant`, which begins with `fence(SeqCst)`. (A giver that saw
//! no waiter counted did not; but then S was counted later in the order of the word's changes, and
//! the round of S itself, which follows, reads a later value of that word.) Of these fences one is
//! the last in the single total order of `SeqCst` fences. The round after it sees all the events: S
//! waiting, nobody older, and a word from which nothing but reservations have been taken since.
//! Reservations that were put back are events themselves, so the word it reads is at least what is
//! free at rest. So it would have granted S, which contradicts.
//!
//! That is one store-load race for each pair of events, and Acquire and Release settle none of
//! them, as in each both sides write one word and read another:
//!
//! | who | writes | then reads | against who | writes | then reads |
//! |---|---|---|---|---|---|
//! | waiter comes | its slot | the word | permits come back | the word | the slots |
//! | granter finishes with slot A | slot A | the word | permits come back, A in the way | the word | slot A |
//! | older waiter gives up | its slot | the next slot | waiter comes | its slot | the older slot |
//! | reservation is put back | the word | the slots | waiter comes | its slot | the word |
//! | the total changes | the total | the slots | waiter comes | its slot | the total |
//!
//! The fast paths need no fence: there the one word decides, by compare-and-swap.
//!
//! **First come, first served.** A scan of the slots is not atomic: it may pass a slot that is then
//! published, and find a later waiter further on. Hence a round reads the ticket counter before it
//! scans and leaves alone who drew a ticket after that. If A was waiting before B drew its ticket,
//! then a scan that heeds B has read a counter beyond B's ticket (Acquire, pairing with B's draw),
//! and so sees A's slot as it was published, or later. Who is left alone loses nothing: its own
//! round is still to come.
//!
//! **Nobody overtakes.** The count of waiters in the word is never too low (see `state.rs`), and
//! the fast path is open only where it is 0. The count can be too high for a moment, between the
//! end of a wait and the decrement that follows it: a `try_acquire` in that moment is refused as it
//! would have been a moment earlier, and an `acquire` takes a slot and grants itself.
//!
//! **A late wake** is harmless. A granter may be stopped between its grant and its wake, and the
//! slot have a new owner by then, whose waker it takes and calls. The new owner is polled once for
//! nothing, registers again, and looks at its slot only after that, so it misses no grant. The wake
//! that the slot's former owner is owed is lost only if it has already left, and needs none.
//!
//! **Progress.** Nothing waits for another context. A round repeats only if it granted, or if
//! another context ended the wait it had picked; a compare-and-swap fails only where another
//! succeeded, or, on processors where it is two instructions, where something came between these.

use core::task::Waker;

use super::queue::{Slot, Ticket};
use super::state::{Counts, Snapshot};
use crate::error::{Reason, Rejection};
use crate::on_drop::OnDrop;
use crate::sync::{AtomicWord, Ordering, constructor, fence};

/// The words of a semaphore but for its slots.
pub(super) struct Ledger {
    counts: Counts,
    /// The next ticket.
    tickets: AtomicWord,
}

impl Ledger {
    constructor! {
        pub(super) const fn new(permits: u32) -> Self {
            Self { counts: Counts::new(permits), tickets: AtomicWord::new(0) }
        }
    }

    pub(super) fn total(&self) -> u32 {
        self.counts.total()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.counts.load()
    }
}

/// A semaphore without its type of queue: so that there is one copy of this code in a program,
/// whatever the lengths of its queues.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "public in the signature of a sealed trait only")]
pub struct Pool<'a> {
    ledger: &'a Ledger,
    slots: &'a [Slot],
}

/// A waiter's place in the queue.
#[derive(Clone, Copy)]
pub(super) struct Place {
    index: usize,
    ticket: Ticket,
}

impl<'a> Pool<'a> {
    #[inline]
    pub(super) fn new(ledger: &'a Ledger, slots: &'a [Slot]) -> Self {
        Self { ledger, slots }
    }

    /// Whether there is a place to wait in, taken or not.
    #[inline]
    pub(crate) const fn has_queue(self) -> bool {
        !self.slots.is_empty()
    }

    /// Takes `n` permits, or says why not.
    #[inline]
    pub(super) fn try_take(self, n: u32) -> Result<(), Rejection> {
        self.taken(n, Counts::take)
    }

    /// [`try_take`](Self::try_take), for those who wait otherwise.
    #[inline]
    pub(super) fn try_take_or_wait(self, n: u32) -> Result<(), Rejection> {
        self.taken(n, Counts::take_or_wait)
    }

    #[inline]
    fn taken(self, n: u32, take: impl FnOnce(&Counts, u32) -> bool) -> Result<(), Rejection> {
        // Who asks for nothing disturbs nobody, and need not queue.
        if n == 0 || take(&self.ledger.counts, n) {
            return Ok(());
        }
        let too_many = n > self.ledger.total();
        let reason = if too_many { Reason::ExceedsBurst } else { Reason::BulkheadFull };
        Err(Rejection::new(reason))
    }

    /// Changes how many permits there are.
    pub(super) fn resize(self, permits: u32) {
        self.ledger.counts.set_total(permits);
        self.grant();
    }

    /// Gives `n` permits back, to the oldest waiters if there are any.
    #[inline]
    pub(super) fn give(self, n: u32) {
        // Where there are no places, which the compiler mostly knows, nobody waits.
        if self.ledger.counts.give(n) && self.has_queue() {
            self.grant();
        }
    }

    /// [`give`](Self::give) where that is seldom.
    pub(super) fn give_back(self, n: u32) {
        if self.ledger.counts.give_back(n) {
            self.grant();
        }
    }

    /// Takes a place in the queue. [`grant`](Self::grant) must be called next.
    pub(super) fn enqueue(self, n: u32, waker: &Waker) -> Result<Place, Rejection> {
        let Some((index, slot)) = self.slots.iter().enumerate().find(|(_, slot)| slot.claim())
        else {
            let full = if self.has_queue() { Reason::QueueFull } else { Reason::BulkheadFull };
            return Err(Rejection::new(full));
        };
        // Should the clone of the waker panic, the place is nobody's.
        let claimed = OnDrop(|| slot.vacate());
        slot.prepare(n, waker);
        core::mem::forget(claimed);
        // Release: who reads a later count with Acquire in `oldest` sees the slots that were
        // published before this draw. Acquire: hands on what earlier draws published.
        let ticket = Ticket::new(self.ledger.tickets.fetch_add(1, Ordering::AcqRel));
        self.ledger.counts.waiter_came();
        slot.publish(ticket);
        Ok(Place { index, ticket })
    }

    /// Replaces the waker of a wait.
    pub(super) fn register(self, place: Place, waker: &Waker) {
        if let Some(slot) = self.slots.get(place.index) {
            slot.register(waker);
        }
    }

    /// Ends a wait for `n` permits that was answered, and tells whether they are the caller's;
    /// `None` where it goes on. `place` is no longer the caller's then, even if this panics.
    #[must_use]
    pub(super) fn collect(self, place: &mut Option<Place>, n: u32) -> Option<bool> {
        let slot = self.slots.get((*place)?.index)?;
        let granted = slot.answered()?;
        *place = None;
        self.leave(slot, granted, n);
        Some(granted)
    }

    /// Leaves a place whose wait is over.
    fn leave(self, slot: &Slot, granted: bool, n: u32) {
        // Should the drop of the waker panic, nobody has the permits.
        let lost = OnDrop(|| self.give_back(if granted { n } else { 0 }));
        slot.vacate();
        core::mem::forget(lost);
    }

    /// Ends a wait for `n` permits; true where they had been granted meanwhile, and are the
    /// caller's.
    #[must_use]
    pub(super) fn withdraw(self, place: Place, n: u32) -> bool {
        let Some(slot) = self.slots.get(place.index) else { return false };
        if let Err(granted) = slot.withdraw(place.ticket) {
            self.leave(slot, granted, n);
            return granted;
        }
        self.ledger.counts.waiter_gone();
        // This one may have stood in the way of one that needs less. Also where the drop of its
        // waker panics.
        let _others = OnDrop(|| self.grant());
        slot.vacate();
        false
    }

    /// Hands free permits to the oldest waiters. To be called after everything that may end a wait.
    pub(super) fn grant(self) {
        loop {
            // SeqCst: between what the caller, or the last round, has written and what this round
            // reads; see "Synchronization" above. In each round, as a grant and a put-back are
            // events too.
            fence(Ordering::SeqCst);
            let Some((slot, ticket)) = self.oldest() else { return };
            let need = slot.need();
            let granted = need <= self.ledger.total();
            if granted && !self.ledger.counts.reserve(need) {
                // Whoever makes enough permits free, or changes their number, calls this again.
                return;
            }
            if slot.answer(ticket, granted) {
                // Before the wake, so that the woken task finds itself off the count.
                self.ledger.counts.waiter_gone();
                // Should the waker panic, whoever else can go must not sleep on.
                let others = OnDrop(|| self.grant());
                slot.wake();
                core::mem::forget(others);
            } else if granted {
                // Whoever waits is looked for in the next round.
                let _ = self.ledger.counts.give_back(need);
            }
        }
    }

    /// The oldest waiter of those who drew a ticket before this looks.
    fn oldest(self) -> Option<(&'a Slot, Ticket)> {
        // Acquire: pairs with the draws in `enqueue`.
        let drawn = || self.ledger.tickets.load(Ordering::Acquire);
        let before = drawn();
        let (mut oldest, mut greatest_age) = (None, 0);
        for slot in self.slots {
            let Some(ticket) = slot.waiting() else { continue };
            // None for a ticket that was not drawn before: it comes last.
            let age = ticket.age(Ticket::new(before)).unwrap_or(0);
            if age > greatest_age || oldest.is_none() {
                (oldest, greatest_age) = (Some((slot, ticket)), age);
            }
        }
        // A ticket that was not drawn before, and the counter has not moved since: it has been
        // waiting for half of all tickets there are. Its turn is lost, but not its wait.
        oldest.filter(|_| greatest_age > 0 || drawn() == before)
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::{Queue, Slots};
    use super::*;
    use crate::word::Word;

    #[test]
    fn who_waits_for_half_of_all_tickets_loses_its_turn_but_not_its_wait() {
        let (ledger, queue) = (Ledger::new(1), Queue::<2>::new());
        let pool = Pool::new(&ledger, queue.slots());
        pool.try_take(1).unwrap();
        let early = pool.enqueue(1, Waker::noop()).unwrap();
        // As many others came and gave up.
        ledger.tickets.fetch_add(Word::MAX / 4 - 1, Ordering::Relaxed);
        let late = pool.enqueue(1, Waker::noop()).unwrap();
        pool.give(1);
        let (mut early, mut late) = (Some(early), Some(late));
        assert_eq!((pool.collect(&mut early, 1), pool.collect(&mut late, 1)), (None, Some(true)));
        pool.give(1);
        assert_eq!(pool.collect(&mut early, 1), Some(true));
        assert_eq!((ledger.snapshot().held(), ledger.snapshot().waiters()), (1, 0));
    }

    #[test]
    fn turns_are_kept_across_the_wrap_of_the_tickets() {
        let (ledger, queue) = (Ledger::new(1), Queue::<3>::new());
        let pool = Pool::new(&ledger, queue.slots());
        ledger.tickets.store(Word::MAX - 1, Ordering::Relaxed);
        pool.try_take(1).unwrap();
        let mut places = [0; 3].map(|_| pool.enqueue(1, Waker::noop()).ok());
        for first in 0..places.len() {
            assert!(places.iter_mut().all(|place| pool.collect(place, 1).is_none()));
            pool.give(1);
            assert_eq!(pool.collect(&mut places[first], 1), Some(true));
        }
    }
}
