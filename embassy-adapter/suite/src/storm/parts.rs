//! What a step may do. None of it waits.

use core::hint::black_box;
use core::pin::{Pin, pin};
use core::task::Poll;

use fusebox_core::{
    Acquire, Budget, Clock, Gate, Permit, Queue, Rate, Rejection, Semaphore, Window,
};
use portable_atomic::Ordering;

use super::tally::{CALLS, Tally, WINDOWED};
use super::watched::{WatchedBreaker, WatchedBucket, WatchedBudget, WatchedPermits};
use super::{AT, Breaker, MAX_PROBES, PERMITS, PLACES, RATE, Shared, Worker};
use crate::poll_once;

type Permits = Semaphore<Queue<PLACES>>;

impl<C: Clock + Copy> Shared<C> {
    pub(super) fn watched_breaker<'a>(
        &'a self,
        worker: &'a Worker,
    ) -> WatchedBreaker<'a, C, impl Window<C>> {
        let (breaker, probes) = (&self.breaker, &self.probes);
        WatchedBreaker { breaker, probes, tallies: &CALLS, worker }
    }

    fn watched_windowed<'a>(&'a self, worker: &'a Worker) -> WatchedBreaker<'a, C, impl Window<C>> {
        let (breaker, probes) = (&self.windowed, &self.windowed_probes);
        WatchedBreaker { breaker, probes, tallies: &WINDOWED, worker }
    }

    pub(super) fn watched_bucket<'a>(&'a self, worker: &'a Worker) -> WatchedBucket<'a, C> {
        WatchedBucket { bucket: &self.bucket, worker }
    }

    pub(super) fn watched_permits<'a>(&'a self, worker: &'a Worker, n: u32) -> WatchedPermits<'a> {
        WatchedPermits { permits: &self.permits, out: &self.permits_out, n, worker }
    }

    pub(super) fn watched_budget<'a>(&'a self, worker: &'a Worker) -> WatchedBudget<'a, C> {
        WatchedBudget { budget: &self.budget, worker }
    }
}

// Not inlined, all of them: the stack of an interrupt need only hold the largest.
impl Worker {
    /// A load and a store under a semaphore; with the mistake, without it.
    #[inline(never)]
    pub(super) fn raise_the_guarded_counter<C: Clock + Copy>(&self, storm: &Shared<C>) {
        let permit = match self.random(2) {
            _ if storm.loses => None,
            0 => self.wait_a_little(storm, pin!(storm.single.acquire())).and_then(Result::ok),
            _ => storm.single.try_acquire().ok(),
        };
        if permit.is_none() && !storm.loses {
            return;
        }
        // Relaxed, both: the permit orders what its holders do.
        let seen = storm.guarded.load(Ordering::Relaxed);
        self.dawdle(storm);
        storm.guarded.store(seen.wrapping_add(1), Ordering::Relaxed);
        self.add(Tally::Guarded, 1);
        drop(permit);
    }

    #[inline(never)]
    pub(super) fn call_the_breaker<C: Clock + Copy>(&self, storm: &Shared<C>) {
        self.pass_a_few_times(storm, &storm.watched_breaker(self));
    }

    #[inline(never)]
    pub(super) fn call_the_windowed_breaker<C: Clock + Copy>(&self, storm: &Shared<C>) {
        self.pass_a_few_times(storm, &storm.watched_windowed(self));
    }

    /// A token now or a promise of one, kept or not.
    #[inline(never)]
    pub(super) fn take_a_token<C: Clock + Copy>(&self, storm: &Shared<C>) {
        if self.random(4) != 0 {
            return self.pass(storm, &storm.watched_bucket(self));
        }
        match storm.bucket.reserve(1) {
            Ok(turn) if self.random(2) == 0 => {
                turn.commit();
                self.add(Tally::Granted, 1);
            }
            Ok(turn) => {
                self.dawdle(storm);
                turn.cancel();
            }
            Err(_) => self.add(Tally::Limited, 1),
        }
    }

    /// Tokens taken and given back, at a time that never passes.
    #[inline(never)]
    pub(super) fn borrow_from_the_ledger<C: Clock + Copy>(&self, storm: &Shared<C>) {
        let n = 1 + self.random(3);
        let turn = match self.random(2) {
            0 => storm.ledger.try_acquire_at(n, AT).map(|()| None),
            _ => storm.ledger.reserve_at(n, AT).map(Some),
        };
        let Ok(turn) = turn else { return };
        self.most(Tally::MostTokens, storm.tokens_out.raise(n));
        self.dawdle(storm);
        storm.tokens_out.lower(n);
        match turn {
            None => storm.ledger.refund_at(n, AT),
            Some(turn) => turn.cancel_at(AT),
        }
    }

