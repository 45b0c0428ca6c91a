//! The only file that names loom, portable-atomic or the standard atomics.
//!
//! `AtomicWord` is as wide as the target can compare-and-swap natively, at most 64 bits. A 64-bit
//! atomic on a 32-bit target would be emulated by a lock, and an interrupt that preempts the
//! holder of that lock waits for it for ever; so there is none, anywhere.

#[cfg(not(loom))]
pub(crate) use atomic_waker::AtomicWaker;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use portable_atomic::{Ordering, fence};

#[cfg(loom)]
pub(crate) use modelled::AtomicWord;

#[cfg(all(not(loom), not(fusebox_failed_swaps)))]
pub(crate) use NativeWord as AtomicWord;
#[cfg(all(not(loom), fusebox_failed_swaps))]
pub(crate) use counted::AtomicWord;
#[cfg(all(not(loom), any(not(target_has_atomic = "64"), fusebox_word32)))]
pub(crate) use portable_atomic::AtomicU32 as NativeWord;
#[cfg(all(not(loom), target_has_atomic = "64", not(fusebox_word32)))]
pub(crate) use portable_atomic::AtomicU64 as NativeWord;

#[cfg(not(loom))]
pub(crate) use NativeWord as SettingWord;
/// A setting that may be changed while it is in use: a word that is stored and loaded, and
/// that no decision is committed on. Under loom it is loom's own, as a model needs no help to
/// see all schedules of a load against a store.
#[cfg(loom)]
pub(crate) use modelled::Inner as SettingWord;

#[cfg(all(not(loom), fusebox_failed_swaps))]
pub use counted::failed_swaps;

/// loom's waker cell with the signatures of the real one.
#[cfg(loom)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(loom)]
impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &core::task::Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn take(&self) -> Option<core::task::Waker> {
        self.0.take_waker()
    }
}

/// The compare-and-swap of a loop that starts with a fresh load: AcqRel, and Relaxed where it fails.
///
/// It may fail for no reason where the processor has it in two instructions, and something comes
/// between these, such as an interrupt: as seldom as that, so that a loop around it is as lock-free
/// as one that fails only where another succeeds.
///
/// One copy of it on a small target, where it is thirty bytes long and as many of them as there are
/// loops were a tenth of all the code. The shortest paths have their own, which spares them a call.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
#[cfg_attr(target_pointer_width = "64", inline)]
pub(crate) fn swap(word: &AtomicWord, old: crate::word::Word, new: crate::word::Word) -> bool {
    #[cfg(all(fusebox_weak_swaps, not(loom)))]
    if fails_for_no_reason() {
        return false;
    }
    word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// One time in four, without a pattern that a loop could fall in step with: for tests on a host,
/// where a swap is one instruction and loom has none that fails so.
#[cfg(all(fusebox_weak_swaps, not(loom)))]
fn fails_for_no_reason() -> bool {
    static ASKED: portable_atomic::AtomicU32 = portable_atomic::AtomicU32::new(0);
    // Relaxed: a figure; publishes nothing.
    crate::rng::mix(u64::from(ASKED.fetch_add(1, Ordering::Relaxed))) & 3 == 0
}

/// Writes a constructor once and makes it `const` everywhere but under loom, whose atomics are
/// allocated at run time.
macro_rules! constructor {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $($rest)*

        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $($rest)*
    };
}
pub(crate) use constructor;

/// An array of `N` values of one expression, in a constructor that is `const` outside loom.
macro_rules! array_of {
    ($value:expr; $n:expr) => {{
        #[cfg(not(loom))]
        let array = [const { $value }; $n];
        #[cfg(loom)]
        let array: [_; $n] = core::array::from_fn(|_| $value);
        array
    }};
}
pub(crate) use array_of;

/// The word with its failed compare-and-swaps counted, for a test that has to show that contexts
/// really met at the words: one that never loses a swap has shown nothing.
///
/// Only failures are counted, so that what succeeds runs as it does for everybody else. They are
/// retries where they are in a loop, and otherwise decisions that another context was first to
/// make.
#[cfg(all(not(loom), fusebox_failed_swaps))]
mod counted {
    use portable_atomic::AtomicUsize;

    use super::{NativeWord, Ordering};
    use crate::word::Word;

    static FAILED: AtomicUsize = AtomicUsize::new(0);

    /// How many compare-and-swaps of state words have failed so far. Wraps.
    #[must_use]
    pub fn failed_swaps() -> usize {
        // Relaxed: a figure; publishes nothing.
        FAILED.load(Ordering::Relaxed)
    }

    #[derive(Debug)]
    pub(crate) struct AtomicWord(NativeWord);

    impl AtomicWord {
        pub(crate) const fn new(word: Word) -> Self {
            Self(NativeWord::new(word))
        }

        #[inline]
        pub(crate) fn compare_exchange(
            &self,
            current: Word,
            new: Word,
            success: Ordering,
            failure: Ordering,
        ) -> Result<Word, Word> {
            self.0.compare_exchange(current, new, success, failure).inspect_err(count)
        }

        #[inline]
        pub(crate) fn compare_exchange_weak(
            &self,
            current: Word,
            new: Word,
            success: Ordering,
            failure: Ordering,
        ) -> Result<Word, Word> {
            self.0.compare_exchange_weak(current, new, success, failure).inspect_err(count)
        }
    }

    #[cold]
    fn count(_found: &Word) {
        // Relaxed: a figure; publishes nothing.
        FAILED.fetch_add(1, Ordering::Relaxed);
    }

    impl core::ops::Deref for AtomicWord {
        type Target = NativeWord;

        #[inline]
        fn deref(&self) -> &NativeWord {
            &self.0
        }
    }
}

/// The word under loom: loom's own, made to look at all schedules.
///
/// Loom 0.7 decides where to switch threads by the last access to an atomic alone, and two loads do
/// not conflict. Where one thread loads, and another loads and then swaps, the other's own load
/// hides the first thread's, so that loom never tries the swap before that load: most races of a
/// load against a compare-and-swap loop go unseen. So each access is preceded by a
/// relaxed read-modify-write of a word beside it, which orders nothing and conflicts with every
/// other one. That makes for many more schedules: models bound their preemptions.
#[cfg(loom)]
mod modelled {
    #[cfg(fusebox_word32)]
    pub(crate) use loom::sync::atomic::AtomicU32 as Inner;
    #[cfg(not(fusebox_word32))]
    pub(crate) use loom::sync::atomic::AtomicU64 as Inner;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    pub(crate) struct AtomicWord {
        accesses: AtomicUsize,
        word: Inner,
    }

    impl AtomicWord {
        pub(crate) fn new(word: crate::word::Word) -> Self {
            Self { accesses: AtomicUsize::new(0), word: Inner::new(word) }
        }
    }

    impl core::ops::Deref for AtomicWord {
        type Target = Inner;

        fn deref(&self) -> &Inner {
            self.accesses.fetch_add(1, Ordering::Relaxed);
            &self.word
        }
    }
}
