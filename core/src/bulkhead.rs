//! The bulkhead: so many calls at once, and a bounded wait for the others.
//!
//! A [`Semaphore`] with a policy: how long a call may wait for its turn. All that is hard is there.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use crate::deadline::Deadline;
use crate::error::{ConfigError, Rejection, Setting, setting};
use crate::gate::{Gate, Idle, Outcome, WaitGate};
#[cfg(feature = "alloc")]
use crate::semaphore::HeapQueue;
use crate::semaphore::{self, AcquireBefore, Queue, Queued, Semaphore, Slots, Taken, Usage};
use crate::sync::constructor;
use crate::time::Timer;

const MAX_CONCURRENT: Setting = setting!(
    "the bulkhead's `max_concurrent`" must "be from 1 to 2^32 - 1" or "be from 1 to 2^20 - 1"
);
const PLACES: Setting =
    setting!("the places in the queue of a bulkhead with a `max_wait`" must "be at least 1");

/// What a [`Bulkhead`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct BulkheadConfig {
    max_concurrent: u32,
    max_wait: Option<Duration>,
}

impl BulkheadConfig {
    /// At most `max_concurrent` calls at once, from 1 to 2^32 - 1 (with 32-bit words 2^20 - 1).
    ///
    /// A call that waits does so for as long as its deadline allows, unless
    /// [`max_wait`](Self::max_wait) says less.
    pub const fn new(max_concurrent: u32) -> Self {
        Self { max_concurrent, max_wait: None }
    }

    /// No call waits longer than `limit` for its turn. Zero: it does not wait.
    ///
    /// It holds where calls wait at all: in [`enter_waiting`](Bulkhead::enter_waiting), and in a
    /// pipeline's [`per_call_waiting`](crate::Pipeline::per_call_waiting) and
    /// [`per_attempt_waiting`](crate::Pipeline::per_attempt_waiting). As a plain [`Gate`], so in
    /// [`per_call`](crate::Pipeline::per_call), the bulkhead never waits.
    pub const fn max_wait(self, limit: Duration) -> Self {
        Self { max_wait: Some(limit), ..self }
    }

    const fn check(self, places: usize) -> Result<(), ConfigError> {
        let waits = matches!(self.max_wait, Some(limit) if !limit.is_zero());
        if waits && places == 0 {
            return Err(PLACES.number(0, 1, u64::MAX));
        }
        semaphore::check(MAX_CONCURRENT, self.max_concurrent, places)
    }
}

/// So many calls at once, so that one slow dependency cannot take all of a program with it.
///
/// As a [`Gate`] it lets a call in or refuses it at once.
/// [`enter_waiting`](Bulkhead::enter_waiting), or as a [`WaitGate`] in a pipeline, waits in its
/// queue `Q` for at most `max_wait` and until the deadline. Without a place in the queue (the
/// default) that refuses at once too.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Bulkhead, BulkheadConfig, Gate, ManualClock, Queue, Reason};
///
/// static DATABASE: Bulkhead<Queue<32>> =
///     Bulkhead::new(BulkheadConfig::new(1).max_wait(Duration::from_millis(50)));
///
/// # pollster::block_on(async {
/// # let timer: ManualClock = ManualClock::new();
/// let query = DATABASE.enter_waiting(&timer).await.unwrap();
///
/// // Another one would have to wait.
/// assert_eq!(DATABASE.permit().unwrap_err().reason(), Reason::BulkheadFull);
/// query.success();
/// assert_eq!(DATABASE.call(|| Ok::<_, ()>("row")), Ok("row"));
/// # });
/// ```
///
/// # Interrupt safety
///
/// As [`Semaphore`].
pub struct Bulkhead<Q = Queue<0>> {
    semaphore: Semaphore<Q>,
    max_wait: Option<Duration>,
}

#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Bulkhead>() < 100);

