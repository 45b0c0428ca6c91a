//! Hedges in pipelines.

use super::policy::{Hedge, HedgePolicy};
use super::run::HedgeLoop;
use crate::retry::{AttemptKind, AttemptPolicy, Operation, PerAttempt};

/// Attempts side by side; see [`AttemptPolicy`].
#[derive(Clone, Copy, Debug)]
pub struct SideBySide;

impl<const N: usize, D, W, B, O, V> AttemptPolicy for Hedge<N, D, W, B, O, V> {
    type Kind = SideBySide;
}

impl<X, F> AttemptKind<X, F> for SideBySide
where
    X: PerAttempt<F>,
    X::Policy: HedgePolicy<X::Timer, F::Value, F::Error>,
    F: Operation,
{
    type Attempts = HedgeLoop<X, F>;
}
