//! The bucket as a gate.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::state::Tat;
use super::{AcquireTokens, TokenBucket};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::gate::{Gate, Idle, Outcome, WaitGate};
use crate::time::{Clock, Timer};
use crate::turns::{Acquiring, Patience, Reserved};
use crate::word::Word;

/// What a call that was let in has taken: enough to give it back exactly.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TakenTokens {
    /// The price, in the units of the bucket's time scale.
    pub(super) units: Word,
    /// When time has paid for it.
    pub(super) until: Tat,
}

impl TakenTokens {
    pub(super) const NONE: Self = Self { units: 0, until: Tat::UNSTARTED };
}

impl fmt::Debug for TakenTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TakenTokens").field("units", &self.units).finish_non_exhaustive()
    }
}

/// A bucket seen as a gate for so many tokens per call; see [`TokenBucket::of`].
#[must_use]
pub struct Tokens<'a, C> {
    pub(super) bucket: &'a TokenBucket<C>,
    pub(super) tokens: u32,
}

impl<C: Clock> TokenBucket<C> {
    /// The bucket as a gate at which each call takes `tokens` tokens, where the bucket itself is
    /// one at which it takes one.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BucketConfig, Gate, ManualClock, TokenBucket};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let bytes = TokenBucket::new(BucketConfig::per_second(1_000).burst(1_500), &clock);
    /// let packet = [0; 600];
    /// let sent = bytes.of(packet.len() as u32).call(|| Ok::<_, ()>("sent"));
    /// assert_eq!(sent, Ok("sent"));
    /// assert_eq!(bytes.peek(), 900);
    /// ```
    pub const fn of(&self, tokens: u32) -> Tokens<'_, C> {
        Tokens { bucket: self, tokens }
    }

    /// Takes `tokens` tokens, and completes when they are there.
    ///
    /// The turn is reserved when the future is first polled; the turns of several callers come in
    /// the order of those polls. The timer may run on another clock than the bucket.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), at once: it never waits in vain.
    ///
    /// # Cancellation
    ///
    /// Dropping it while it waits gives the tokens back. **Cancel safety:** Strict.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BucketConfig, ManualClock, TokenBucket};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(5), &clock);
    /// assert!(bucket.acquire(&clock, 5).await.is_ok());
    /// # });
    /// ```
    pub fn acquire<T: Timer>(&self, timer: T, tokens: u32) -> AcquireTokens<'_, C, T> {
        self.acquire_before(timer, tokens, Deadline::NEVER)
    }

    /// As [`acquire`](Self::acquire), where the tokens are there by `deadline`, an instant of
    /// `timer`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and
    /// [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded), at once, where they are not.
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire). **Cancel safety:** Strict.
    pub fn acquire_before<T: Timer>(
        &self,
        timer: T,
        tokens: u32,
        deadline: Deadline,
    ) -> AcquireTokens<'_, C, T> {
        Acquiring::new(self.of(tokens), timer, Patience::Until(deadline))
    }

    /// As [`acquire`](Self::acquire), where the tokens are there within `limit` of the first poll.
    ///
    /// With a `limit` of zero it does not wait, but takes tokens that are there.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire): it refuses as a bucket whose `max_wait` is `limit` would,
    /// unless its own is shorter.
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire). **Cancel safety:** Strict.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{BucketConfig, ManualClock, Reason, TokenBucket};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(5), &clock);
    /// bucket.try_acquire(5).unwrap();
    ///
    /// let late = bucket.acquire_timeout(&clock, 1, Duration::from_millis(60)).await.unwrap_err();
    /// assert_eq!(late.reason(), Reason::RateLimited);
    /// // Then a wait of 60 ms will do.
    /// let come_back = late.retry_after().unwrap().as_millis();
    /// assert!((40..=41).contains(&come_back));
    /// # });
    /// ```
    pub fn acquire_timeout<T: Timer>(
        &self,
        timer: T,
        tokens: u32,
        limit: Duration,
    ) -> AcquireTokens<'_, C, T> {
        Acquiring::new(self.of(tokens), timer, Patience::For(limit))
    }

    fn leave(&self, token: TakenTokens, tokens: u32, outcome: Outcome) {
        // What has run was a call, however it ended. Only one that was never made costs nothing.
        if outcome == Outcome::Refused {
            self.give_back(&self.tat, token, tokens, self.clock.now());
        }
    }
}

impl<C: Clock> Gate for TokenBucket<C> {
    type Token = TakenTokens;

    #[inline]
    fn enter(&self) -> Result<TakenTokens, Rejection> {
        self.of(1).enter()
    }

    #[inline]
    fn exit(&self, token: TakenTokens, outcome: Outcome) {
        self.leave(token, 1, outcome);
    }
}

/// Full, and has been for the longest lateness: see `is_full_for_all`.
impl<C: Clock> Idle for TokenBucket<C> {
    fn is_idle(&self) -> bool {
        self.is_full_for_all(&self.tat, self.clock.now())
    }
}

impl<C: Clock, T: Timer> WaitGate<T> for TokenBucket<C> {
    type Waiting = Reserved<T::Sleep>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<TakenTokens, Rejection>> {
        self.of(1).poll_enter(waiting, timer, until, cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, _timer: &T) {
        waiting.cancel(&self.of(1));
    }
}

impl<C: Clock> Gate for Tokens<'_, C> {
    type Token = TakenTokens;

    #[inline]
    fn enter(&self) -> Result<TakenTokens, Rejection> {
        let bucket = self.bucket;
        bucket.take(&bucket.tat, self.tokens, bucket.clock.now(), 0).map(|taken| taken.tokens)
    }

    #[inline]
    fn exit(&self, token: TakenTokens, outcome: Outcome) {
        self.bucket.leave(token, self.tokens, outcome);
    }
}

impl<C: Clock, T: Timer> WaitGate<T> for Tokens<'_, C> {
    type Waiting = Reserved<T::Sleep>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<TakenTokens, Rejection>> {
        waiting.poll(self, timer, Patience::Until(until), cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, _timer: &T) {
        waiting.cancel(self);
    }
}

impl<C> Clone for Tokens<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Tokens<'_, C> {}

impl<C> fmt::Debug for Tokens<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}
