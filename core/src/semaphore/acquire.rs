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
struct Wait<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    /// Present until it has become a permit's.
    source: Option<R>,
    n: u32,
    place: Option<Place>,
}

impl<R> Wait<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    const fn new(source: R, n: u32) -> Self {
        Self { source: Some(source), n, place: None }
    }

    /// Takes the permits at once, or else takes a place in the queue if it `may_wait`.
    fn start(&mut self, may_wait: bool, cx: &Context<'_>) -> Poll<Result<Taken, Rejection>> {
        let Some(source) = self.source.as_deref() else { return Poll::Pending };
        let pool = source.pool();
        match pool.try_take(self.n) {
            Ok(()) => return Poll::Ready(Ok(Taken(self.n))),
            Err(full) if full.reason() != Reason::BulkheadFull => return Poll::Ready(Err(full)),
            // Without a queue the wait is not what was too short.
            Err(_) if !may_wait && pool.has_queue() => {
                return Poll::Ready(Err(Rejection::new(Reason::QueueTimeout)));
            }
            Err(_) => {}
        }
        let place = pool.enqueue(self.n, cx.waker())?;
        // Noted before anybody's waker is called, so that should one panic, the place is given up.
        self.place = Some(place);
        pool.grant();
        self.collect()
    }

    /// Takes the permits if they were granted.
    fn collect(&mut self) -> Poll<Result<Taken, Rejection>> {
        match (self.source.as_deref(), self.place) {
            (Some(source), Some(place)) if source.pool().collect(place) => {
                self.place = None;
                Poll::Ready(Ok(Taken(self.n)))
            }
            _ => Poll::Pending,
        }
    }

    /// Takes the permits if they were granted, and otherwise waits on.
    fn resume(&mut self, cx: &Context<'_>) -> Poll<Result<Taken, Rejection>> {
        if let (Some(source), Some(place)) = (self.source.as_deref(), self.place) {
            source.pool().register(place, cx.waker());
        }
        self.collect()
    }

    /// Ends the wait: the permits where they were granted in the last moment.
    fn give_up(&mut self) -> Option<Taken> {
        let place = self.place.take()?;
        let source = self.source.as_deref()?;
        source.pool().withdraw(place).then_some(Taken(self.n))
    }

    /// The permit for what was taken.
    fn permit(&mut self, taken: Taken) -> Poll<Permit<R>> {
        match self.source.take() {
            Some(source) => Poll::Ready(Permit::adopt(source, taken)),
            None => Poll::Pending,
        }
    }
}

impl<R> Drop for Wait<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    fn drop(&mut self) {
        if let Some(taken) = self.give_up() {
            if let Some(source) = self.source.as_deref() {
                source.pool().give(taken.permits());
            }
        }
    }
}

impl<R> fmt::Debug for Wait<R>
where
    R: Deref,
    R::Target: PermitSource,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("n", &self.n).field("queued", &self.place.is_some()).finish()
    }
}

/// Where a future is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Not yet polled: nothing is taken.
    Start,
    Waiting,
    /// Has had its answer: polled again, it has none left, and stays pending.
    Done,
}

pin_project! {
    /// The future of [`Semaphore::acquire`]; make one over an `Arc` with [`Acquire::new`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire<R>
    where
        R: Deref,
        R::Target: PermitSource,
    {
        wait: Wait<R>,
        step: Step,
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
        Self { wait: Wait::new(source, n), step: Step::Start }
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
        let answer = match *this.step {
            Step::Start => {
                *this.step = Step::Waiting;
                this.wait.start(true, cx)
            }
            Step::Waiting => this.wait.resume(cx),
            Step::Done => Poll::Pending,
        };
        let answer = ready!(answer);
        *this.step = Step::Done;
        match answer {
            Ok(taken) => this.wait.permit(taken).map(Ok),
            Err(rejection) => Poll::Ready(Err(rejection)),
        }
    }
}

