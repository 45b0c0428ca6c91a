//! How a breaker lets calls in and takes their results: the loops around the state word's
//! transitions.

use super::state::{Admit, Generation, Settle, Snapshot};
use super::window::{Ended, Slow};
use super::{BreakerToken, CircuitBreaker, Counts, Metering, State, Window};
use crate::error::{Reason, Rejection};
use crate::event::{Event, Observer};
use crate::gate::Outcome;
use crate::meter::Start;
use crate::on_drop::OnDrop;
use crate::time::{Clock, Ticks};

impl<C, W, M, O> CircuitBreaker<C, W, M, O>
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    #[inline]
    pub(super) fn admit(
        &self,
        now: impl Fn() -> Ticks,
    ) -> Result<BreakerToken<W::Start, M::Start>, Rejection> {
        let word = self.load();
        let generation = if word.state() == State::Closed {
            word.generation()
        } else {
            self.admit_unless_closed(word, &now)?
        };
        let is_timed = self.window.needs_start() || M::Start::IS_KNOWN;
        let now = if is_timed { now() } else { Ticks::ZERO };
        let token =
            BreakerToken { generation, start: W::Start::at(now), metered: M::Start::at(now) };
        if let Err(rejection) = self.meter.begin() {
            self.give_back(generation);
            return Err(self.refuse(rejection));
        }
        Ok(token)
    }

    /// The rare side of `admit`, kept out of the callers' code.
    #[inline(never)]
    fn admit_unless_closed(
        &self,
        mut old: Snapshot,
        now: &impl Fn() -> Ticks,
    ) -> Result<Generation, Rejection> {
        // Lock-free: a failed swap is another call's progress.
        loop {
            match old.transition_admit(&self.rules, now) {
                Admit::Free => return Ok(old.generation()),
                Admit::Probe(new) => {
                    if self.swap(old, new) {
                        // Should the observer panic, nobody else knows of the probe.
                        let lost = OnDrop(|| self.give_back(new.generation()));
                        self.changed(old, new, now);
                        core::mem::forget(lost);
                        return Ok(new.generation());
                    }
                }
                Admit::Reopen(new) => {
                    if self.swap(old, new) {
                        self.changed(old, new, now);
                        return Err(self.refuse(self.open_for(new.open_ticks(&self.rules, now()))));
                    }
                }
                Admit::Wait(left) => return Err(self.refuse(self.open_for(left))),
                Admit::Never => return Err(self.refuse(Rejection::new(Reason::CircuitOpen))),
                Admit::Busy => return Err(self.refuse(Rejection::new(Reason::ProbesBusy))),
            }
            old = self.load();
        }
    }

    #[inline]
    pub(super) fn settle(
        &self,
        token: BreakerToken<W::Start, M::Start>,
        outcome: Outcome,
        now: impl Fn() -> Ticks,
    ) {
        // Closed and clean, a success has nothing to say to a breaker without a window.
        if outcome == Outcome::Success
            && !W::COUNTS_SUCCESSES
            && self.load() == Snapshot::clean(token.generation)
        {
            self.meter.end(outcome, false, token.metered, now);
        } else {
            self.settle_counted(token, outcome, &now);
        }
    }

    #[inline(never)]
    fn settle_counted(
        &self,
        token: BreakerToken<W::Start, M::Start>,
        outcome: Outcome,
        now: &impl Fn() -> Ticks,
    ) {
        let end = (self.window.needs_end() || M::Start::IS_KNOWN).then(now);
        let now = &|| end.unwrap_or_else(now);
        let end = end.unwrap_or_default();
        let outcome = match outcome {
            Outcome::Abandoned if self.rules.abandoned_fails => Outcome::Failure,
            _ => outcome,
        };
        let judged = match outcome {
            Outcome::Success => Some(false),
            Outcome::Failure => Some(true),
            Outcome::Ignored | Outcome::Abandoned | Outcome::Refused => None,
        };
        let slow = self.window.slow(token.start.ticks(), end);
        // Before the judgement: what the meter adds to the counts for a rule or an event has this
        // call in it, as the window's counts have, and no place is lost should either of
        // them panic.
        let is_slow = judged.is_some() && slow.is_slow();
        self.meter.end(outcome, is_slow, token.metered, now);
        let generation = token.generation;
        match judged {
            Some(failed) => self.judge(Ended { generation, failed, slow, now: end }, now),
            None => self.give_back(generation),
        }
    }

    #[inline]
    fn judge(&self, ended: Ended<W::Slow>, now: &impl Fn() -> Ticks) {
        let Ended { failed, slow, .. } = ended;
        let mut counted = None;
        loop {
            let old = self.load();
            if old.generation() != ended.generation {
                return;
            }
            let (settled, failed) = match old.state() {
                State::Closed | State::MetricsOnly => {
                    let trips = match counted {
                        // Other calls ended meanwhile: the rule has not been told yet of the
                        // failures in a row that there are by now.
                        Some(trips) => trips || self.ask_again(old, failed),
                        None => {
                            let Some(trips) = self.count(old, ended) else { return };
                            *counted.insert(trips)
                        }
                    };
                    (old.transition_judged(&self.rules, failed, trips, now), failed)
                }
                State::HalfOpen => {
                    let failed = failed || slow.is_slow();
                    (old.transition_probed(&self.rules, failed, now), failed)
                }
                // A call is never let in while open, and while disabled it is not counted.
                State::Open | State::ForcedOpen | State::Disabled => return,
            };
            match settled {
                Settle::Nothing => return,
                Settle::Update(new) if self.swap(old, new) => {
                    return self.changed_after(old, new, failed, now);
                }
                Settle::Update(_) => {}
            }
        }
    }

    /// Asks a rule of the user's own once more, about a call that the window has counted already.
    #[cold]
    fn ask_again(&self, old: Snapshot, failed: bool) -> bool {
        let Some(rule) = self.rules.custom else { return false };
        let failures = if failed { u64::from(old.failures()) + 1 } else { 0 };
        let base =
            self.meter.add_to(Counts { consecutive_failures: failures, ..Counts::default() });
        self.window.ask(old.generation(), failed, base, rule)
    }

    /// Counts a call in the window; `None` where the breaker has left its generation.
    #[inline]
    fn count(&self, old: Snapshot, ended: Ended<W::Slow>) -> Option<bool> {
        let custom = self.rules.custom;
        let base = if custom.is_some() {
            let failures = if ended.failed { u64::from(old.failures()) + 1 } else { 0 };
            self.meter.add_to(Counts { consecutive_failures: failures, ..Counts::default() })
        } else {
            Counts::default()
        };
        let generation = ended.generation;
        self.window.record(ended, base, custom, &|| self.load().generation() != generation)
    }

    /// A call ended that says nothing: a probe's place is free again.
    #[inline]
    fn give_back(&self, generation: Generation) {
        loop {
            let old = self.load();
            if old.generation() != generation || old.state() != State::HalfOpen {
                return;
            }
            if self.swap(old, old.return_probe()) {
                return;
            }
        }
    }

    fn open_for(&self, ticks: u64) -> Rejection {
        Rejection::after_ticks(Reason::CircuitOpen, ticks, C::TICKS_PER_SECOND)
    }

    #[cold]
    fn refuse(&self, rejection: Rejection) -> Rejection {
        self.meter.refused();
        if self.observer.is_active() {
            self.observer.on_event(&Event::Rejected { name: self.observer.name(), rejection });
        }
        rejection
    }

    #[inline]
    pub(super) fn changed(&self, old: Snapshot, new: Snapshot, now: &impl Fn() -> Ticks) {
        if old.generation() != new.generation() {
            self.report(old, new, None, now);
        }
    }

    /// The same for a call that ended and is not in the old word.
    #[inline]
    fn changed_after(&self, old: Snapshot, new: Snapshot, failed: bool, now: &impl Fn() -> Ticks) {
        if old.generation() != new.generation() {
            self.report(old, new, Some(failed), now);
        }
    }

    #[cold]
    fn report(&self, old: Snapshot, new: Snapshot, ended: Option<bool>, now: &impl Fn() -> Ticks) {
        if old.state() == new.state() {
            return;
        }
        self.meter.changed(now);
        if !self.observer.is_active() {
            return;
        }
        let mut counts = self.counts_of(old, now);
        match (old.state(), ended) {
            (State::HalfOpen, Some(failed)) => {
                counts.requests = counts.requests.saturating_add(1);
                counts.failures = counts.failures.saturating_add(u64::from(failed));
                counts.successes = counts.requests.saturating_sub(counts.failures);
            }
            (_, Some(true)) => {
                counts.consecutive_failures = counts.consecutive_failures.saturating_add(1);
            }
            (_, Some(false)) => counts.consecutive_failures = 0,
            (_, None) => {}
        }
        let (name, from, to) = (self.observer.name(), old.state(), new.state());
        let generation = new.generation();
        self.observer.on_event(&Event::StateChanged { name, from, to, counts, generation });
    }

    pub(super) fn counts_of(&self, word: Snapshot, now: impl FnOnce() -> Ticks) -> Counts {
        let (done, failed) = word.probes();
        let own = Counts {
            requests: u64::from(done),
            failures: u64::from(failed),
            successes: u64::from(done.saturating_sub(failed)),
            consecutive_failures: u64::from(word.failures()),
            ..Counts::default()
        };
        let own = self.meter.add_to(own);
        match word.state() {
            State::Closed | State::MetricsOnly => {
                let now = if self.window.needs_end() { now() } else { Ticks::ZERO };
                self.window.read(word.generation(), now, own)
            }
            _ => own,
        }
    }

    /// Whether a call would be let in, and if not, for how many ticks it is not worth asking; `Err`
    /// where nobody knows.
    ///
    /// It reopens a breaker whose probes never reported, as a call would: where all callers wait
    /// here before they call, nobody else is left to do it, and they would wait for ever.
    pub(super) fn readiness(&self) -> Result<u64, Rejection> {
        let now = || self.clock.now();
        loop {
            let old = self.load();
            match old.transition_admit(&self.rules, now) {
                Admit::Free | Admit::Probe(_) => return Ok(0),
                Admit::Wait(left) => return Ok(left),
                Admit::Busy => return Ok(self.rules.look_again()),
                Admit::Never => return Err(Rejection::new(Reason::CircuitOpen)),
                Admit::Reopen(new) => {
                    if self.swap(old, new) {
                        self.changed(old, new, &now);
                    }
                }
            }
        }
    }
}