    #[inline(never)]
    pub(super) fn take_permits<C: Clock + Copy>(&self, storm: &Shared<C>) {
        self.pass(storm, &storm.watched_permits(self, 1 + self.random(PERMITS)));
    }

    /// A wait in the queue that is given up if it takes long.
    #[inline(never)]
    pub(super) fn wait_for_permits<C: Clock + Copy>(&self, storm: &Shared<C>) {
        let n = 1 + self.random(PERMITS);
        match self.wait_a_little(storm, pin!(storm.permits.acquire_many(n))) {
            Some(Ok(permit)) => {
                self.add(Tally::Waited, 1);
                self.most(Tally::MostPermits, storm.permits_out.raise(n));
                self.dawdle(storm);
                storm.permits_out.lower(n);
                drop(permit);
                self.add(Tally::Permits, n);
            }
            Some(Err(_)) => {}
            None => self.add(Tally::GaveUp, 1),
        }
    }

    #[inline(never)]
    pub(super) fn use_the_budget<C: Clock + Copy>(&self, storm: &Shared<C>) {
        let budget = storm.watched_budget(self);
        budget.deposit();
        if self.random(2) == 0 && budget.withdraw().is_ok() && self.random(4) == 0 {
            self.dawdle(storm);
            budget.refund();
        }
    }

    /// All of them for one call, or none.
    #[inline(never)]
    pub(super) fn pass_all_gates<C: Clock + Copy>(&self, storm: &Shared<C>) {
        let gates = (
            storm.watched_permits(self, 1),
            storm.watched_bucket(self),
            storm.watched_breaker(self),
            storm.watched_windowed(self),
        );
        self.pass(storm, &gates);
    }

    /// Changes by hand what calls do not change, now and then.
    #[inline(never)]
    pub(super) fn do_a_chore<C: Clock + Copy>(&self, storm: &Shared<C>) {
        if storm.chores.try_acquire(1).is_err() {
            return;
        }
        match self.random(4) {
            0 => self.set_by_hand(storm, &storm.breaker),
            1 => self.set_by_hand(storm, &storm.windowed),
            _ => self.slow_down_for_a_moment(storm),
        }
    }

    /// Lowers the bucket's rate, and raises it again.
    fn slow_down_for_a_moment<C: Clock + Copy>(&self, storm: &Shared<C>) {
        // Either may find another change under way; the lower rate is as good, until the next time.
        for rate in [RATE / 2, RATE] {
            let _ = storm.bucket.set_rate(Rate::per_second(rate));
            self.dawdle(storm);
        }
    }

    fn set_by_hand<C: Clock + Copy, W: Window<C>>(
        &self,
        storm: &Shared<C>,
        breaker: &Breaker<C, W>,
    ) {
        match self.random(4) {
            0 => return breaker.trip(),
            1 => breaker.force_open(),
            2 => breaker.disable(),
            _ => breaker.metrics_only(),
        }
        self.dawdle(storm);
        breaker.reset();
    }

    /// A call that takes a moment and ends somehow, if it is let in.
    fn pass<C: Clock + Copy, G: Gate>(&self, storm: &Shared<C>, gate: &G) {
        let Ok(permit) = gate.permit() else { return };
        self.dawdle(storm);
        self.finish(permit);
    }

    /// A few calls at once: one more than there may be probes, so that all of these are out each
    /// time that a breaker is half-open, and whoever else comes then is one too many.
    fn pass_a_few_times<C: Clock + Copy, G: Gate>(&self, storm: &Shared<C>, gate: &G) {
        let permits = [(); MAX_PROBES as usize + 1].map(|()| gate.permit());
        self.dawdle(storm);
        permits.into_iter().flatten().for_each(|permit| self.finish(permit));
    }

    fn finish<G: Gate>(&self, permit: Permit<&G>) {
        match self.random(8) {
            0 | 1 => permit.failure(),
            2 => permit.ignore(),
            3 => drop(permit),
            _ => permit.success(),
        }
    }

    /// Polls a few times; `None` where that was not enough.
    fn wait_a_little<'s, C: Clock + Copy>(
        &self,
        storm: &Shared<C>,
        mut wait: Pin<&mut Acquire<&'s Permits>>,
    ) -> Option<Result<Permit<&'s Permits>, Rejection>> {
        for _ in 0..=self.random(4) {
            if let Poll::Ready(answer) = poll_once(wait.as_mut()) {
                return Some(answer);
            }
            self.dawdle(storm);
        }
        None
    }

    /// Takes a moment, so that others may come in between.
    fn dawdle<C: Clock + Copy>(&self, storm: &Shared<C>) {
        for _ in 0..=self.random(4) {
            black_box(storm.clock.now());
        }
    }
}
