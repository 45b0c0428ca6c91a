//! The futures that wait for permits.

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use pin_project_lite::pin_project;

use super::pool::{Place, Pool};
use super::queue::Slots;
use super::{Semaphore, Taken};
use crate::deadline::Deadline;
use crate::error::{Reason, Rejection};
use crate::gate::{Gate, Permit};
use crate::time::Timer;

mod sealed {
    pub trait Sealed {}
}

/// What permits are taken from: a [`Semaphore`], or a [`Bulkhead`](crate::Bulkhead).
///
/// Sealed: the futures rely on its having one pool of permits for all its life.
pub trait PermitSource: Gate<Token = Taken> + sealed::Sealed {
    #[doc(hidden)]
    fn pool(&self) -> Pool<'_>;
}

impl<Q: Slots> sealed::Sealed for Semaphore<Q> {}

impl<Q: Slots> PermitSource for Semaphore<Q> {
    #[inline]
    fn pool(&self) -> Pool<'_> {
        Semaphore::pool(self)
    }
}

impl<Q: Slots> sealed::Sealed for crate::bulkhead::Bulkhead<Q> {}

impl<Q: Slots> PermitSource for crate::bulkhead::Bulkhead<Q> {
    #[inline]
    fn pool(&self) -> Pool<'_> {
        self.semaphore().pool()
    }
}

/// A wait, which ends exactly once: granted, refused, or given up.
struct Wait {
    /// Whether it was ever polled: nothing is taken before.
    begun: bool,
    place: Option<Place>,
}

impl Wait {
    const NEW: Self = Self { begun: false, place: None };

    /// The first poll: takes `n` permits, or else a place in the queue if it `may_wait`.
    #[inline]
    fn start(
        &mut self,
        pool: Pool<'_>,
        n: u32,
        may_wait: bool,
        cx: &Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        self.begun = true;
        match pool.try_take_or_wait(n) {
            Ok(()) => Poll::Ready(Ok(Taken(n))),
            Err(full) if full.reason() != Reason::BulkheadFull => Poll::Ready(Err(full)),
            // Without a queue the wait is not what was too short.
            Err(_) if !may_wait && pool.has_queue() => {
                Poll::Ready(Err(Rejection::new(Reason::QueueTimeout)))
            }
            Err(_) => self.enqueue(pool, n, cx),
        }
    }

    fn enqueue(
        &mut self,
        pool: Pool<'_>,
        n: u32,
        cx: &Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        let place = pool.enqueue(n, cx.waker())?;
        // Noted before anybody's waker is called, so that should one panic, the place is given up.
        self.place = Some(place);
        pool.grant();
        self.collect(pool, n)
    }

    /// A later poll: takes the permits if they were granted, and otherwise waits on.
    fn resume(
        &mut self,
        pool: Pool<'_>,
        n: u32,
        cx: &Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        if let Some(place) = self.place {
            pool.register(place, cx.waker());
        }
        self.collect(pool, n)
    }

    /// Takes the permits if they were granted.
    fn collect(&mut self, pool: Pool<'_>, n: u32) -> Poll<Result<Taken, Rejection>> {
        let Some(granted) = pool.collect(&mut self.place, n) else { return Poll::Pending };
        let too_many = Rejection::new(Reason::ExceedsBurst);
        Poll::Ready(if granted { Ok(Taken(n)) } else { Err(too_many) })
    }

    /// Ends the wait: the permits where they were granted in the last moment.
    fn give_up(&mut self, pool: Pool<'_>, n: u32) -> Option<Taken> {
        let place = self.place.take()?;
        pool.withdraw(place, n).then_some(Taken(n))
    }

    /// Ends the wait, and gives back what was granted.
    #[inline]
    fn cancel(&mut self, pool: Pool<'_>, n: u32) {
        if let Some(taken) = self.give_up(pool, n) {
            pool.give_back(taken.permits());
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("begun", &self.begun)
            .field("queued", &self.place.is_some())
            .finish()
    }
}

pin_project! {
    /// The future of [`Semaphore::acquire`]; make one over an `Arc` with [`Acquire::new`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire<R>
    where
        R: Deref,
        R::Target: PermitSource,
    {
        // Present until the answer is there: polled again, it has none left, and stays pending.
        source: Option<R>,
        n: u32,
        wait: Wait,
    }

    impl<R> PinnedDrop for Acquire<R>
    where
        R: Deref,
        R::Target: PermitSource,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(source) = this.source {
                this.wait.cancel(source.pool(), *this.n);
            }
        }
    }
}

impl<R> Acquire<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    /// Waits for `n` permits of `source`, which may be `&Semaphore`, `&'static Semaphore`,
    /// `Arc<Semaphore>`, or the same of a bulkhead; see [`Semaphore::acquire_many`].
    #[inline]
    pub const fn new(source: R, n: u32) -> Self {
        Self { source: Some(source), n, wait: Wait::NEW }
    }
}

impl<R> Future for Acquire<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    type Output = Result<Permit<R>, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(source) = this.source else { return Poll::Pending };
        let (pool, n) = (source.pool(), *this.n);
        let answer = match this.wait.begun {
            false => this.wait.start(pool, n, true, cx),
            true => this.wait.resume(pool, n, cx),
        };
        permit(this.source, ready!(answer))
    }
}

