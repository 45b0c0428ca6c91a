//! A counting semaphore with a bounded queue, first come, first served.
//!
//! One state word holds the permits in use and the number of waiters, so that taking and giving
//! back are one compare-and-swap each while nobody waits, without a fence. Waiters have slots of
//! their own in a fixed array; see `semaphore/pool.rs` for the algorithm, why it loses no wake-up,
//! and what its fences are for, `semaphore/state.rs` and `semaphore/queue.rs` for the words.

mod acquire;
mod pool;
mod queue;
mod state;

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

pub use acquire::{Acquire, AcquireBefore, PermitSource, Queued};
#[cfg(feature = "alloc")]
pub use queue::HeapQueue;
pub use queue::{Queue, Slots};

pub(crate) use pool::Pool;

use self::pool::Ledger;
use self::state::{MAX_PERMITS, MAX_PLACES};
use crate::deadline::Deadline;
use crate::error::{ConfigError, Rejection, Setting, setting};
use crate::gate::{Gate, Idle, Outcome, Permit, WaitGate};
use crate::sync::constructor;
use crate::time::Timer;

/// A counting semaphore: at most so many at once, and a bounded number that wait their turn.
///
/// `Q` is the queue: [`Queue<N>`](Queue) with `N` places inside the semaphore, none by default, or
/// `HeapQueue` (feature `alloc`) with a number chosen at run time. Without a place, those who would
/// wait are refused.
///
/// As a [`Gate`] it takes one permit for each call, refuses with
/// [`Reason::BulkheadFull`](crate::Reason::BulkheadFull), and has it back however the call ends.
/// [`of`](Semaphore::of) is a gate that takes several. [`acquire`](Semaphore::acquire) waits;
/// as a [`WaitGate`] it waits in a pipeline.
///
/// Waiters are served strictly in the order they came, whatever they need: one that needs many
/// permits holds up those behind it rather than being overtaken for ever. A newcomer takes a permit
/// at once only if nobody waits.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Gate, Queue, Semaphore};
///
/// static CONNECTIONS: Semaphore<Queue<16>> = Semaphore::new(2);
///
/// # pollster::block_on(async {
/// let first = CONNECTIONS.try_acquire().unwrap();
/// let second = CONNECTIONS.acquire().await.unwrap();
/// assert!(CONNECTIONS.try_acquire().is_err());
/// drop(first);
/// let answer = CONNECTIONS.guard(async { Ok::<_, ()>(42) }).await;
/// assert_eq!(answer, Ok(42));
/// # drop(second);
/// # });
/// ```
///
/// Shared by an `Arc`, with permits that can be sent along:
///
/// ```
/// use std::sync::Arc;
/// use fusebox_core::{Acquire, Permit, Queue, Semaphore};
///
/// let connections: Arc<Semaphore<Queue<4>>> = Arc::new(Semaphore::new(2));
/// let now = Permit::enter(Arc::clone(&connections)).unwrap();
/// let waited = pollster::block_on(Acquire::new(Arc::clone(&connections), 1)).unwrap();
/// std::thread::spawn(move || drop((now, waited))).join().unwrap();
/// assert_eq!(connections.available(), 2);
/// ```
///
/// # Memory ordering
///
/// What a holder did before it gave its permits back happens before what the next holder of
/// any of them does: with one permit, a semaphore orders memory as a lock does.
///
/// # Interrupt safety
///
/// Lock-free: everything may be called from an interrupt handler, also one that interrupted a call
/// to the same semaphore. While nobody waits, taking and giving back are one compare-and-swap.
/// Giving back while somebody waits looks at every place of the queue, once for each waiter it
/// serves and once more, and calls their wakers: keep the queue of a semaphore that interrupt
/// handlers give back to short.
pub struct Semaphore<Q = Queue<0>> {
    ledger: Ledger,
    queue: Q,
}

/// The state of the default semaphore is three words; a place in a queue adds 40 bytes.
#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = {
    assert!(size_of::<Semaphore>() <= 24);
    assert!(size_of::<Semaphore<Queue<1>>>() <= 24 + 40);
};

/// The permits that a call holds; the token of a [`Semaphore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "permits that nobody gives back are lost"]
pub struct Taken(u32);

