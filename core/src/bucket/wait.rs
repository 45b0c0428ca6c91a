//! Waiting for tokens: reservations and the futures made of them.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use pin_project_lite::pin_project;

use super::{Taken, TakenTokens, TokenBucket};
use crate::deadline::Deadline;
use crate::error::{Reason, Rejection};
use crate::time::{Clock, Ticks, Timer, duration_from_ticks, ticks_from_duration};
use crate::word::Word;

/// Tokens that are taken and will be there at a known time.
///
/// [`commit`](Self::commit) keeps them; otherwise they go back when it is dropped.
#[must_use = "dropping a reservation gives its tokens back"]
pub struct Reservation<'a, C: Clock> {
    bucket: &'a TokenBucket<C>,
    tokens: u32,
    /// Present until it is known whether the tokens are used.
    taken: Option<TakenTokens>,
    wait: u64,
    ready: Ticks,
}

impl<'a, C: Clock> Reservation<'a, C> {
    pub(super) fn new(bucket: &'a TokenBucket<C>, tokens: u32, taken: Taken, now: Ticks) -> Self {
        let wait = bucket.ticks_until(taken.wait, now);
        let ready = now.wrapping_add(wait);
        Self { bucket, tokens, taken: Some(taken.tokens), wait, ready }
    }

    /// How long after the reservation was made the tokens are there, rounded up to the nanosecond.
    #[must_use]
    pub fn wait(&self) -> Duration {
        duration_from_ticks(self.wait, C::TICKS_PER_SECOND)
    }

    /// When the tokens are there, in the time of the bucket's clock.
    #[must_use]
    pub fn ready_at(&self) -> Ticks {
        self.ready
    }

    /// How many tokens are reserved.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Keeps the tokens: they will be used when they are there.
    pub fn commit(mut self) {
        self.taken = None;
    }

    /// Gives the tokens back, as dropping it does.
    pub fn cancel(self) {}

    /// [`cancel`](Self::cancel) at a time of the caller's choice.
    pub fn cancel_at(mut self, now: Ticks) {
        if let Some(taken) = self.taken.take() {
            self.bucket.give_back(taken, self.tokens, now);
        }
    }
}

impl<C: Clock> Drop for Reservation<'_, C> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.bucket.give_back(taken, self.tokens, self.bucket.clock.now());
        }
    }
}

impl<C: Clock> fmt::Debug for Reservation<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("tokens", &self.tokens)
            .field("wait", &self.wait())
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

/// `ticks` of a clock at `from` per second, in ticks of one at `to` per second.
fn convert(ticks: u64, from: u64, to: u64, round_up: bool) -> u64 {
    // Both are constants where this is inlined; the same clock, the common case, needs no division.
    if from == to {
        return ticks;
    }
    let (product, from) = (u128::from(ticks) * u128::from(to), u128::from(from.max(1)));
    let converted = if round_up { product.div_ceil(from) } else { product / from };
    u64::try_from(converted).unwrap_or(u64::MAX)
}

impl<C: Clock> TokenBucket<C> {
    /// Reserves `tokens` for a task that waits with `timer`, and says when to wake it.
    fn reserve_for<T: Timer>(
        &self,
        tokens: u32,
        timer: &T,
        patience: Patience,
    ) -> Result<(Reservation<'_, C>, Ticks), Rejection> {
        // In this order: the wait is counted from a reading that is no earlier than the one it was
        // reckoned from, so that it does not end early.
        // A timer of other ticks may read up to one of them behind the bucket's clock: that one is
        // waited for as well.
        let behind = u64::from(T::TICKS_PER_SECOND != C::TICKS_PER_SECOND);
        let now = self.clock.now();
        let timer_now = timer.now();
        let taken = match patience {
            Patience::For(limit) => {
                let ticks = ticks_from_duration(limit, C::TICKS_PER_SECOND);
                self.take(tokens, now, self.reach(ticks, now))?
            }
            Patience::Until(until) if until.is_never() => self.take(tokens, now, self.max_wait)?,
            Patience::Until(until) if tokens != 0 && until.expired_at(timer_now) => {
                return Err(Rejection::new(Reason::DeadlineExceeded));
            }
            Patience::Until(until) => {
                let left = until.ticks().saturating_since(timer_now).saturating_sub(behind);
                let left = convert(left, T::TICKS_PER_SECOND, C::TICKS_PER_SECOND, false);
                let reach = self.reach(left, now);
                self.take(tokens, now, reach).map_err(|refusal| {
                    if refusal.reason() == Reason::RateLimited && reach < self.max_wait {
                        self.too_late(tokens, now)
                    } else {
                        refusal
                    }
                })?
            }
        };
        let reservation = Reservation::new(self, tokens, taken, now);
        let wait = convert(reservation.wait, C::TICKS_PER_SECOND, T::TICKS_PER_SECOND, true);
        Ok((reservation, timer_now.saturating_add(wait.saturating_add(behind))))
    }