impl<R> fmt::Debug for Acquire<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("n", &self.n)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// The permit for what was taken, or why nothing was; `source` is spent either way.
#[inline]
fn permit<R>(
    source: &mut Option<R>,
    answer: Result<Taken, Rejection>,
) -> Poll<Result<Permit<R>, Rejection>>
where
    R: Deref,
    R::Target: PermitSource,
{
    match source.take() {
        Some(source) => Poll::Ready(answer.map(|taken| Permit::adopt(source, taken))),
        None => Poll::Pending,
    }
}

pin_project! {
    /// The wait of a [`Semaphore`] or [`Bulkhead`](crate::Bulkhead) as a
    /// [`WaitGate`](crate::WaitGate): its place in the queue, and when that ends.
    #[derive(Debug)]
    pub struct Queued<S> {
        wait: Wait,
        // Made when the wait begins, if it has an end.
        #[pin]
        sleep: Option<S>,
    }
}

impl<S> Default for Queued<S> {
    #[inline]
    fn default() -> Self {
        Self::NEW
    }
}

impl<S> Queued<S> {
    const NEW: Self = Self { wait: Wait::NEW, sleep: None };

    /// Gives up the place, or the permits that were granted meanwhile.
    #[inline]
    pub(crate) fn cancel(self: Pin<&mut Self>, pool: Pool<'_>, n: u32) {
        self.project().wait.cancel(pool, n);
    }
}

impl<S: Future<Output = ()>> Queued<S> {
    /// Waits for `n` permits, at most until `until`, and `within` from the first poll on.
    #[inline]
    pub(crate) fn poll<T: Timer<Sleep = S>>(
        mut self: Pin<&mut Self>,
        (pool, n): (Pool<'_>, u32),
        timer: &T,
        until: Deadline,
        within: Option<Duration>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        let this = self.as_mut().project();
        if this.wait.begun {
            return self.resume(pool, n, cx);
        }
        if until.expired(timer) {
            return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded)));
        }
        let mut sleep = this.sleep;
        let answer = this.wait.start(pool, n, within != Some(Duration::ZERO), cx);
        if answer.is_ready() {
            return answer;
        }
        let until = match within {
            None => until,
            Some(limit) => Deadline::after(timer, limit).min(until),
        };
        if !until.is_never() {
            sleep.set(Some(timer.sleep_until(until.ticks())));
        }
        self.poll_sleep(pool, n, cx)
    }

    fn resume(
        mut self: Pin<&mut Self>,
        pool: Pool<'_>,
        n: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        let mut this = self.as_mut().project();
        let answer = this.wait.resume(pool, n, cx);
        if answer.is_pending() {
            return self.poll_sleep(pool, n, cx);
        }
        this.sleep.set(None);
        answer
    }

    /// Ends the wait where its time is up.
    fn poll_sleep(
        self: Pin<&mut Self>,
        pool: Pool<'_>,
        n: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        let mut this = self.project();
        let Some(sleep) = this.sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        ready!(sleep.poll(cx));
        this.sleep.set(None);
        // A grant in the last moment wins over the timeout.
        let taken = this.wait.give_up(pool, n);
        Poll::Ready(taken.ok_or(Rejection::new(Reason::QueueTimeout)))
    }
}

pin_project! {
    /// The future of [`Semaphore::acquire_before`] and [`Semaphore::acquire_timeout`]; make one
    /// over an `Arc` with [`AcquireBefore::new`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AcquireBefore<R, T>
    where
        T: Timer,
        R: Deref,
        R::Target: PermitSource,
    {
        // Present until the answer is there: polled again, it has none left, and stays pending.
        source: Option<R>,
        n: u32,
        timer: T,
        until: Deadline,
        within: Option<Duration>,
        #[pin]
        queued: Queued<T::Sleep>,
    }

    impl<R, T> PinnedDrop for AcquireBefore<R, T>
    where
        T: Timer,
        R: Deref,
        R::Target: PermitSource,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(source) = this.source {
                this.queued.cancel(source.pool(), *this.n);
            }
        }
    }
}

impl<R, T> AcquireBefore<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    /// Waits for `n` permits of `source` (`&Semaphore`, `Arc<Semaphore>`, or the same of a
    /// bulkhead), at most until `deadline`, an instant of `timer`; see
    /// [`Semaphore::acquire_before`].
    #[inline]
    pub const fn new(source: R, n: u32, timer: T, deadline: Deadline) -> Self {
        let queued = Queued::NEW;
        Self { source: Some(source), n, timer, until: deadline, within: None, queued }
    }

    /// Waits for at most `limit` from the first poll on as well; see
    /// [`Semaphore::acquire_timeout`].
    #[inline]
    pub fn within(self, limit: Duration) -> Self {
        self.limited(Some(limit))
    }

    /// [`within`](Self::within), where there is a limit.
    #[inline]
    pub(crate) fn limited(mut self, limit: Option<Duration>) -> Self {
        self.within = limit;
        self
    }
}

impl<R, T> Future for AcquireBefore<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    type Output = Result<Permit<R>, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(source) = this.source else { return Poll::Pending };
        let wanted = (source.pool(), *this.n);
        let answer = this.queued.poll(wanted, this.timer, *this.until, *this.within, cx);
        permit(this.source, ready!(answer))
    }
}

impl<R, T> fmt::Debug for AcquireBefore<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireBefore")
            .field("n", &self.n)
            .field("wait", &self.queued.wait)
            .field("until", &self.until)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
