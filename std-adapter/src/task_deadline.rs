//! The deadline of the present task, which goes along with what it does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fusebox_core::Deadline;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: Deadline;
}

/// The deadline that the present work must be done by: of the innermost [`with_deadline`] around
/// it, on the axis that all clocks of this crate share; [`Deadline::NEVER`] where there is none.
///
/// A task that is spawned has none of its own accord: take the deadline before, and give it along
/// with [`with_deadline`].
#[must_use]
pub fn current_deadline() -> Deadline {
    CURRENT.try_with(|deadline| *deadline).unwrap_or(Deadline::NEVER)
}

/// Tells `future`, and all that it calls, that it must be done by `deadline`, or by the deadline
/// that holds when this is called, where that is earlier. It does not cut anything off by itself.
///
/// # Cancellation
///
/// Dropping it drops `future`. **Cancel safety:** that of `future`. Polled again after its end, it
/// stays pending.
///
/// # Examples
///
/// ```
/// use std::{io, time::Duration};
/// use fusebox_std::{current_deadline, prelude::*, with_deadline};
///
/// async fn query() -> Result<u32, Error<io::Error>> {
///     Pipeline::new(TokioTimer)
///         .retry(Retry::new(Backoff::constant(Duration::from_secs(1))).unlimited())
///         .call_before(current_deadline(), |_| async { Err(io::Error::other("down")) })
///         .await
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let deadline = Deadline::after(&TokioTimer, Duration::from_millis(2500));
/// let started = TokioTimer.now();
/// assert!(with_deadline(deadline, query()).await.is_err());
/// assert_eq!(TokioTimer.now().saturating_since(started), 2_000_000_000, "two retries, in ns");
/// # }
/// ```
#[inline]
pub fn with_deadline<F>(deadline: Deadline, future: F) -> WithDeadline<F>
where
    F: Future,
{
    WithDeadline { scoped: CURRENT.scope(deadline.min(current_deadline()), future), done: false }
}

/// Does `work`, which must be done by `deadline`, as [`with_deadline`] has a future do it.
#[cfg(feature = "tower")]
#[inline]
pub(crate) fn within_deadline<T>(deadline: Deadline, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(deadline.min(current_deadline()), work)
}

pin_project! {
    /// A future that knows its deadline; see [`with_deadline`].
    #[must_use = "futures do nothing unless polled"]
    pub struct WithDeadline<F> {
        #[pin]
        scoped: TaskLocalFuture<Deadline, F>,
        done: bool,
    }
}

impl<F: Future> Future for WithDeadline<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Tokio's panics there.
        if *this.done {
            return Poll::Pending;
        }
        let output = ready!(this.scoped.poll(cx));
        *this.done = true;
        Poll::Ready(output)
    }
}

impl<F> fmt::Debug for WithDeadline<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithDeadline").finish_non_exhaustive()
    }
}