impl Taken {
    /// How many.
    #[must_use]
    pub const fn permits(self) -> u32 {
        self.0
    }
}

const PERMITS: Setting =
    setting!("the semaphore's `permits`" must "be from 1 to 2^32 - 1" or "be from 1 to 2^20 - 1");
const PLACES: Setting =
    setting!("the places of a wait queue" must "be at most 2^31 - 1" or "be at most 2047");

/// Checks a number of permits that was given as `setting`, and of places to wait for them.
pub(crate) const fn check(
    setting: Setting,
    permits: u32,
    places: usize,
) -> Result<(), ConfigError> {
    // A maximum that only the type sets is none that anyone could miss.
    let most = if MAX_PERMITS == u32::MAX as u64 { u64::MAX } else { MAX_PERMITS };
    if let Err(error) = setting.check(permits as u64, 1, most) {
        return Err(error);
    }
    match PLACES.check(places as u64, 0, MAX_PLACES as u64) {
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

impl<const N: usize> Semaphore<Queue<N>> {
    constructor! {
        /// A semaphore with `permits` permits, all free, and a queue of `N` places.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) has an error; in a `static`, that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(permits: u32) -> Self {
            match check(PERMITS, permits, N) {
                Ok(()) => Self { ledger: Ledger::new(permits), queue: Queue::new() },
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        /// A semaphore with `permits` permits, all free, and a queue of `N` places.
        ///
        /// # Errors
        ///
        /// `permits` must be from 1 to 2^32 - 1, with 32-bit words 2^20 - 1; `N` at most 2^31 - 1,
        /// with 32-bit words 2047.
        pub const fn try_new(permits: u32) -> Result<Self, ConfigError> {
            match check(PERMITS, permits, N) {
                Ok(()) => Ok(Self { ledger: Ledger::new(permits), queue: Queue::new() }),
                Err(error) => Err(error),
            }
        }
    }
}

#[cfg(feature = "alloc")]
impl Semaphore<HeapQueue> {
    /// A semaphore with `permits` permits, all free, and a queue of `places` places.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Semaphore::try_new).
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{HeapQueue, Semaphore};
    ///
    /// let (permits, places) = (10, 100); // from a file
    /// let connections: Semaphore<HeapQueue> = Semaphore::with_queue(permits, places)?;
    /// assert_eq!(connections.queue_capacity(), 100);
    /// # Ok::<(), fusebox_core::ConfigError>(())
    /// ```
    pub fn with_queue(permits: u32, places: usize) -> Result<Self, ConfigError> {
        check(PERMITS, permits, places)?;
        Ok(Self { ledger: Ledger::new(permits), queue: HeapQueue::new(places) })
    }
}

impl<Q: Slots> Semaphore<Q> {
    #[inline]
    pub(crate) fn pool(&self) -> Pool<'_> {
        Pool::new(&self.ledger, self.queue.slots())
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// A permit that somebody else's call is just now handing to a waiter is not free.
    ///
    /// # Errors
    ///
    /// [`Reason::BulkheadFull`](crate::Reason::BulkheadFull).
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, Rejection> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits, all or none, if they are free and nobody waits. None are always to be
    /// had.
    ///
    /// # Errors
    ///
    /// [`Reason::BulkheadFull`](crate::Reason::BulkheadFull), and
    /// [`Reason::ExceedsBurst`](crate::Reason::ExceedsBurst) where there are fewer than `n` in all.
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<Permit<&Self>, Rejection> {
        self.pool().try_take(n)?;
        Ok(Permit::adopt(self, Taken(n)))
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`Reason::QueueFull`](crate::Reason::QueueFull) where no place to wait in is free, at the
    /// first poll; [`Reason::BulkheadFull`](crate::Reason::BulkheadFull) where the queue has none
    /// at all.
    ///
    /// # Cancellation
    ///
    /// Nothing happens before the first poll. Dropping the future gives up its place, or the permit
    /// it was granted and did not collect. **Cancel safety:** Strict, but for the turn in the
    /// queue.
    #[inline]
    pub fn acquire(&self) -> Acquire<&Self> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits, all or none; see [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`Reason::ExceedsBurst`](crate::Reason::ExceedsBurst) at
    /// once where there are fewer than `n` in all.
    #[inline]
    pub fn acquire_many(&self, n: u32) -> Acquire<&Self> {
        Acquire::new(self, n)
    }

    /// Waits for a permit, at most for `limit` from the first poll on.
    ///
    /// With a `limit` of zero it does not wait, but takes a permit that is free. The clock is read
    /// only where it has to wait.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`Reason::QueueTimeout`](crate::Reason::QueueTimeout).
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{ManualClock, Queue, Reason, Semaphore};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let connections: Semaphore<Queue<4>> = Semaphore::new(1);
    /// let held = connections.acquire_timeout(&clock, Duration::ZERO).await.unwrap();
    /// let late = connections.acquire_timeout(&clock, Duration::ZERO).await.unwrap_err();
    /// assert_eq!(late.reason(), Reason::QueueTimeout);
    /// # drop(held);
    /// # });
    /// ```
    #[inline]
    pub fn acquire_timeout<T: Timer>(&self, timer: T, limit: Duration) -> AcquireBefore<&Self, T> {
        AcquireBefore::new(self, 1, timer, Deadline::NEVER).within(limit)
    }

    /// Waits for a permit, at most until `deadline`, an instant of `timer`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); [`Reason::QueueTimeout`](crate::Reason::QueueTimeout) where
    /// the deadline came while it waited,
    /// [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded) where it had passed at the
    /// first poll: then nothing is taken, even if it is free.
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_before<T: Timer>(
        &self,
        timer: T,
        deadline: Deadline,
    ) -> AcquireBefore<&Self, T> {
        AcquireBefore::new(self, 1, timer, deadline)
    }

    /// A gate that takes `n` permits for each call.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{Gate, Semaphore};
    ///
    /// let memory_mib: Semaphore = Semaphore::new(512);
    /// let large_job = memory_mib.of(200).call(|| {
    ///     assert_eq!(memory_mib.available(), 312);
    ///     Ok::<_, ()>("done")
    /// });
    /// assert_eq!(large_job, Ok("done"));
    /// ```
    #[inline]
    #[must_use]
    pub const fn of(&self, n: u32) -> Several<'_, Q> {
        Several { semaphore: self, n }
    }

    /// How many permits there are, held or free.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.ledger.total()
    }

    /// Changes how many permits there are, from now on.
    ///
    /// Where there are more, waiters have them at once, in their turn. Where there are fewer than
    /// are held, nobody loses any: nothing is free until enough of them have come back. Whoever
    /// waits for more than there are by then is refused with
    /// [`Reason::ExceedsBurst`](crate::Reason::ExceedsBurst) when its turn comes, as whoever asks
    /// for so many is at once.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Semaphore::try_new), and then nothing has changed.
    ///
    /// # Interrupt safety
    ///
    /// As giving back while somebody waits. Of two changes at once, the last one holds. A call that
    /// has begun to take permits before the change may still go by the number before it.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::Semaphore;
    ///
    /// let connections: Semaphore = Semaphore::new(10);
    /// let held = connections.try_acquire_many(4).unwrap();
    /// connections.set_permits(3)?; // the database asks for mercy
    /// assert_eq!((connections.in_use(), connections.available()), (4, 0));
    /// drop(held);
    /// assert_eq!(connections.available(), 3);
    /// # Ok::<(), fusebox_core::ConfigError>(())
    /// ```
    pub fn set_permits(&self, permits: u32) -> Result<(), ConfigError> {
        self.resize(PERMITS, permits)
    }

    /// [`set_permits`](Self::set_permits), where the number was given as `setting`.
    pub(crate) fn resize(&self, setting: Setting, permits: u32) -> Result<(), ConfigError> {
        check(setting, permits, 0)?;
        self.pool().resize(permits);
        Ok(())
    }

    /// How many permits are free.
    ///
    /// This and the other figures may be old as soon as they are read.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.snapshot().available()
    }

    /// How many permits are held, or granted and on their way to a waiter.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.snapshot().in_use()
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.snapshot().waiting()
    }

    /// How many can wait at most. A place is taken from when a task begins to wait until it has
    /// collected its permits or given up.
    #[must_use]
    pub fn queue_capacity(&self) -> usize {
        self.queue.slots().len()
    }

    /// All figures, of one instant; only while [`set_permits`](Self::set_permits) runs, the number
    /// of permits may be the one before or after.
    #[must_use]
    pub fn snapshot(&self) -> Usage {
        let snapshot = self.ledger.snapshot();
        Usage { permits: self.ledger.total(), in_use: snapshot.held(), waiting: snapshot.waiters() }
    }
}

