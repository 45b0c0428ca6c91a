//! Tokens in bulk, to be spent without atomics.
//!
//! A lease takes several tokens from the bucket with one compare-and-swap and counts them out in
//! plain memory. What is left when it ends goes back by the rule by which every bucket gives back
//! (`bucket.rs`, "Giving back"): as far as time has not paid for it, so that a lease that was held
//! for long adds nothing to the burst.

use core::cell::Cell;
use core::fmt;
use core::ops::Deref;

use super::gate::TakenTokens;
use super::state::Tat;
use super::{TokenBucket, View};
use crate::error::{Reason, Rejection};
use crate::gate::{Gate, Outcome};
use crate::time::{Clock, Ticks};

/// Tokens of a [`TokenBucket`] that one thread, task or connection spends by itself, without
/// touching what others share.
///
/// Where it runs out, it takes as many again, or as many as there are; where there are none it
/// refuses, as the bucket does. It is a [`Gate`] for one token per call. What is left goes back
/// when it is dropped or by [`give_back`](Self::give_back).
///
/// Tokens that wait in leases are missing in the bucket, so others may be refused while a lease
/// still has some; and they may be spent at once with a burst for which the bucket has filled up
/// meanwhile. So let a lease be a small part of the burst: what comes at once is at most the burst
/// and the leases together, and over time the rate holds whatever the leases are.
///
/// `R` is how the bucket is held: `&TokenBucket<C>`, or `Arc<TokenBucket<C>>` for a connection that
/// owns its lease.
///
/// # Examples
///
/// ```
/// use fusebox_core::{BucketConfig, Gate, ManualClock, TokenBucket};
///
/// let clock: ManualClock = ManualClock::new();
/// let rows = TokenBucket::new(BucketConfig::per_second(1_000), &clock);
///
/// let lease = rows.lease(64);
/// for _ in 0..10 {
///     lease.call(|| Ok::<_, ()>("a row")).unwrap();
/// }
/// assert_eq!((lease.left(), rows.peek()), (54, 936));
/// drop(lease);
/// assert_eq!(rows.peek(), 990);
/// ```
///
/// # Interrupt safety
///
/// A lease belongs to one context, which the compiler sees to: it is not [`Sync`]. An interrupt
/// that needs tokens has a lease of its own or asks the bucket.
#[must_use = "a lease that is dropped gives its tokens back"]
pub struct Lease<R, C>
where
    R: Deref<Target = TokenBucket<C>>,
    C: Clock,
{
    bucket: R,
    /// How many tokens it takes at a time.
    size: u32,
    left: Cell<u32>,
    /// What the last renewal took, for giving back.
    taken: Cell<TakenTokens>,
}

impl<C: Clock> TokenBucket<C> {
    /// A lease that takes `tokens` tokens at a time, or as many as there are: none yet, but with
    /// the first that is asked for.
    ///
    /// More than the bucket holds are never there; one at a time saves nothing, and 0 counts as 1.
    pub const fn lease(&self, tokens: u32) -> Lease<&Self, C> {
        Lease::new(self, tokens)
    }

    /// Takes as many of `tokens` as there are, at least one.
    fn take_up_to(&self, tokens: u32, now: Ticks) -> Result<(u32, TakenTokens), Rejection> {
        let at = self.scale.units(now);
        loop {
            let view = self.view(at);
            let there = view.limits.available(view.debt).min(tokens);
            if there == 0 {
                return Err(self.refusal_of(view, 1, now));
            }
            let price = view.limits.price(there);
            let next = Tat::new(at.wrapping_add(view.debt.saturating_add(price)), view.seen.slot());
            if Self::replace(&self.tat, view.seen, next).is_ok() {
                return Ok((there, TakenTokens { units: price, until: next }));
            }
        }
    }
}

impl<R, C> Lease<R, C>
where
    R: Deref<Target = TokenBucket<C>>,
    C: Clock,
{
    /// A lease of `bucket`, as [`TokenBucket::lease`].
    pub const fn new(bucket: R, tokens: u32) -> Self {
        let size = if tokens == 0 { 1 } else { tokens };
        Self { bucket, size, left: Cell::new(0), taken: Cell::new(TakenTokens::NONE) }
    }

    /// Spends `tokens` tokens, all or none, and renews the lease where it has too few left.
    ///
    /// # Errors
    ///
    /// [`Reason::RateLimited`] where the bucket has too few, with the time until it will have;
    /// [`Reason::ExceedsBurst`] for more than the bucket ever holds. A lease of fewer tokens than
    /// are asked for takes what is asked for.
    #[inline]
    pub fn try_acquire(&self, tokens: u32) -> Result<(), Rejection> {
        let left = self.left.get();
        if left >= tokens {
            self.left.set(left - tokens);
            return Ok(());
        }
        self.renew_and_acquire(tokens)
    }

    /// How many tokens it has left.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left.get()
    }

    /// Gives back what is left; the next token that is asked for renews the lease.
    pub fn give_back(&self) {
        self.give_back_at(self.bucket.clock.now());
    }

    /// [`give_back`](Self::give_back) at a time of the caller's choice.
    pub fn give_back_at(&self, now: Ticks) {
        let left = self.left.replace(0);
        if left > 0 {
            self.bucket.give_back(&self.bucket.tat, self.taken.get(), left, now);
        }
    }

    #[cold]
    fn renew_and_acquire(&self, tokens: u32) -> Result<(), Rejection> {
        let now = self.bucket.clock.now();
        // What is left is part of what is asked for anew: two lots in one lease could not be told
        // apart when they go back.
        self.give_back_at(now);
        let wanted = self.size.max(tokens);
        let (there, taken) = self.bucket.take_up_to(wanted, now)?;
        self.taken.set(taken);
        self.left.set(there);
        match there.checked_sub(tokens) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.give_back_at(now);
                Err(self.bucket.refusal(tokens, now))
            }
        }
    }
}

impl<C: Clock> TokenBucket<C> {
    /// Why `tokens` tokens are not there now.
    fn refusal(&self, tokens: u32, now: Ticks) -> Rejection {
        self.refusal_of(self.view(self.scale.units(now)), tokens, now)
    }

    fn refusal_of(&self, view: View, tokens: u32, now: Ticks) -> Rejection {
        let (price, tolerance) = (view.limits.price(tokens), view.limits.tolerance());
        if price > tolerance {
            return Rejection::new(Reason::ExceedsBurst);
        }
        self.limited(view.debt.saturating_add(price).saturating_sub(tolerance), now)
    }
}

impl<R, C> Gate for Lease<R, C>
where
    R: Deref<Target = TokenBucket<C>>,
    C: Clock,
{
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.try_acquire(1)
    }

    #[inline]
    fn exit(&self, (): (), outcome: Outcome) {
        if outcome == Outcome::Refused {
            // It never ran: its token is the lease's again, which has room for it.
            self.left.set(self.left.get().saturating_add(1));
        }
    }
}

impl<R, C> Drop for Lease<R, C>
where
    R: Deref<Target = TokenBucket<C>>,
    C: Clock,
{
    fn drop(&mut self) {
        if self.left.get() > 0 {
            self.give_back();
        }
    }
}

impl<R, C> fmt::Debug for Lease<R, C>
where
    R: Deref<Target = TokenBucket<C>>,
    C: Clock,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("left", &self.left()).field("size", &self.size).finish()
    }
}
