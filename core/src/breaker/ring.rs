//! The ring of buckets that both kinds of window count in.
//!
//! **Background.** A window must forget: calls that slide out of it, and everything when the
//! breaker changes its state. Neither may cost a loop over shared memory on each call, and a
//! transition, which is one compare-and-swap of another word, cannot clear the buckets as well.
//!
//! **Solution.** A head word holds the generation the ring counts for, the place of the current
//! bucket, how often the head has been all around and, for windows of time, when that bucket began.
//! Each bucket carries the number of its turn as its tag: up to the current one that of the head,
//! after it the one before; counts that stand under another tag are not looked at. Whoever records
//! first in a new generation, or after a bucket is over, moves the head; whoever moved it retags
//! the buckets it skipped.
//!
//! **Why it works.** A count is one compare-and-swap on a bucket whose tag was right for the head
//! that was read. If the head moved on in between and the bucket was retagged, the swap fails and
//! the call starts anew; if it was not retagged yet, the call counts under the old tag, as one that
//! ended before the move. So the call of an old generation, whose tags are a turn behind, is never
//! seen in a new one. Nothing that is newer is retagged either: a bucket is read first, then the
//! head, so that the head is at least as new as the bucket, and the tag that is due follows from
//! that head, not from the move that the thread once made.
//!
//! **What remains.** A bucket that nobody got round to retagging would have to stay so for all the
//! turns that a tag tells apart (at least four) to be taken for a current one; so would, bit for
//! bit, a bucket under a call that stands still between its load and its swap. A ring
//! in which nothing was recorded for a whole turn of generations is taken for that of the present
//! one.
//!
//! # Synchronization
//!
//! * Buckets and head are loaded Acquire, and the swaps that make them are Release at least:
//!   whoever sees a bucket sees the head that its tag follows from, and whoever sees a head that
//!   counts for a generation sees the transition that made the generation.
//! * A sum is judged only if the head stood still meanwhile and the current bucket is not empty.
//!   Otherwise another call has moved on, and what was summed is no window at all, but part of one:
//!   it could trip for a few failures that stand among many successes. The judging is then that
//!   other call's: it sees what this one recorded, as below.
//! * In windows of calls it judges twice: the full window before it moves the head, and its own
//!   after it is counted. The second cannot stand for the first: where the head moves, the oldest
//!   bucket slides out, and what is left may be below the minimum of calls, or below the rate. Of
//!   all the calls that find the bucket full, the one whose swap moves the head has judged it: the
//!   head stood still from before its sum until that swap.
//! * Windows of calls need no fence for either: a bucket is left when it is full, so whoever
//!   records in a later one, or moves the head there, has seen all its calls. In the same bucket
//!   the second swap sees the first.
//! * In windows of time, buckets are left by the clock: two calls that end at the same moment may
//!   count in different buckets and not have seen one another. Were both sums to miss the other
//!   call, a trip would be missed. So each puts a `fence(SeqCst)` between its record and its sum (a
//!   store-load race: release and acquire do not order a store before a later load); the call whose
//!   fence is the later one sees both. The sum reads the head after the fence, as the other may
//!   have recorded in a bucket that is newer than the head this call had. Before the head moves
//!   nothing is judged here: by the time of the call that moves it, the oldest bucket is over, and
//!   a call that ends at that same moment is judged by the window as it is from then on.

use super::state::{GENERATION_BITS, Generation};
use crate::sync::{AtomicWord, Ordering, array_of, constructor, fence, swap};
use crate::word::{Field, WORD_BITS, Word, by_width, low_half};

/// The head: `mark | turn | place | generation`; 36 bits, 12 for turn and place, and 16; or 20, 6
/// and 6. A ring of few buckets has more bits for the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head(Word);

const GENERATION: Field = Field::lowest(GENERATION_BITS);
const POSITION: Field = GENERATION.above(by_width(12, 6));
const MARK: Field = POSITION.above(WORD_BITS - POSITION.end());

