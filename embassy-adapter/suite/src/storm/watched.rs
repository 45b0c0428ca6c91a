//! The storm's primitives as gates that note in a worker what they hand out.

use core::pin::Pin;
use core::task::{Context, Poll};

use fusebox_core::{
    Budget, Clock, Deadline, Gate, Outcome, Queue, Queued, Rejection, RetryBudget, Semaphore,
    State, Taken, TakenTokens, Timer, TokenBucket, WaitGate, Window,
};

use super::gauge::{Gauge, Probes};
use super::tally::{CallTallies, Tally};
use super::{Breaker, CREDIT, PLACES, Worker};

/// A breaker. It counts its probes, which only a look from outside can.
pub(super) struct WatchedBreaker<'a, C, W> {
    pub(super) breaker: &'a Breaker<C, W>,
    pub(super) probes: &'a Probes,
    pub(super) tallies: &'a CallTallies,
    pub(super) worker: &'a Worker,
}

impl<C: Clock, W: Window<C>> WatchedBreaker<'_, C, W> {
    /// The state and its generation, where a call that is let in may be a probe.
    fn look(&self) -> Option<(State, u16)> {
        // Cheap, as most looks end here.
        if !matches!(self.breaker.state(), State::Open | State::HalfOpen) {
            return None;
        }
        let now = self.breaker.snapshot();
        Some((now.state, now.generation))
    }

    /// The generation that a call which was let in since then is certainly a probe of.
    fn is_probe(&self, (then, before): (State, u16)) -> Option<u16> {
        let (State::HalfOpen, now) = self.look()? else { return None };
        // Generations wrap, where words are narrow after 64 of them.
        let next = before.wrapping_add(1);
        let follows = now == next || (now == 0 && next.is_power_of_two());
        match then {
            State::HalfOpen if now == before => Some(now),
            // Whoever finds the open time over begins the next generation; till then nobody is let
            // in.
            State::Open if follows => Some(now),
            _ => None,
        }
    }
}

impl<C: Clock, W: Window<C>> Gate for WatchedBreaker<'_, C, W> {
    /// With the generation of a call that is certainly a probe.
    type Token = (<Breaker<C, W> as Gate>::Token, Option<u16>);

    fn enter(&self) -> Result<Self::Token, Rejection> {
        let before = self.look();
        match self.breaker.enter() {
            Ok(token) => {
                // Where another generation has begun meanwhile, nobody can tell.
                let probe = before.and_then(|before| self.is_probe(before));
                if let Some(generation) = probe {
                    self.worker.add(self.tallies.probes, 1);
                    self.worker.most(self.tallies.most_probes, self.probes.raise(generation));
                }
                Ok((token, probe))
            }
            Err(rejection) => {
                self.worker.add(self.tallies.refused, 1);
                Err(rejection)
            }
        }
    }

    fn exit(&self, (token, probe): Self::Token, outcome: Outcome) {
        if let Some(generation) = probe {
            self.probes.lower(generation);
        }
        self.breaker.exit(token, outcome);
        match outcome {
            Outcome::Success => self.worker.add(self.tallies.succeeded, 1),
            Outcome::Failure => self.worker.add(self.tallies.failed, 1),
            Outcome::Ignored | Outcome::Abandoned => self.worker.add(self.tallies.ignored, 1),
            Outcome::Refused => {}
        }
    }
}

/// A bucket.
pub(super) struct WatchedBucket<'a, C> {
    pub(super) bucket: &'a TokenBucket<C>,
    pub(super) worker: &'a Worker,
}

impl<C: Clock> Gate for WatchedBucket<'_, C> {
    type Token = TakenTokens;

    fn enter(&self) -> Result<TakenTokens, Rejection> {
        match self.bucket.enter() {
            Ok(token) => {
                self.worker.add(Tally::Granted, 1);
                Ok(token)
            }
            Err(rejection) => {
                self.worker.add(Tally::Limited, 1);
                Err(rejection)
            }
        }
    }

    fn exit(&self, token: TakenTokens, outcome: Outcome) {
        self.bucket.exit(token, outcome);
        // A call that never ran gives its token back.
        if outcome == Outcome::Refused {
            self.worker.add(Tally::Granted, u32::MAX);
        }
    }
}

/// A semaphore.
#[derive(Clone, Copy)]
pub(super) struct WatchedPermits<'a> {
    pub(super) permits: &'a Semaphore<Queue<PLACES>>,
    pub(super) out: &'a Gauge,
    pub(super) n: u32,
    pub(super) worker: &'a Worker,
}

impl WatchedPermits<'_> {
    fn taken(&self, taken: Taken) -> Taken {
        self.worker.most(Tally::MostPermits, self.out.raise(taken.permits()));
        taken
    }
}

impl Gate for WatchedPermits<'_> {
    type Token = Taken;

    fn enter(&self) -> Result<Taken, Rejection> {
        self.permits.of(self.n).enter().map(|taken| self.taken(taken))
    }

    fn exit(&self, token: Taken, outcome: Outcome) {
        self.out.lower(token.permits());
        self.permits.exit(token, outcome);
        self.worker.add(Tally::Permits, token.permits());
    }
}

impl<T: Timer> WaitGate<T> for WatchedPermits<'_> {
    type Waiting = Queued<T::Sleep>;

    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Taken, Rejection>> {
        let entered = self.permits.poll_enter(waiting, timer, until, cx);
        entered.map_ok(|taken| self.taken(taken))
    }

    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
        self.permits.cancel_enter(waiting, timer);
    }
}

/// A budget.
pub(super) struct WatchedBudget<'a, C> {
    pub(super) budget: &'a RetryBudget<C>,
    pub(super) worker: &'a Worker,
}

impl<C: Clock> WatchedBudget<'_, C> {
    /// What this worker has put in more than it took out, in units; negative where it lives on the
    /// others.
    fn credit(&self) -> i32 {
        let [deposits, withdrawals, refunds] =
            [Tally::Deposits, Tally::Withdrawals, Tally::Refunds].map(|of| self.worker.read(of));
        let paid = withdrawals.wrapping_sub(refunds).wrapping_mul(2);
        deposits.wrapping_sub(paid) as i32
    }
}

impl<C: Clock> Budget for WatchedBudget<'_, C> {
    /// As long as no worker has put in too much more than it took out, the balance is never full,
    /// and nothing put in is lost.
    fn deposit(&self) {
        if self.credit() < CREDIT {
            self.budget.deposit();
            self.worker.add(Tally::Deposits, 1);
        }
    }

    fn withdraw(&self) -> Result<(), Rejection> {
        self.budget.try_withdraw()?;
        self.worker.add(Tally::Withdrawals, 1);
        Ok(())
    }

    fn refund(&self) {
        self.budget.refund();
        self.worker.add(Tally::Refunds, 1);
    }
}
