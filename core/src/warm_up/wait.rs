//! The warm-up limiter as a gate, and waiting for its turns.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::{WarmUp, WarmedUp};
use crate::deadline::Deadline;
use crate::error::{Reason, Rejection};
use crate::gate::{Gate, Idle, Outcome, WaitGate};
use crate::time::{Clock, Ticks, Timer};
use crate::turns::{Acquiring, Patience, Reserved, Turns, reach};

impl<C: Clock> WarmUp<C> {
    /// Takes the next turn, and completes when it comes.
    ///
    /// The turn is taken when the future is first polled; the turns of several callers come in the
    /// order of those polls. The timer may run on another clock than the limiter.
    ///
    /// # Errors
    ///
    /// [`Reason::RateLimited`], at once, where the next turn is further away than the configured
    /// [`max_wait`](crate::WarmUpConfig::max_wait); the time to come back is when it no longer is.
    ///
    /// # Cancellation
    ///
    /// Dropping it while it waits undoes it, unless somebody has taken the turn after: then its own
    /// goes unused, as nobody may come sooner than the pace allows. **Cancel safety:** Strict, but
    /// for that turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{ManualClock, Rate, WarmUp, WarmUpConfig};
    ///
    /// # pollster::block_on(async {
    /// # let clock: ManualClock = ManualClock::new();
    /// # let timer = &clock;
    /// let config = WarmUpConfig::new(Rate::per_second(50), Duration::from_secs(10));
    /// let replica = WarmUp::new(config, &clock);
    /// // Each of a hundred waits for its turn, later and later.
    /// replica.acquire(timer).await?;
    /// # Ok::<_, fusebox_core::Rejection>(())
    /// # }).unwrap();
    /// ```
    pub fn acquire<T: Timer>(&self, timer: T) -> Acquiring<&Self, T> {
        self.acquire_before(timer, Deadline::NEVER)
    }

    /// As [`acquire`](Self::acquire), where the turn comes by `deadline`, an instant of `timer`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`Reason::DeadlineExceeded`], at once, where it does not.
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_before<T: Timer>(&self, timer: T, deadline: Deadline) -> Acquiring<&Self, T> {
        Acquiring::new(self, timer, Patience::Until(deadline))
    }

    /// As [`acquire`](Self::acquire), where the turn comes within `limit` of the first poll.
    ///
    /// With a `limit` of zero it does not wait, but takes a turn that has come.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire): it refuses as a limiter whose `max_wait` is `limit` would,
    /// unless its own is shorter.
    ///
    /// # Cancellation
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_timeout<T: Timer>(&self, timer: T, limit: Duration) -> Acquiring<&Self, T> {
        Acquiring::new(self, timer, Patience::For(limit))
    }
}

impl<C: Clock> Turns for &WarmUp<C> {
    type Clock = C;
    type Turn = WarmedUp;

    #[inline]
    fn clock(&self) -> &C {
        &self.clock
    }

    #[inline]
    fn take_turn(&self, within: Option<u64>, now: Ticks) -> Result<(WarmedUp, u64), Rejection> {
        let reach = reach(self.fitted.scale, self.fitted.max_wait, within, now);
        let (call, left) = self.take(now, reach)?;
        Ok((call, self.ticks_until(left, now)))
    }

    fn too_late(&self, now: Ticks) -> Rejection {
        let left = self.left(self.load(), self.fitted.scale.units(now));
        match left.checked_sub(self.fitted.max_wait) {
            None | Some(0) => Rejection::new(Reason::DeadlineExceeded),
            Some(missing) => self.limited(missing, now),
        }
    }

    fn give_back_turn(&self, turn: WarmedUp, _now: Ticks) {
        self.give_back(turn);
    }
}

/// Idle when it is as cold as a new one, to late readers too.
impl<C: Clock> Idle for WarmUp<C> {
    fn is_idle(&self) -> bool {
        let latest = self.fitted.scale.units(self.clock.now()).wrapping_sub(self.fitted.lateness);
        let seen = self.load();
        self.left(seen, latest) == 0 && self.cooled(seen, latest) >= self.fitted.warm_up
    }
}

impl<C: Clock> Gate for WarmUp<C> {
    type Token = WarmedUp;

    #[inline]
    fn enter(&self) -> Result<WarmedUp, Rejection> {
        self.take(self.clock.now(), 0).map(|(call, _)| call)
    }

    #[inline]
    fn exit(&self, token: WarmedUp, outcome: Outcome) {
        // What has run was a call, however it ended. Only one that was never made costs nothing.
        if outcome == Outcome::Refused {
            self.give_back(token);
        }
    }
}

impl<C: Clock, T: Timer> WaitGate<T> for WarmUp<C> {
    type Waiting = Reserved<T::Sleep, WarmedUp>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<WarmedUp, Rejection>> {
        waiting.poll(&self, timer, Patience::Until(until), cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, _timer: &T) {
        waiting.cancel(&self);
    }
}