pin_project! {
    /// The wait of a [`Semaphore`] or [`Bulkhead`](crate::Bulkhead) in a pipeline: the token, for
    /// who gives it back himself. Prefer [`AcquireBefore`], which makes a [`Permit`].
    #[must_use = "futures do nothing unless polled"]
    pub struct EnterQueued<R, T>
    where
        T: Timer,
        R: Deref,
        R::Target: PermitSource,
    {
        wait: Wait<R>,
        step: Step,
        until: Deadline,
        within: Option<Duration>,
        timer: T,
        // Made when the wait begins, if it has an end.
        #[pin]
        sleep: Option<T::Sleep>,
    }
}

impl<R, T> EnterQueued<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    pub(crate) const fn new(source: R, n: u32, timer: T, until: Deadline) -> Self {
        let wait = Wait::new(source, n);
        Self { wait, step: Step::Start, until, within: None, timer, sleep: None }
    }

    /// Waits for at most `limit`, from the first poll on.
    pub(crate) fn within(mut self, limit: Option<Duration>) -> Self {
        self.within = limit;
        self
    }

    /// The first poll.
    fn start(self: Pin<&mut Self>, cx: &Context<'_>) -> Poll<Result<Taken, Rejection>> {
        let mut this = self.project();
        if this.until.expired(this.timer) {
            return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded)));
        }
        let answer = this.wait.start(*this.within != Some(Duration::ZERO), cx);
        if answer.is_pending() {
            let until = match *this.within {
                None => *this.until,
                Some(limit) => Deadline::after(this.timer, limit).min(*this.until),
            };
            if !until.is_never() {
                this.sleep.set(Some(this.timer.sleep_until(until.ticks())));
            }
        }
        answer
    }
}

impl<R, T> Future for EnterQueued<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    type Output = Result<Taken, Rejection>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let step = core::mem::replace(self.as_mut().project().step, Step::Waiting);
        let answer = match step {
            Step::Start => self.as_mut().start(cx),
            Step::Waiting => self.as_mut().project().wait.resume(cx),
            Step::Done => Poll::Pending,
        };
        let mut this = self.project();
        let answer = match (answer, this.sleep.as_mut().as_pin_mut()) {
            (Poll::Pending, Some(sleep)) => {
                ready!(sleep.poll(cx));
                // A grant in the last moment wins over the timeout.
                this.wait.give_up().ok_or(Rejection::new(Reason::QueueTimeout))
            }
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Ready(answer), _) => answer,
        };
        *this.step = Step::Done;
        this.sleep.set(None);
        Poll::Ready(answer)
    }
}

impl<R, T> fmt::Debug for EnterQueued<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterQueued")
            .field("wait", &self.wait)
            .field("step", &self.step)
            .field("until", &self.until)
            .field("within", &self.within)
            .finish_non_exhaustive()
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
        #[pin]
        entering: EnterQueued<R, T>,
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
        Self { entering: EnterQueued::new(source, n, timer, deadline) }
    }

    /// A bulkhead's wait: for one permit, with no deadline but its own limit.
    pub(crate) fn waiting(source: R, timer: T, limit: Option<Duration>) -> Self {
        Self { entering: EnterQueued::new(source, 1, timer, Deadline::NEVER).within(limit) }
    }

    /// Waits for at most `limit` from the first poll on as well; see
    /// [`Semaphore::acquire_timeout`].
    #[inline]
    pub fn within(self, limit: Duration) -> Self {
        Self { entering: self.entering.within(Some(limit)) }
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
        let mut entering = self.project().entering;
        match ready!(entering.as_mut().poll(cx)) {
            Ok(taken) => entering.project().wait.permit(taken).map(Ok),
            Err(rejection) => Poll::Ready(Err(rejection)),
        }
    }
}

impl<R, T> fmt::Debug for AcquireBefore<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: PermitSource,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcquireBefore").field(&self.entering).finish()
    }
}
