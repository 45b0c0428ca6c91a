//! What must hold when a storm is over.

use core::fmt;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{Clock, Gate, Outcome, Reason, State, Ticks, Window, ticks_from_duration};
use portable_atomic::Ordering;

use super::tally::{CALLS, CallTallies, FIRST_MAXIMUM, TALLIES, Tally, WINDOWED};
use super::{
    AHEAD, AT, BURST, Breaker, LEDGER, MAX_PROBES, OPEN_FOR, PERMITS, PROBES_TO_CLOSE, RATE,
    Shared, Storm, WINDOW, WORKERS, Worker,
};
use crate::{Checked, Failure, ensure, ensure_eq, poll_once};

/// What all workers have counted together. Its `Display` is a line for a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Steps that were made.
    pub steps: u32,
    /// Steps during which another context made one: where there are none, nobody was interrupted.
    pub interleaved: u32,
    /// Compare-and-swaps that failed because another context was faster. Only contexts that run at
    /// the same time meet often enough for this to be certain.
    pub retries: u32,
    /// Times that the two breakers opened.
    pub opened: u32,
    /// Probes that they let in.
    pub probes: u32,
    /// Tokens that the bucket granted.
    pub granted: u32,
    /// Calls that it refused: where there are none, nobody asked for too much.
    pub limited: u32,
    /// Waits for permits that were granted them.
    pub waited: u32,
    /// Waits for permits that were given up.
    pub gave_up: u32,
    /// Retries that the budget paid for.
    pub withdrawals: u32,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, interleaved, retries, opened, probes, .. } = self;
        let Self { granted, limited, waited, gave_up, withdrawals, .. } = self;
        write!(
            f,
            "{steps} steps, {interleaved} interleaved, {retries} compare-and-swaps retried; "
        )?;
        write!(
            f,
            "{opened} times opened, {probes} probes; {granted} tokens granted, {limited} refused; "
        )?;
        write!(f, "{waited} waits granted, {gave_up} given up; {withdrawals} retries paid for")
    }
}

/// The tallies of all workers together.
struct Sums {
    of: [u32; TALLIES],
    workers: u32,
}

impl Sums {
    fn of<'w>(workers: impl IntoIterator<Item = &'w Worker>) -> Self {
        let mut sums = Self { of: [0; TALLIES], workers: 0 };
        for worker in workers {
            sums.workers += 1;
            for (place, (sum, tally)) in sums.of.iter_mut().zip(worker.tallies()).enumerate() {
                let is_sum = place < FIRST_MAXIMUM;
                *sum = if is_sum { sum.wrapping_add(tally) } else { tally.max(*sum) };
            }
        }
        sums
    }

    fn get(&self, tally: Tally) -> u32 {
        self.of[tally as usize]
    }
}

impl<C: Clock + Copy, const LOSES: bool> Storm<C, LOSES> {
    /// Checks all invariants, and tells `report` of each. To be called once, after the steps of all
    /// `workers` (an array of workers, or of references to them), of which there may be 16.
    ///
    /// `began` is an instant before the first step.
    pub fn verify<'w>(
        &self,
        workers: impl IntoIterator<Item = &'w Worker>,
        began: Ticks,
        mut report: impl FnMut(&'static str, Checked),
    ) {
        self.shared.verify(&Sums::of(workers), began, &mut report);
    }

    /// What all workers have counted together: while the storm goes on, a moment ago. It goes on
    /// for long enough when these say so.
    pub fn totals<'w>(&self, workers: impl IntoIterator<Item = &'w Worker>) -> Totals {
        let sums = Sums::of(workers);
        let Shared { breaker, windowed, .. } = &self.shared;
        Totals {
            steps: sums.get(Tally::Steps),
            interleaved: sums.get(Tally::Interleaved),
            retries: sums.get(Tally::Retries),
            opened: breaker.observer().opened().wrapping_add(windowed.observer().opened()),
            probes: sums.get(Tally::Probes).wrapping_add(sums.get(Tally::WindowedProbes)),
            granted: sums.get(Tally::Granted),
            limited: sums.get(Tally::Limited),
            waited: sums.get(Tally::Waited),
            gave_up: sums.get(Tally::GaveUp),
            withdrawals: sums.get(Tally::Withdrawals),
        }
    }
}