impl<Q: Slots> Gate for Semaphore<Q> {
    type Token = Taken;

    #[inline]
    fn enter(&self) -> Result<Taken, Rejection> {
        self.of(1).enter()
    }

    #[inline]
    fn exit(&self, token: Taken, _outcome: Outcome) {
        self.pool().give(token.0);
    }
}

/// No permit is out, and nobody waits for one.
impl<Q: Slots> Idle for Semaphore<Q> {
    fn is_idle(&self) -> bool {
        let usage = self.snapshot();
        usage.in_use() == 0 && usage.waiting() == 0
    }
}

impl<T: Timer, Q: Slots> WaitGate<T> for Semaphore<Q> {
    type Waiting = Queued<T::Sleep>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        self.of(1).poll_enter(waiting, timer, until, cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, _timer: &T) {
        waiting.cancel(self.pool(), 1);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.pool().has_queue()
    }
}

impl<Q: Slots> fmt::Debug for Semaphore<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = self.snapshot();
        f.debug_struct("Semaphore")
            .field("permits", &usage.permits)
            .field("available", &usage.available())
            .field("waiting", &usage.waiting)
            .field("queue_capacity", &self.queue_capacity())
            .finish()
    }
}

/// A semaphore as a gate that takes several permits for each call; see [`Semaphore::of`].
pub struct Several<'a, Q = Queue<0>> {
    semaphore: &'a Semaphore<Q>,
    n: u32,
}