/// The width of the instant at which a bucket began.
pub(super) const MARK_BITS: u32 = MARK.width();

/// A bucket: `slow | failures | requests | tag`; 17, 17, 17 and 13 bits, or 9, 9, 9 and 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket(Word);

const TAG: Field = Field::lowest(by_width(13, 5));
const REQUESTS: Field = TAG.above(by_width(17, 9));
const FAILURES: Field = REQUESTS.above(by_width(17, 9));
const SLOW: Field = FAILURES.above(by_width(17, 9));
const _: () = assert!(SLOW.end() == WORD_BITS);

/// The most calls one bucket counts.
pub(super) const MAX_REQUESTS: u64 = REQUESTS.max() as u64;

/// The most buckets: each tag must tell at least four turns apart.
pub(super) const MAX_BUCKETS: usize = by_width(64, 16) as usize;

impl Head {
    const fn generation(self) -> Generation {
        GENERATION.get(self.0) as Generation
    }

    pub(super) const fn mark(self) -> Word {
        MARK.get(self.0)
    }
}

/// The sums of a ring, which holds less than 2^23 calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) requests: u32,
    pub(crate) failures: u32,
    pub(super) slow: u32,
}

/// A call that is to be counted, as what it adds to a bucket.
#[derive(Clone, Copy)]
pub(super) struct Call(Word);

impl Call {
    #[inline]
    pub(super) const fn new(failed: bool, slow: bool) -> Self {
        let failures = if failed { FAILURES.one() } else { 0 };
        let slows = if slow { SLOW.one() } else { 0 };
        Self(REQUESTS.one() | failures | slows)
    }
}

/// So many buckets further, of which the last one began at the mark.
#[derive(Clone, Copy)]
pub(super) struct Move {
    pub(super) steps: Word,
    pub(super) mark: Word,
}

/// `B` buckets and their head.
#[derive(Debug)]
pub(super) struct Ring<const B: usize> {
    head: AtomicWord,
    buckets: [AtomicWord; B],
}

impl<const B: usize> Ring<B> {
    /// The place of the current bucket.
    const PLACE: Field = {
        assert!(
            B > 0 && B <= MAX_BUCKETS,
            "a window has 1 to 64 buckets, 1 to 16 where words are 32 bits"
        );
        let bits = usize::BITS - (B - 1).leading_zeros();
        GENERATION.above(if bits == 0 { 1 } else { bits })
    };

    /// How often the head has been all around; wraps.
    const TURN: Field = {
        let turn = Self::PLACE.above(POSITION.end() - Self::PLACE.end());
        assert!(turn.width() >= 2 && turn.width() <= TAG.width());
        turn
    };

    constructor! {
        pub(super) const fn new() -> Self {
            // Evaluated here, so that a wrong number of buckets fails to compile where it is named.
            let _ = Self::TURN;
            Self { head: AtomicWord::new(0), buckets: array_of![AtomicWord::new(0); B] }
        }
    }

    /// The tag that is due at `place` under this head.
    #[inline]
    const fn due(head: Head, place: Word) -> Word {
        let turn = Self::TURN.get(head.0);
        if place <= Self::PLACE.get(head.0) {
            turn
        } else {
            turn.wrapping_sub(1) & Self::TURN.max()
        }
    }

    /// The head after a move, by a whole turn at most.
    const fn moved(head: Head, generation: Generation, to: Move) -> Head {
        let mut word = head.0.wrapping_add(to.steps.wrapping_mul(Self::PLACE.one()));
        if Self::PLACE.get(head.0).wrapping_add(to.steps) >= B as Word {
            // On to the first place of the next turn. Should the turn wrap, it is carried into the
            // mark, which is set anew.
            let around = (B as Word).wrapping_mul(Self::PLACE.one());
            word = word.wrapping_add(Self::TURN.one()).wrapping_sub(around);
        }
        Head(MARK.set(GENERATION.set(word, generation as Word), to.mark))
    }

