//! A step that waits: a call through a whole pipeline.

use core::future::{pending, poll_fn};
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{Backoff, Clock, Pipeline, Retry, Timer};

use super::{Storm, Worker};

/// What an operation of the storm fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trouble;

impl Worker {
    /// Makes one call through a pipeline of the storm's semaphore, at which it waits, bucket,
    /// breaker and budget, with a deadline, retries and a timeout. The operation fails at random,
    /// and hangs at times.
    ///
    /// It takes at most a fifth of a second, however few the contexts are that let others in.
    ///
    /// # Cancellation
    ///
    /// It may be dropped at any time. **Cancel safety:** Strict.
    pub async fn call<C, T, const LOSES: bool>(&self, storm: &Storm<C, LOSES>, timer: &T)
    where
        C: Clock + Copy,
        T: Timer,
    {
        let storm = &storm.shared;
        let turn = self.begin(storm);
        let (permits, budget) = (storm.watched_permits(self, 1), storm.watched_budget(self));
        let gates = (storm.watched_bucket(self), storm.watched_breaker(self));
        let retry =
            Retry::new(Backoff::constant(Duration::from_millis(2))).max_attempts(3).budget(&budget);
        let pipeline = Pipeline::new(timer)
            .deadline(Duration::from_millis(200))
            .per_call_waiting(permits)
            .retry(retry)
            .per_attempt(gates)
            .attempt_timeout(Duration::from_millis(5));
        // How it ends is the gates' to note.
        let _ = pipeline.call(|_| self.operate()).await;
        self.end(storm, turn);
    }

    /// Lets others run a few times, and then fails or does not; hangs at times.
    async fn operate(&self) -> Result<(), Trouble> {
        let mut turns = self.random(4);
        poll_fn(|cx| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        match self.random(16) {
            0 => pending().await,
            1..=4 => Err(Trouble),
            _ => Ok(()),
        }
    }
}
