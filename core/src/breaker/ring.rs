//! The ring of buckets that both kinds of window count in.
//!
//! **Background.** A window must forget: calls that slide out of it, and everything when the breaker changes its state.
//! Neither may cost a loop over shared memory on each call, and a transition, which is one compare-and-swap of another
//! word, cannot clear the buckets as well.
//!
//! **Solution.** A head word holds the generation the ring counts for, the position of the current bucket and, for windows of
//! time, when that bucket began. Positions go up and wrap; bucket `position % B` carries the number of the turn
//! (`position / B`) as its tag, and counts that stand under another tag are not looked at. Whoever records first in a new
//! generation, or after a bucket is over, moves the head; whoever moved it retags the buckets it skipped.
//!
//! **Why it works.** A count is one compare-and-swap on a bucket whose tag was right for the head that was read; if the head
//! moved on in between and the bucket was retagged, the swap fails and the call starts anew. A bucket that nobody got round to
//! retagging would have to stay so for all the turns that a tag tells apart to be taken for a current one.
//!
//! # Synchronization
//!
//! Two threads that record at the same moment in different buckets, each then judging by the sum, must not both miss the
//! other's call: a trip would be missed. So each puts a `fence(SeqCst)` between its record and its sum (a store-load race: release and
//! acquire do not order a store before a later load); one of the two then sees both calls. The sum reads the head again after the
//! fence, as the other may have recorded in a bucket that is newer than the head this thread had.

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
pub(super) struct Sums {
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
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
        (position + steps) % Self::POSITIONS
    }

    const fn earlier(position: Word, steps: Word) -> Word {
        (position + Self::POSITIONS - steps) % Self::POSITIONS
    }

    const fn tag(position: Word) -> Word {
        position / B as Word
    }

    fn bucket(&self, position: Word) -> &AtomicWord {
        // In range by the remainder; the compiler sees it too.
        &self.buckets[(position % B as Word) as usize]
    }

    /// Counts a call for `generation`, after moving on as `age` of the head and the bucket's calls says.
    ///
    /// `is_over` says whether the breaker has left the generation: then the call is dropped and the answer is `false`. `first_mark` is
    /// the mark of a ring that starts afresh.
    pub(super) fn record(
        &self,
        generation: Generation,
        (failed, slow): (bool, bool),
        first_mark: Word,
        age: impl Fn(Head, u64) -> Age,
        is_over: impl Fn() -> bool,
    ) -> bool {
        // Lock-free: each turn of the loop that does not end it is due to another thread's progress.
        loop {
            // Acquire: a head that was moved comes with the retagged buckets of whoever moved it before.
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
            // Acquire: not before the head, or a retagged bucket could meet an old position.
            let old = Bucket(bucket.load(Ordering::Acquire));
            let current = old.has_tag(Self::tag(position));
            let calls = if current { old.requests() } else { 0 };
            if let Age::Over(steps, mark) = age(head, calls) {
                self.advance(head, generation, Word::from(steps).min(B as Word), mark);
                continue;
            }
            if !current && self.head.load(Ordering::Acquire) != head.0 {
                // The bucket may be ahead of the head that was read, not behind it.
                continue;
            }
            let base = if current { old } else { Bucket::empty(Self::tag(position)) };
            let new = base.counted(failed, slow);
            // Release: pairs with the Acquire loads here and in `sums`, so that whoever sees the call sees the tag it stands under.
            // Relaxed on failure: the loop starts with fresh loads.
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
        // AcqRel: publishes nothing of its own but must not pass the retagging of an earlier mover, which the next one builds on.
        // Relaxed on failure: another thread moved it, and the caller looks again.
        let swap = self.head.compare_exchange(head.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_err() {
            return;
        }
        for step in 1..=steps {
            let position = Self::later(head.position(), step);
            let bucket = self.bucket(position);
            // Relaxed: only the bucket's own bits are used.
            let old = Bucket(bucket.load(Ordering::Relaxed));
            if !old.has_tag(Self::tag(position)) {
                let empty = Bucket::empty(Self::tag(position));
                // A failed swap means that someone else recorded or retagged here already.
                // Release, as in `record`.
                let _ =
                    bucket.compare_exchange(old.0, empty.0, Ordering::Release, Ordering::Relaxed);
            }
        }
    }

    /// The counts of the whole window, for judging: sees this thread's record, and every other one that did not see it.
    pub(super) fn sums_after_record(&self, generation: Generation) -> Sums {
        // SeqCst: the record above is a store, the loads below must not go before it; see the module docs.
        fence(Ordering::SeqCst);
        self.sums(generation, |_| 0)
    }

    /// The counts of the window as far as it is not over: `age` says by how many positions it has slid since the head was
    /// last moved.
    pub(super) fn sums(&self, generation: Generation, age: impl Fn(Head) -> u32) -> Sums {
        // Acquire: pairs with the AcqRel of `advance`.
        let head = Head(self.head.load(Ordering::Acquire));
        let mut sums = Sums::default();
        if head.generation() != generation {
            return sums;
        }
        let gone = Word::from(age(head)).min(B as Word);
        for back in 0..(B as Word - gone) {
            let position = Self::earlier(head.position(), back);
            // Acquire: pairs with the Release of `record`.
            let bucket = Bucket(self.bucket(position).load(Ordering::Acquire));
            if bucket.has_tag(Self::tag(position)) {
                sums.requests += bucket.requests();
                sums.failures += bucket.failures();
                sums.slow += bucket.slow();
            }
        }
        sums
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
