//! Waiting for tokens: reservations, and the bucket as a limiter that hands out turns.

use core::fmt;
use core::time::Duration;

use super::gate::Tokens;
use super::{Taken, TakenTokens, TokenBucket};
use crate::error::{Reason, Rejection};
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::turns::{Acquiring, Turns, reach};

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
            self.bucket.give_back(&self.bucket.tat, taken, self.tokens, now);
        }
    }
}

impl<C: Clock> Drop for Reservation<'_, C> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.bucket.give_back(&self.bucket.tat, taken, self.tokens, self.bucket.clock.now());
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

/// The future of [`TokenBucket::acquire`], [`TokenBucket::acquire_before`] and
/// [`TokenBucket::acquire_timeout`].
pub type AcquireTokens<'a, C, T> = Acquiring<Tokens<'a, C>, T>;

impl<C: Clock> Turns for Tokens<'_, C> {
    type Clock = C;
    type Turn = TakenTokens;

    #[inline]
    fn clock(&self) -> &C {
        &self.bucket.clock
    }

    #[inline]
    fn take_turn(&self, within: Option<u64>, now: Ticks) -> Result<(TakenTokens, u64), Rejection> {
        let bucket = self.bucket;
        let reach = reach(bucket.scale, bucket.max_wait, within, now);
        let taken = bucket.take(&bucket.tat, self.tokens, now, reach)?;
        Ok((taken.tokens, bucket.ticks_until(taken.wait, now)))
    }

    fn too_late(&self, now: Ticks) -> Rejection {
        let bucket = self.bucket;
        let view = bucket.view(bucket.scale.units(now));
        let needed = view.debt.saturating_add(view.limits.price(self.tokens));
        let reach = view.limits.tolerance().saturating_add(bucket.max_wait);
        match needed.checked_sub(reach) {
            None | Some(0) => Rejection::new(Reason::DeadlineExceeded),
            Some(missing) => bucket.limited(missing, now),
        }
    }

    fn give_back_turn(&self, turn: TakenTokens, now: Ticks) {
        self.bucket.give_back(&self.bucket.tat, turn, self.tokens, now);
    }

    fn is_free(&self) -> bool {
        self.tokens == 0
    }
}
