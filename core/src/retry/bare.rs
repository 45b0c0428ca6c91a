//! No pipeline around the attempts.

use super::attempt::PerAttempt;
use super::operation::Operation;
use crate::deadline::Deadline;
use crate::event::Event;
use crate::gate::ResultClassify;
use crate::time::Timer;

/// What is around the attempts of a retry or a hedge alone.
pub(crate) struct Bare<T, R> {
    pub(crate) timer: T,
    pub(crate) policy: R,
}

impl<T: Timer, R, F: Operation> PerAttempt<F> for Bare<T, R> {
    type Timer = T;
    type Policy = R;
    type Gate = ();
    type Classify = ResultClassify;

    #[inline]
    fn timer(&self) -> &T {
        &self.timer
    }

    #[inline]
    fn policy(&self) -> &R {
        &self.policy
    }

    #[inline]
    fn gate(&self) -> &() {
        &()
    }

    #[inline]
    fn classify(&self) -> &ResultClassify {
        &ResultClassify
    }

    #[inline]
    fn cut_off(&self, deadline: Deadline) -> Deadline {
        deadline
    }

    #[inline]
    fn count_cut_off(&self) {}

    /// The policy has told its own observer.
    #[inline]
    fn report(&self, _event: impl FnOnce(&'static str) -> Event<'static>) {}
}
