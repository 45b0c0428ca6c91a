//! The ring of buckets that both kinds of window count in.
//!
//! **Background.** A window must forget: calls that slide out of it, and everything when the
//! breaker changes its state. Neither may cost a loop over shared memory on each call, and a
//! transition, which is one compare-and-swap of another word, cannot clear the buckets as well.
//!
//! **Solution.** A head word holds the generation the ring counts for, the position of the current
//! bucket and, for windows of time, when that bucket began. Positions go up and wrap; bucket
//! `position % B` carries the number of the turn (`position / B`) as its tag, and counts that stand
//! under another tag are not looked at. Whoever records first in a new generation, or after a
//! bucket is over, moves the head; whoever moved it retags the buckets it skipped.
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
use crate::sync::{AtomicWord, Ordering, array_of, constructor, fence};
use crate::word::{Field, WORD_BITS, Word, by_width, mask};

/// The head: `mark | position | generation`; 36, 12 and 16 bits, or 20, 6 and 6.
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

    const fn position(self) -> Word {
        POSITION.get(self.0)
    }

    const fn new(generation: Generation, position: Word, mark: Word) -> Self {
        let word = GENERATION.set(0, generation as Word);
        Self(MARK.set(POSITION.set(word, position), mark))
    }
}

/// The sums of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(super) slow: u64,
}

impl Sums {
    #[inline]
    fn add(&mut self, more: Self) {
        // A ring holds less than 2^23 calls.
        self.requests = self.requests.wrapping_add(more.requests);
        self.failures = self.failures.wrapping_add(more.failures);
        self.slow = self.slow.wrapping_add(more.slow);
    }
}

/// What a window finds the current bucket to be.
pub(super) enum Age {
    /// Not over yet.
    Current,
    /// Over, and this many positions behind; the bucket that is current now began at the mark.
    Over(u32, Word),
}

/// `B` buckets and their head.
#[derive(Debug)]
pub(super) struct Ring<const B: usize> {
    head: AtomicWord,
    buckets: [AtomicWord; B],
}

impl<const B: usize> Ring<B> {
    /// Positions wrap here: a whole number of turns, as many as position and tag can hold.
    const POSITIONS: Word = {
        assert!(
            B > 0 && B <= MAX_BUCKETS,
            "a window has 1 to 64 buckets, 1 to 16 where words are 32 bits"
        );
        let turns = (POSITION.max() + 1) / B as Word;
        let tags = TAG.max() + 1;
        (if turns < tags { turns } else { tags }) * B as Word
    };

    constructor! {
        pub(super) const fn new() -> Self {
            // Evaluated here, so that a wrong number of buckets fails to compile where it is named.
            let _ = Self::POSITIONS;
            Self { head: AtomicWord::new(0), buckets: array_of![AtomicWord::new(0); B] }
        }
    }

    const fn later(position: Word, steps: Word) -> Word {
        position.wrapping_add(steps) % Self::POSITIONS
    }

    const fn earlier(position: Word, steps: Word) -> Word {
        position.wrapping_add(Self::POSITIONS).wrapping_sub(steps) % Self::POSITIONS
    }

    const fn tag(position: Word) -> Word {
        position / B as Word
    }

    fn bucket(&self, position: Word) -> &AtomicWord {
        // In range by the remainder; the compiler sees it too.
        &self.buckets[(position % B as Word) as usize]
    }

    /// Counts a call for `generation`, after moving on as `age` of the head and the bucket's calls
    /// says; `leave` comes before each attempt to do so.
    ///
    /// `is_over` says whether the breaker has left the generation: then the call is dropped and the
    /// answer is `false`. `first_mark` is the mark of a ring that starts afresh.
    pub(super) fn record(
        &self,
        generation: Generation,
        (failed, slow): (bool, bool),
        first_mark: Word,
        age: impl Fn(Head, u64) -> Age,
        is_over: impl Fn() -> bool,
        mut leave: impl FnMut(),
    ) -> bool {
        // Lock-free: each turn of the loop that does not end it is due to another thread's
        // progress.
        loop {
            // Acquire: a head of a later generation comes with the transition to it, which
            // `is_over` must see.
            let head = Head(self.head.load(Ordering::Acquire));
            if head.generation() != generation {
                // Either the ring is behind the breaker or this call is.
                if is_over() {
                    return false;
                }
                self.advance(head, generation, B as Word, first_mark);
                continue;
            }
            let position = head.position();
            let bucket = self.bucket(position);
            // Acquire: a bucket that is ahead of the head that was read comes with the newer head,
            // which the check below must see.
            let old = Bucket(bucket.load(Ordering::Acquire));
            let current = old.has_tag(Self::tag(position));
            let calls = if current { old.requests() } else { 0 };
            if let Age::Over(steps, mark) = age(head, calls) {
                leave();
                self.advance(head, generation, Word::from(steps).min(B as Word), mark);
                continue;
            }
            if !current && self.head.load(Ordering::Acquire) != head.0 {
                // The bucket may be ahead of the head that was read, not behind it.
                continue;
            }
            let base = if current { old } else { Bucket::empty(Self::tag(position)) };
            let new = base.counted(failed, slow);
            // Release: pairs with the Acquire loads of buckets, so that whoever sees the call sees
            // the head that its tag follows from. Relaxed on failure: the loop starts
            // with fresh loads.
            let swap = bucket.compare_exchange(old.0, new.0, Ordering::Release, Ordering::Relaxed);
            if swap.is_ok() {
                return true;
            }
        }
    }