    /// How far ahead of what is there tokens may be taken by a task that waits for `ticks`.
    fn reach(&self, ticks: u64, now: Ticks) -> Word {
        let units = self.scale.units_within(ticks, now);
        Word::try_from(units).unwrap_or(Word::MAX).min(self.max_wait)
    }

    /// Why tokens that are not there by a deadline are refused: it is too near, unless they could
    /// not have been waited for without it either.
    fn too_late(&self, tokens: u32, now: Ticks) -> Rejection {
        let view = self.view(self.scale.units(now));
        let needed = view.debt.saturating_add(view.limits.price(tokens));
        let reach = view.limits.tolerance().saturating_add(self.max_wait);
        if needed <= reach {
            Rejection::new(Reason::DeadlineExceeded)
        } else {
            self.limited(needed - reach, now)
        }
    }
}

/// How long a task waits; never longer than the bucket's `max_wait`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// This long after the first poll.
    For(Duration),
    Until(Deadline),
}

pin_project! {
    /// The wait of a [`TokenBucket`] as a [`WaitGate`](crate::WaitGate): tokens that are taken, and
    /// will be there when the sleep is over.
    #[derive(Debug)]
    pub struct Reserved<S> {
        taken: Option<TakenTokens>,
        #[pin]
        sleep: Option<S>,
    }
}

impl<S> Default for Reserved<S> {
    #[inline]
    fn default() -> Self {
        Self { taken: None, sleep: None }
    }
}

impl<S: Future<Output = ()>> Reserved<S> {
    /// Waits for `tokens` tokens of `bucket`.
    pub(super) fn poll<C: Clock, T: Timer<Sleep = S>>(
        self: Pin<&mut Self>,
        bucket: &TokenBucket<C>,
        tokens: u32,
        timer: &T,
        patience: Patience,
        cx: &mut Context<'_>,
    ) -> Poll<Result<TakenTokens, Rejection>> {
        let mut this = self.project();
        if this.taken.is_none() {
            let (mut turn, at) = bucket.reserve_for(tokens, timer, patience)?;
            // What is there already needs no timer.
            if turn.wait > 0 {
                this.sleep.set(Some(timer.sleep_until(at)));
            }
            *this.taken = turn.taken.take();
        }
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
            this.sleep.set(None);
        }
        // The caller owns the tokens from here on.
        Poll::Ready(Ok(this.taken.take().unwrap_or(TakenTokens::NONE)))
    }
}

impl<S> Reserved<S> {
    /// Gives the tokens back, where the wait holds any.
    pub(super) fn cancel<C: Clock>(self: Pin<&mut Self>, bucket: &TokenBucket<C>, tokens: u32) {
        if let Some(taken) = self.project().taken.take() {
            bucket.give_back(taken, tokens, bucket.clock.now());
        }
    }
}

pin_project! {
    /// The future of [`TokenBucket::acquire`], [`TokenBucket::acquire_before`] and
    /// [`TokenBucket::acquire_timeout`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AcquireTokens<'a, C, T>
    where
        C: Clock,
        T: Timer,
    {
        bucket: &'a TokenBucket<C>,
        tokens: u32,
        timer: T,
        patience: Patience,
        #[pin]
        reserved: Reserved<T::Sleep>,
        // Has had its answer: polled again, it has none left, and stays pending.
        done: bool,
    }

    impl<C: Clock, T: Timer> PinnedDrop for AcquireTokens<'_, C, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.reserved.cancel(this.bucket, *this.tokens);
        }
    }
}

impl<'a, C: Clock, T: Timer> AcquireTokens<'a, C, T> {
    pub(super) fn new(
        bucket: &'a TokenBucket<C>,
        tokens: u32,
        timer: T,
        patience: Patience,
    ) -> Self {
        Self { bucket, tokens, timer, patience, reserved: Reserved::default(), done: false }
    }
}

impl<C: Clock, T: Timer> Future for AcquireTokens<'_, C, T> {
    type Output = Result<(), Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.done {
            return Poll::Pending;
        }
        let reserved = this.reserved;
        let answer = reserved.poll(this.bucket, *this.tokens, this.timer, *this.patience, cx);
        *this.done = answer.is_ready();
        answer.map_ok(|_| ())
    }
}

impl<C: Clock, T: Timer> fmt::Debug for AcquireTokens<'_, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireTokens")
            .field("tokens", &self.tokens)
            .field("patience", &self.patience)
            .field("taken", &self.reserved.taken)
            .finish_non_exhaustive()
    }
}