impl<C: Clock + Copy> Shared<C> {
    fn verify(&self, sums: &Sums, began: Ticks, report: &mut dyn FnMut(&'static str, Checked)) {
        report("storm: every step was counted", self.every_step(sums));
        report("storm: no probe too many", self.probes(sums));
        report("storm: each change of state follows from the last", self.changes());
        report("storm: the meters count what happened", self.meters(sums));
        report("storm: no token above burst and rate", self.granted(sums, began));
        report("storm: all tokens of the ledger are there", self.ledger(sums));
        report("storm: all permits are back, and never were too many", self.permits(sums));
        report("storm: a semaphore of one permit excludes", self.guarded(sums));
        report("storm: the budget is exact", self.budget(sums));
        // Last, as these use what was counted.
        report("storm: the breakers are not wedged", self.breakers_work());
        report("storm: the bucket is not wedged", self.bucket_works());
        report("storm: the semaphores are not wedged", self.semaphores_work());
    }

    fn every_step(&self, sums: &Sums) -> Checked {
        ensure!(sums.workers <= WORKERS, "there are at most 16 workers");
        ensure_eq!(self.turns.load(Ordering::Relaxed), sums.get(Tally::Steps));
        Ok(())
    }

    fn probes(&self, sums: &Sums) -> Checked {
        let most = sums.get(Tally::MostProbes);
        ensure!(most <= MAX_PROBES, "more probes at once than allowed");
        let most = sums.get(Tally::MostWindowedProbes);
        ensure!(most <= MAX_PROBES, "more probes of the windowed breaker at once than allowed");
        Ok(())
    }

    fn changes(&self) -> Checked {
        let Self { breaker, windowed, .. } = self;
        ensure!(breaker.observer().lead_to(breaker.state()), "of the breaker");
        ensure!(windowed.observer().lead_to(windowed.state()), "of the windowed breaker");
        Ok(())
    }

    fn meters(&self, sums: &Sums) -> Checked {
        metered(&self.breaker, sums, &CALLS)?;
        metered(&self.windowed, sums, &WINDOWED)?;
        let counts = self.windowed.snapshot().counts;
        ensure_eq!(counts.successes + counts.failures, counts.requests);
        ensure!(counts.requests <= u64::from(WINDOW), "more calls than the window has");
        Ok(())
    }

    fn granted(&self, sums: &Sums, began: Ticks) -> Checked {
        let now = self.clock.now();
        let granted = u64::from(sums.get(Tally::Granted)) + u64::from(self.bucket.peek_at(now));
        // What was reserved ahead of its time is granted, too.
        let elapsed = now.saturating_since(began).saturating_add(ticks::<C>(AHEAD));
        // Rounded up, as readings are rounded down and a call may come early by part of a token.
        let (elapsed, second) = (u128::from(elapsed), u128::from(C::TICKS_PER_SECOND));
        let most = u128::from(BURST) + (elapsed * u128::from(RATE)).div_ceil(second);
        ensure!(u128::from(granted) <= most, "more tokens than burst and rate allow");
        Ok(())
    }

    fn ledger(&self, sums: &Sums) -> Checked {
        ensure!(sums.get(Tally::MostTokens) <= LEDGER, "more tokens out than the burst");
        ensure_eq!(self.tokens_out.read(), 0);
        ensure_eq!(self.ledger.peek_at(AT), LEDGER);
        Ok(())
    }

    fn permits(&self, sums: &Sums) -> Checked {
        ensure!(sums.get(Tally::MostPermits) <= PERMITS, "more permits out than there are");
        ensure_eq!(self.permits_out.read(), 0);
        ensure_eq!(self.permits.available(), PERMITS);
        ensure_eq!(self.permits.waiting(), 0);
        Ok(())
    }

    fn guarded(&self, sums: &Sums) -> Checked {
        ensure_eq!(self.guarded.load(Ordering::Relaxed), sums.get(Tally::Guarded));
        ensure_eq!(self.single.available(), 1);
        ensure_eq!(self.single.waiting(), 0);
        Ok(())
    }

    fn budget(&self, sums: &Sums) -> Checked {
        let paid = sums.get(Tally::Withdrawals).wrapping_sub(sums.get(Tally::Refunds));
        let left = sums.get(Tally::Deposits).wrapping_sub(paid.wrapping_mul(2));
        ensure_eq!(self.budget.snapshot().units(), u64::from(left));
        Ok(())
    }

    fn breakers_work(&self) -> Checked {
        works(&self.breaker, self.clock.now())?;
        works(&self.windowed, self.clock.now())
    }

    fn bucket_works(&self) -> Checked {
        let now = self.clock.now();
        // At the lower rate, from as empty as a bucket can be.
        let full = now.saturating_add(ticks::<C>(AHEAD + Duration::from_secs(2) * BURST / RATE));
        ensure_eq!(self.bucket.peek_at(full), BURST);
        ensure!(self.bucket.try_acquire_at(BURST, full).is_ok());
        Ok(())
    }

    fn semaphores_work(&self) -> Checked {
        for semaphore in [&self.permits, &self.single] {
            let all = semaphore.try_acquire_many(semaphore.permits());
            ensure!(all.is_ok(), "all permits can be taken");
            let mut waits = pin!(semaphore.acquire());
            ensure!(poll_once(waits.as_mut()).is_pending());
            ensure_eq!(semaphore.waiting(), 1);
            drop(all);
            ensure!(matches!(poll_once(waits), Poll::Ready(Ok(_))));
        }
        Ok(())
    }
}

fn ticks<C: Clock>(duration: Duration) -> u64 {
    ticks_from_duration(duration, C::TICKS_PER_SECOND)
}

/// A meter against the tallies, which have 32 bits.
fn metered<C: Clock, W: Window<C>>(
    breaker: &Breaker<C, W>,
    sums: &Sums,
    tallies: &CallTallies,
) -> Checked {
    let snapshot = breaker.snapshot();
    ensure!(snapshot.running == Some(0), "a call is still counted as running");
    let totals = snapshot.totals.ok_or(Failure::new("no totals"))?;
    ensure_eq!(totals.successes as u32, sums.get(tallies.succeeded));
    ensure_eq!(totals.failures as u32, sums.get(tallies.failed));
    ensure_eq!(totals.ignored as u32, sums.get(tallies.ignored));
    ensure_eq!(totals.rejected as u32, sums.get(tallies.refused));
    Ok(())
}

/// As many probes are let in as there may be, and good ones close the breaker.
fn works<C: Clock, W: Window<C>>(breaker: &Breaker<C, W>, now: Ticks) -> Checked {
    // Where it is half-open already, it stays so: a probe that the storm has lost would be missing.
    if breaker.state() == State::Closed {
        breaker.trip_at(now);
    }
    let opens = now.saturating_add(ticks::<C>(OPEN_FOR * 2));
    let mut probes = [None; MAX_PROBES as usize];
    for probe in &mut probes {
        *probe = breaker.enter_at(opens).ok();
        ensure!(probe.is_some(), "a probe is let in");
    }
    let refused = breaker.enter_at(opens).err().map(|rejection| rejection.reason());
    ensure!(refused == Some(Reason::ProbesBusy), "one probe more is not");
    for probe in probes.into_iter().flatten() {
        breaker.exit_at(probe, Outcome::Ignored, opens);
    }
    for _ in 0..PROBES_TO_CLOSE {
        if let Ok(probe) = breaker.enter_at(opens) {
            breaker.exit_at(probe, Outcome::Success, opens);
        }
    }
    ensure_eq!(breaker.state(), State::Closed);
    ensure!(breaker.permit().is_ok());
    Ok(())
}