impl<const N: usize> Bulkhead<Queue<N>> {
    constructor! {
        /// A bulkhead with a queue of `N` places.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) has an error; in a `static`, that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: BulkheadConfig) -> Self {
            match config.check(N) {
                Ok(()) => {
                    let semaphore = Semaphore::<Queue<N>>::new(config.max_concurrent);
                    Self { semaphore, max_wait: config.max_wait }
                }
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        /// A bulkhead with a queue of `N` places.
        ///
        /// # Errors
        ///
        /// As [`Semaphore::try_new`]; and a `max_wait` needs a place to wait in.
        pub const fn try_new(config: BulkheadConfig) -> Result<Self, ConfigError> {
            match config.check(N) {
                Ok(()) => Ok(Self::new(config)),
                Err(error) => Err(error),
            }
        }
    }
}

#[cfg(feature = "alloc")]
impl Bulkhead<HeapQueue> {
    /// A bulkhead with a queue of `places` places.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Bulkhead::try_new).
    pub fn with_queue(config: BulkheadConfig, places: usize) -> Result<Self, ConfigError> {
        config.check(places)?;
        let semaphore = Semaphore::with_queue(config.max_concurrent, places)?;
        Ok(Self { semaphore, max_wait: config.max_wait })
    }
}

impl<Q: Slots> Bulkhead<Q> {
    /// Waits to be let in, for at most the configured `max_wait` from the first poll on.
    ///
    /// # Errors
    ///
    /// [`Reason::QueueFull`](crate::Reason::QueueFull),
    /// [`Reason::QueueTimeout`](crate::Reason::QueueTimeout), and without a queue
    /// [`Reason::BulkheadFull`](crate::Reason::BulkheadFull).
    ///
    /// # Cancellation
    ///
    /// As [`Semaphore::acquire`].
    pub fn enter_waiting<T: Timer>(&self, timer: T) -> AcquireBefore<&Self, T> {
        AcquireBefore::new(self, 1, timer, Deadline::NEVER).limited(self.max_wait)
    }

    /// The semaphore underneath, for its figures and for several permits at once.
    #[must_use]
    pub const fn semaphore(&self) -> &Semaphore<Q> {
        &self.semaphore
    }

    /// Changes how many calls are let in at once, from now on; see [`Semaphore::set_permits`].
    ///
    /// # Errors
    ///
    /// As [`try_new`](Bulkhead::try_new), and then nothing has changed.
    pub fn set_max_concurrent(&self, calls: u32) -> Result<(), ConfigError> {
        self.semaphore.resize(MAX_CONCURRENT, calls)
    }

    /// The longest wait, where it has a limit of its own.
    #[must_use]
    pub const fn max_wait(&self) -> Option<Duration> {
        self.max_wait
    }

    /// How much of it is in use, and how many wait.
    #[must_use]
    pub fn snapshot(&self) -> Usage {
        self.semaphore.snapshot()
    }
}

impl<Q: Slots> Gate for Bulkhead<Q> {
    type Token = Taken;

    #[inline]
    fn enter(&self) -> Result<Taken, Rejection> {
        self.semaphore.enter()
    }

    #[inline]
    fn exit(&self, token: Taken, outcome: Outcome) {
        self.semaphore.exit(token, outcome);
    }
}

/// As its semaphore.
impl<Q: Slots> Idle for Bulkhead<Q> {
    fn is_idle(&self) -> bool {
        self.semaphore.is_idle()
    }
}

impl<T: Timer, Q: Slots> WaitGate<T> for Bulkhead<Q> {
    type Waiting = Queued<T::Sleep>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        waiting.poll((self.semaphore.pool(), 1), timer, until, self.max_wait, cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, _timer: &T) {
        waiting.cancel(self.semaphore.pool(), 1);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.semaphore.pool().has_queue()
    }
}

impl<Q: Slots> fmt::Debug for Bulkhead<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("semaphore", &self.semaphore)
            .field("max_wait", &self.max_wait)
            .finish()
    }
}
