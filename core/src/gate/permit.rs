//! What an admitted call holds.

use core::fmt;
use core::ops::Deref;

use super::{Gate, Outcome};
use crate::error::Rejection;
use crate::on_drop::OnDrop;

/// An admission that is given back exactly once: by [`finish`](Permit::finish) with an outcome, or
/// by being dropped as [`Outcome::Abandoned`].
///
/// `R` is how the gate is held: `&G`, `&'static G`, `Arc<G>`.
#[must_use = "dropping a permit abandons the call"]
pub struct Permit<R>
where
    R: Deref,
    R::Target: Gate,
{
    gate: R,
    held: Held<<R::Target as Gate>::Token>,
}

impl<R> Permit<R>
where
    R: Deref,
    R::Target: Gate,
{
    /// Asks the gate to let a call in.
    ///
    /// # Errors
    ///
    /// As [`Gate::enter`].
    #[inline]
    pub fn enter(gate: R) -> Result<Self, Rejection> {
        let token = gate.enter()?;
        Ok(Self::adopt(gate, token))
    }

    /// Takes charge of a token that `gate` handed out and that nobody else will give back.
    #[inline]
    pub fn adopt(gate: R, token: <R::Target as Gate>::Token) -> Self {
        Self { gate, held: Held(Some(token)) }
    }

    /// Tells the gate how the call ended.
    #[inline]
    pub fn finish(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// The call succeeded.
    #[inline]
    pub fn success(self) {
        self.finish(Outcome::Success);
    }

    /// The call failed.
    #[inline]
    pub fn failure(self) {
        self.finish(Outcome::Failure);
    }

    /// The call ended in a way that says nothing about what it called.
    #[inline]
    pub fn ignore(self) {
        self.finish(Outcome::Ignored);
    }

    /// The gate that let the call in.
    #[must_use]
    pub fn gate(&self) -> &R::Target {
        &self.gate
    }

    /// A permit that holds nothing yet. A future keeps one from the start, as filling it in place
    /// is cheaper than moving it there.
    #[inline]
    pub(crate) const fn idle(gate: R) -> Self {
        Self { gate, held: Held::NOTHING }
    }

    /// Takes charge of a token, in place of nothing.
    #[inline]
    pub(crate) fn hold(&mut self, token: <R::Target as Gate>::Token) {
        self.held.hold(token);
    }

    /// Whether it holds anything.
    #[inline]
    pub(crate) const fn is_held(&self) -> bool {
        self.held.is_held()
    }

    /// Runs `work`; should it panic, the call counts as failed.
    #[inline]
    pub(crate) fn watch<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.held.watch(&*self.gate, work)
    }

    /// [`finish`](Self::finish) in place.
    #[inline]
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.held.end(&*self.gate, outcome);
    }
}

impl<R> Drop for Permit<R>
where
    R: Deref,
    R::Target: Gate,
{
    #[inline]
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}

impl<R> fmt::Debug for Permit<R>
where
    R: Deref,
    R::Target: Gate,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("held", &self.held.is_held()).finish_non_exhaustive()
    }
}

/// What a call holds of a gate that is kept elsewhere: a [`Permit`] without its gate, which must be
/// given back by hand.
///
/// There is a token from when the call was let in until it is finished.
pub(crate) struct Held<K>(Option<K>);

impl<K: Copy> Held<K> {
    pub(crate) const NOTHING: Self = Self(None);

    #[inline]
    pub(crate) fn hold(&mut self, token: K) {
        self.0 = Some(token);
    }

    #[inline]
    pub(crate) const fn is_held(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the gate how the call ended, where it holds anything.
    #[inline]
    pub(crate) fn end<G: Gate<Token = K> + ?Sized>(&mut self, gate: &G, outcome: Outcome) {
        if let Some(token) = self.0.take() {
            gate.exit(token, outcome);
        }
    }

    /// Runs `work`; should it panic, the call counts as failed.
    #[inline]
    pub(crate) fn watch<G: Gate<Token = K> + ?Sized, T>(
        &mut self,
        gate: &G,
        work: impl FnOnce() -> T,
    ) -> T {
        let panicked = OnDrop(|| self.end(gate, Outcome::Failure));
        let result = work();
        core::mem::forget(panicked);
        result
    }
}