    fn bucket(&self, place: Word) -> &AtomicWord {
        // Always in range, which the compiler does not know.
        self.buckets.get(place as usize).unwrap_or(&self.buckets[0])
    }

    /// Counts a call for `generation`, after moving on as `due` says of the head and the current
    /// bucket's calls, before each attempt to do so.
    ///
    /// `is_over` says whether the breaker has left the generation: then the call is dropped and the
    /// answer is `false`. `first_mark` is the mark of a ring that starts afresh.
    pub(super) fn record(
        &self,
        generation: Generation,
        call: Call,
        first_mark: Word,
        mut due: impl FnMut(Head, u32) -> Option<Move>,
        is_over: impl Fn() -> bool,
    ) -> bool {
        // Lock-free: each turn of the loop that does not end it is due to another thread's
        // progress, or to a swap that failed for no reason (see `swap`).
        loop {
            // Acquire: a head of a later generation comes with the transition to it, which
            // `is_over` must see.
            let head = Head(self.head.load(Ordering::Acquire));
            let to = if head.generation() == generation {
                let bucket = self.bucket(Self::PLACE.get(head.0));
                let turn = Self::TURN.get(head.0);
                // Acquire: a bucket that is ahead of the head that was read comes with the newer
                // head, which the check below must see.
                let old = Bucket(bucket.load(Ordering::Acquire));
                let mut base = old;
                if !old.has_tag(turn) {
                    if self.head.load(Ordering::Acquire) != head.0 {
                        // The bucket may be ahead of the head that was read, not behind it.
                        continue;
                    }
                    base = Bucket::empty(turn);
                }
                match due(head, base.requests()) {
                    Some(to) => to,
                    None if Self::swap(bucket, old, base.counted(call)) => return true,
                    None => continue,
                }
            } else {
                // Either the ring is behind the breaker or this call is.
                if is_over() {
                    return false;
                }
                Move { steps: B as Word, mark: first_mark }
            };
            self.advance(head, generation, to);
        }
    }

    fn swap(bucket: &AtomicWord, old: Bucket, new: Bucket) -> bool {
        // Release: pairs with the Acquire loads of buckets, so that whoever sees the call sees the
        // head that its tag follows from. Acquire is not needed, nor on failure: all is loaded
        // afresh.
        swap(bucket, old.0, new.0)
    }

    /// Moves the head, and retags what it skipped.
    fn advance(&self, head: Head, generation: Generation, to: Move) {
        let next = Self::moved(head, generation, to);
        // AcqRel: publishes the transition that this call came after, and the full buckets it has
        // seen, to whoever loads the head. Relaxed on failure: another thread moved it, and
        // the caller looks again.
        if !swap(&self.head, head.0, next.0) {
            return;
        }
        let mut place = Self::PLACE.get(head.0);
        for _ in 0..to.steps {
            let next = place.wrapping_add(1);
            place = if next < B as Word { next } else { 0 };
            // Lock-free: where it has to look again, someone else has recorded or retagged there,
            // or the swap failed for no reason (see `swap`).
            while !self.retag(place) {}
        }
    }

    /// Empties the bucket at `place` if its tag is not the one that is due; whether it is now.
    fn retag(&self, place: Word) -> bool {
        let bucket = self.bucket(place);
        // Acquire: the head below is at least as new as the one that this tag follows from.
        let old = Bucket(bucket.load(Ordering::Acquire));
        // Acquire, so that the swap below cannot go before it. Loaded again, as this thread may
        // have stood still since it moved the head, and newer calls may count here.
        let due = Self::due(Head(self.head.load(Ordering::Acquire)), place);
        old.has_tag(due) || Self::swap(bucket, old, Bucket::empty(due))
    }