impl<Q: Slots> Gate for Several<'_, Q> {
    type Token = Taken;

    #[inline]
    fn enter(&self) -> Result<Taken, Rejection> {
        self.semaphore.pool().try_take(self.n)?;
        Ok(Taken(self.n))
    }

    #[inline]
    fn exit(&self, token: Taken, outcome: Outcome) {
        self.semaphore.exit(token, outcome);
    }
}

impl<T: Timer, Q: Slots> WaitGate<T> for Several<'_, Q> {
    type Waiting = Queued<T::Sleep>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        waiting.poll((self.semaphore.pool(), self.n), timer, until, None, cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, _timer: &T) {
        waiting.cancel(self.semaphore.pool(), self.n);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.semaphore.pool().has_queue()
    }
}

impl<Q> Clone for Several<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q> Copy for Several<'_, Q> {}

impl<Q: Slots> fmt::Debug for Several<'_, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Several").field("of", &self.semaphore).field("n", &self.n).finish()
    }
}

/// How much of a semaphore or bulkhead is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Usage {
    permits: u32,
    in_use: u32,
    waiting: u32,
}

impl Usage {
    /// How many permits there are, held or free.
    #[must_use]
    pub const fn permits(&self) -> u32 {
        self.permits
    }

    /// How many permits are free.
    #[must_use]
    pub const fn available(&self) -> u32 {
        self.permits.saturating_sub(self.in_use)
    }

    /// How many permits are held, or granted and on their way to a waiter: more than there are for
    /// a while, where their number was changed to less.
    #[must_use]
    pub const fn in_use(&self) -> u32 {
        self.in_use
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The part of the permits that is in use, in percent, rounded down: 100 only when all are,
    /// and more where more are in use than there are any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::Semaphore;
    ///
    /// let connections: Semaphore = Semaphore::new(3);
    /// let held = connections.try_acquire_many(2).unwrap();
    /// assert_eq!(connections.snapshot().percent(), 66);
    /// # drop(held);
    /// ```
    #[must_use]
    pub const fn percent(&self) -> u32 {
        if self.permits == 0 {
            return 0;
        }
        let percent = self.in_use as u64 * 100 / self.permits as u64;
        if percent > u32::MAX as u64 { u32::MAX } else { percent as u32 }
    }
}