    /// Moves the head by `steps` positions, at most a whole turn, and retags what it skipped.
    fn advance(&self, head: Head, generation: Generation, steps: Word, mark: Word) {
        let position = Self::later(head.position(), steps);
        let next = Head::new(generation, position, mark);
        // AcqRel: publishes the transition that this call came after, and the full buckets it has
        // seen, to whoever loads the head. Relaxed on failure: another thread moved it, and
        // the caller looks again.
        let swap = self.head.compare_exchange(head.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_err() {
            return;
        }
        for step in 1..=steps {
            self.retag(Self::later(head.position(), step));
        }
    }

    /// Empties the bucket of `position` if its tag is not the one that is due.
    fn retag(&self, position: Word) {
        let bucket = self.bucket(position);
        // Acquire: the head below is at least as new as the one that this tag follows from.
        let old = Bucket(bucket.load(Ordering::Acquire));
        // Acquire, so that the swap below cannot go before it. Loaded again, as this thread may
        // have stood still since it moved the head, and newer calls may count here.
        let head = Head(self.head.load(Ordering::Acquire)).position();
        let behind = (head % B as Word + B as Word - position % B as Word) % B as Word;
        let due = Self::tag(Self::earlier(head, behind));
        if !old.has_tag(due) {
            // A failed swap means that someone else recorded or retagged here.
            // Release, as in `record`.
            let _ = bucket.compare_exchange(
                old.0,
                Bucket::empty(due).0,
                Ordering::Release,
                Ordering::Relaxed,
            );
        }
    }

    /// The counts of the whole window, for judging after a call was recorded, and a full window
    /// before it is left; `None` where another call has moved on, which judges both. `None` as well
    /// where the ring has left the generation.
    ///
    /// In windows of time only after [`fence`](Self::fence).
    pub(super) fn judged(&self, generation: Generation) -> Option<Sums> {
        // Acquire: as in `sums`.
        let head = Head(self.head.load(Ordering::Acquire));
        if head.generation() != generation {
            return None;
        }
        let position = head.position();
        let mut sums = self.counted(position);
        if sums.requests == 0 {
            return None;
        }
        // In the order of their places, as stepping back from position to position would divide for
        // each: those after the current one are of the turn before.
        let current = (position % B as Word) as usize;
        let turn = Self::tag(position);
        let before = Self::tag(Self::earlier(position, B as Word));
        for (place, bucket) in self.buckets.iter().enumerate() {
            if place != current {
                sums.add(Self::counted_in(bucket, if place < current { turn } else { before }));
            }
        }
        // Acquire is for the loads above: a bucket that was retagged meanwhile comes with a newer
        // head.
        if self.head.load(Ordering::Acquire) == head.0 { Some(sums) } else { None }
    }

    /// Between a record and its sum, where records in different buckets may not have seen one
    /// another.
    pub(super) fn fence() {
        // SeqCst: the record above is a store, the loads below must not go before it; see the
        // module docs.
        fence(Ordering::SeqCst);
    }

    /// The counts of the window as far as it is not over, for people: calls that end meanwhile may
    /// be missing. `age` says by how many positions it has slid since the head was last moved.
    pub(super) fn sums(&self, generation: Generation, age: impl Fn(Head) -> u32) -> Sums {
        // Acquire: pairs with the AcqRel of `advance`.
        let head = Head(self.head.load(Ordering::Acquire));
        let mut sums = Sums::default();
        if head.generation() != generation {
            return sums;
        }
        let gone = Word::from(age(head)).min(B as Word);
        for back in 0..(B as Word - gone) {
            sums.add(self.counted(Self::earlier(head.position(), back)));
        }
        sums
    }

    /// What the bucket of `position` has counted, if it is still that of this position.
    fn counted(&self, position: Word) -> Sums {
        Self::counted_in(self.bucket(position), Self::tag(position))
    }

    /// What a bucket has counted, if its tag is the one that is due.
    #[inline]
    fn counted_in(bucket: &AtomicWord, due: Word) -> Sums {
        // Acquire: pairs with the Release of `record` and `retag`.
        let bucket = Bucket(bucket.load(Ordering::Acquire));
        if bucket.has_tag(due) {
            Sums { requests: bucket.requests(), failures: bucket.failures(), slow: bucket.slow() }
        } else {
            Sums::default()
        }
    }
}

impl Bucket {
    const fn empty(tag: Word) -> Self {
        Self(TAG.set(0, tag))
    }

    const fn has_tag(self, tag: Word) -> bool {
        TAG.get(self.0) == tag & mask(TAG.width())
    }

    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
    const fn requests(self) -> u64 {
        REQUESTS.get(self.0) as u64
    }

    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
    const fn failures(self) -> u64 {
        FAILURES.get(self.0) as u64
    }

    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
    const fn slow(self) -> u64 {
        SLOW.get(self.0) as u64
    }

    /// With one call more. A full bucket is halved first: the rates stay what they are.
    const fn counted(self, failed: bool, slow: bool) -> Self {
        let (mut requests, mut failures, mut slows) =
            (REQUESTS.get(self.0), FAILURES.get(self.0), SLOW.get(self.0));
        if requests == REQUESTS.max() {
            (requests, failures, slows) = (requests / 2, failures / 2, slows / 2);
        }
        let word = REQUESTS.set(self.0, requests + 1);
        let word = FAILURES.set(word, failures + failed as Word);
        Self(SLOW.set(word, slows + slow as Word))
    }
}
