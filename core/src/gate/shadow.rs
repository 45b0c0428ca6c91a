//! A gate that decides and reports, and does not refuse.
//!
//! One word: whether refusals count (the lowest bit), and above it how often a call was let in that
//! the gate refused. The counter is on top so that its wrap drops out of the word and never reaches
//! the switch.
//!
//! # Synchronization
//!
//! None: the word publishes nothing, and whatever the inner gate publishes is its own affair. A
//! call that reads the switch just before it is turned is decided by the old setting, as if it had
//! come a moment earlier. What a call took is in its own token, so turning the switch while calls
//! are out gives back neither too much nor too little.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use super::{Gate, Outcome, WaitGate};
use crate::breaker::Named;
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::event::{Event, Observer};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::Timer;
use crate::word::{Field, WORD_BITS, Word, widen};

const ENFORCED: Field = Field::lowest(1);
const SPARED: Field = ENFORCED.above(WORD_BITS - ENFORCED.end());
/// One more call spared, as added to the word.
const ONE_SPARED: Word = SPARED.set(0, 1);

/// A gate in shadow mode: it decides, counts and reports, but lets every call in, until
/// [`enforce`](Self::enforce) says that it counts.
///
/// For trying a limit or a breaker on real traffic before it may refuse any. A call that is let in
/// though the gate refused holds nothing of the gate: it takes no permit and no token, and its
/// result is not judged. So a breaker in shadow mode opens, probes and closes as it would, and a
/// bulkhead counts the calls that it would have let in.
///
/// # Examples
///
/// ```
/// use fusebox_core::{BucketConfig, Gate, ManualClock, Shadow, TokenBucket};
///
/// let clock: ManualClock = ManualClock::new();
/// let limit = TokenBucket::new(BucketConfig::per_second(1).burst(2), &clock);
/// let limit = Shadow::new(limit);
///
/// for _ in 0..5 {
///     assert_eq!(limit.call(|| Ok::<_, ()>("served")), Ok("served"));
/// }
/// assert_eq!(limit.spared(), 3, "so many would have been refused");
///
/// limit.enforce();
/// assert!(limit.permit().is_err());
/// ```
///
/// # Interrupt safety
///
/// Lock-free, as far as the gate is: one load, and for a call that is spared one `fetch_add`.
pub struct Shadow<G, O = ()> {
    gate: G,
    word: AtomicWord,
    observer: O,
}

impl<G> Shadow<G> {
    constructor! {
        /// Lets in whatever `gate` decides.
        #[must_use]
        pub const fn new(gate: G) -> Self {
            Self::with_observer(gate, ())
        }
    }

    /// The same, with an observer that is told under `name` of each call that would have been
    /// refused ([`Event::WouldReject`]) and of each that was ([`Event::Rejected`]).
    #[must_use]
    pub fn observed_by<O>(self, name: &'static str, observer: O) -> Shadow<G, Named<O>> {
        Shadow { gate: self.gate, word: self.word, observer: Named::new(name, observer) }
    }
}

impl<G, O> Shadow<G, O> {
    constructor! {
        /// The same with a [`Named`] observer (`()` for none), in a `static` too, where
        /// [`observed_by`](Shadow::observed_by) cannot be called.
        #[must_use]
        pub const fn with_observer(gate: G, observer: O) -> Self {
            Self { gate, word: AtomicWord::new(0), observer }
        }
    }

    /// The gate itself.
    #[must_use]
    pub const fn inner(&self) -> &G {
        &self.gate
    }

    /// From now on, who is refused is refused.
    pub fn enforce(&self) {
        // Relaxed, as all accesses here: nothing is published; see the module docs.
        self.word.fetch_or(ENFORCED.max(), Ordering::Relaxed);
    }

    /// From now on, who is refused is let in and reported.
    pub fn only_watch(&self) {
        // Relaxed: as above.
        self.word.fetch_and(!ENFORCED.max(), Ordering::Relaxed);
    }

    /// Whether refusals count.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        ENFORCED.get(self.load()) != 0
    }

    /// How many calls were let in that the gate refused. Wraps at 2^63, where words are 32 bits
    /// 2^31.
    #[must_use]
    pub fn spared(&self) -> u64 {
        widen(SPARED.get(self.load()))
    }

    fn load(&self) -> Word {
        // Relaxed: nothing is published; see the module docs.
        self.word.load(Ordering::Relaxed)
    }
}

impl<G, O: Observer> Shadow<G, O> {
    /// The rare side of `enter`, kept out of the callers' code.
    #[inline(never)]
    fn refuse(&self, rejection: Rejection) -> Result<(), Rejection> {
        let name = self.observer.name();
        if self.is_enforced() {
            self.observer.on_event(&Event::Rejected { name, rejection });
            return Err(rejection);
        }
        // Relaxed: a figure. The flag stays as it is, whoever turns it meanwhile.
        self.word.fetch_add(ONE_SPARED, Ordering::Relaxed);
        self.observer.on_event(&Event::WouldReject { name, rejection });
        Ok(())
    }
}

impl<G: Gate, O: Observer> Gate for Shadow<G, O> {
    /// What the gate handed out; nothing where it refused.
    type Token = Option<G::Token>;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        match self.gate.enter() {
            Ok(token) => Ok(Some(token)),
            Err(rejection) => self.refuse(rejection).map(|()| None),
        }
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        if let Some(token) = token {
            self.gate.exit(token, outcome);
        }
    }
}

/// While refusals count, it waits as the gate does. In shadow mode nobody waits: who would have to
/// is let in at once and reported as refused, with what the gate says to those who do not wait. A
/// wait that is under way when the mode is turned goes by the new one from its next poll on.
impl<T: Timer, G: WaitGate<T>, O: Observer> WaitGate<T> for Shadow<G, O> {
    type Waiting = G::Waiting;

    #[inline]
    fn poll_enter(
        &self,
        mut waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>> {
        if !self.is_enforced() {
            // Does nothing unless the wait began before the mode was turned.
            self.gate.cancel_enter(waiting, timer);
            return Poll::Ready(self.enter());
        }
        Poll::Ready(match ready!(self.gate.poll_enter(waiting.as_mut(), timer, until, cx)) {
            Ok(token) => Ok(Some(token)),
            Err(rejection) => self.refuse(rejection).map(|()| None),
        })
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
        self.gate.cancel_enter(waiting, timer);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.gate.may_wait()
    }
}

impl<G: fmt::Debug, O> fmt::Debug for Shadow<G, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadow")
            .field("gate", &self.gate)
            .field("enforced", &self.is_enforced())
            .field("spared", &self.spared())
            .finish_non_exhaustive()
    }
}

const _: () = assert!(SPARED.end() == WORD_BITS);
