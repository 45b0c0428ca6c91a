//! tokio's time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_core::{Clock, Ticks, Timer};
use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::{Instant, Sleep};

use crate::clock::{NANOS_PER_SECOND, instant_at, ticks_at};

/// A sleep that nobody lives to see the end of, for instants beyond what the platform can count.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The clock and timer of the tokio runtime, in nanoseconds. It obeys `tokio::time::pause`.
///
/// It must be used within a runtime whose time is enabled, as all of `tokio::time`. Sleeps end at
/// the next millisecond, never early.
///
/// # Examples
///
/// ```
/// use fusebox_std::{Error, Timeout, TokioTimer};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let slow = async {
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     Ok::<_, std::io::Error>("late")
/// };
/// assert!(matches!(Timeout::FAST.run(TokioTimer, slow).await, Err(Error::TimedOut)));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokioTimer;

impl Clock for TokioTimer {
    const TICKS_PER_SECOND: u64 = NANOS_PER_SECOND;

    #[inline]
    fn now(&self) -> Ticks {
        ticks_at(Instant::now().into_std())
    }
}

impl Timer for TokioTimer {
    type Sleep = TokioSleep;

    fn sleep_until(&self, at: Ticks) -> TokioSleep {
        let at = instant_at(at).map_or_else(|| Instant::now() + FAR, Instant::from_std);
        TokioSleep { sleep: unconstrained(tokio::time::sleep_until(at)) }
    }
}

pin_project! {
    /// The sleep of a [`TokioTimer`].
    ///
    /// It is exempt from tokio's cooperative budget: an operation that uses that up each time it is polled would
    /// otherwise never be told that its time is up.
    #[must_use = "futures do nothing unless polled"]
    pub struct TokioSleep {
        #[pin]
        sleep: Unconstrained<Sleep>,
    }
}

impl Future for TokioSleep {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

impl std::fmt::Debug for TokioSleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokioSleep").finish_non_exhaustive()
    }
}