    /// The counts of the whole window, for judging after a call was recorded, and a full window
    /// before it is left; of no calls where another call has moved on, which judges both, and where
    /// the ring has left the generation.
    ///
    /// In windows of time only after [`fence`](Self::fence).
    pub(super) fn judged(&self, generation: Generation) -> Sums {
        let mut sums = Sums::default();
        // Acquire: as in `sums`.
        let head = Head(self.head.load(Ordering::Acquire));
        if head.generation() == generation {
            let mut due = Self::due(head, 0);
            for (place, bucket) in (0..).zip(&self.buckets) {
                let bucket = Self::counted(bucket, due);
                sums.add(bucket);
                if place == Self::PLACE.get(head.0) {
                    if bucket.requests() == 0 {
                        return sums.none();
                    }
                    due = Self::due(head, Word::MAX);
                }
            }
            // Acquire is for the loads above: a bucket that was retagged meanwhile comes with a
            // newer head.
            if self.head.load(Ordering::Acquire) == head.0 {
                return sums;
            }
        }
        sums.none()
    }

    /// Between a record and its sum, where records in different buckets may not have seen one
    /// another.
    pub(super) fn fence() {
        // SeqCst: the record above is a store, the loads below must not go before it; see the
        // module docs.
        fence(Ordering::SeqCst);
    }

    /// The counts of the window as far as it is not over, for people: calls that end meanwhile may
    /// be missing. `gone` says by how many buckets it has slid since the head was last moved.
    pub(super) fn sums(&self, generation: Generation, gone: impl Fn(Head) -> Word) -> Sums {
        // Acquire: pairs with the AcqRel of `advance`.
        let head = Head(self.head.load(Ordering::Acquire));
        let mut sums = Sums::default();
        if head.generation() != generation {
            return sums;
        }
        let (current, left) = (Self::PLACE.get(head.0), (B as Word).saturating_sub(gone(head)));
        for (place, bucket) in (0..).zip(&self.buckets) {
            let more = if place > current { B as Word } else { 0 };
            let back = current.wrapping_add(more).wrapping_sub(place);
            if back < left {
                sums.add(Self::counted(bucket, Self::due(head, place)));
            }
        }
        sums
    }

    /// What a bucket has counted, if its tag is the one that is due.
    #[inline]
    fn counted(bucket: &AtomicWord, due: Word) -> Bucket {
        // Acquire: pairs with the Release of `record` and `retag`.
        let bucket = Bucket(bucket.load(Ordering::Acquire));
        if bucket.has_tag(due) { bucket } else { Bucket::empty(0) }
    }
}

impl Sums {
    const fn none(self) -> Self {
        Self { requests: 0, ..self }
    }

    #[inline]
    fn add(&mut self, bucket: Bucket) {
        self.requests = self.requests.wrapping_add(bucket.requests());
        self.failures = self.failures.wrapping_add(low_half(FAILURES.get(bucket.0)));
        self.slow = self.slow.wrapping_add(low_half(SLOW.get(bucket.0)));
    }
}

impl Bucket {
    const fn empty(tag: Word) -> Self {
        Self(TAG.set(0, tag))
    }

    const fn has_tag(self, tag: Word) -> bool {
        TAG.get(self.0) == tag
    }

    const fn requests(self) -> u32 {
        low_half(REQUESTS.get(self.0))
    }

    /// With one call more. A full bucket is halved first: the rates stay what they are.
    const fn counted(self, call: Call) -> Self {
        /// All counts without their highest bits.
        const HALVES: Word = REQUESTS.set(0, REQUESTS.max() >> 1)
            | FAILURES.set(0, FAILURES.max() >> 1)
            | SLOW.set(0, SLOW.max() >> 1);
        let word = if REQUESTS.get(self.0) == REQUESTS.max() {
            TAG.get(self.0) | (self.0 >> 1) & HALVES
        } else {
            self.0
        };
        // No count is more than the requests, and so none is carried into its neighbour.
        Self(word.wrapping_add(call.0))
    }
}
