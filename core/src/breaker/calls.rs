//! How a breaker lets calls in and takes their results: the loops around the state word's
//! transitions.

use super::room::Reading;
use super::state::{Admit, Answer, Generation, Refusal, Settle, Snapshot};
use super::window::{Ended, Slow};
use super::{BreakerToken, CircuitBreaker, Counts, Metering, State, Window};
use crate::error::{Reason, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Idle, Outcome};
use crate::meter::Start;
use crate::on_drop::OnDrop;
use crate::time::{Clock, Ticks};
use crate::word::widen;

impl<C, W, M, O> CircuitBreaker<C, W, M, O>
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    /// The reading that the caller gave, or else one of the clock.
    ///
    /// A value and no closure, so that calls with and without a reading share the code for what is
    /// rare.
    #[inline]
    fn now(&self, at: Option<Ticks>) -> Ticks {
        at.unwrap_or_else(|| self.clock.now())
    }

    /// The same as the state word's instants go by.
    // One copy where it is long.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn reading(&self, at: Option<Ticks>) -> Reading {
        self.rules.room.reading(self.now(at))
    }

    #[inline]
    pub(super) fn admit(
        &self,
        at: Option<Ticks>,
    ) -> Result<BreakerToken<W::Start, M::Start>, Rejection> {
        let word = self.load();
        let generation = if word.is(State::Closed) {
            word.generation()
        } else {
            match self.admit_unless_closed(at) {
                Admit { word, answer: Answer::LET_IN } => word.generation(),
                Admit { answer, .. } => return Err(self.refused(answer, at)),
            }
        };
        let is_timed = self.window.needs_start() || M::Start::IS_KNOWN;
        // Never slow, should slow calls matter from now on.
        let now = if is_timed { self.now(at) } else { Ticks::MAX };
        let token =
            BreakerToken { generation, start: W::Start::at(now), metered: M::Start::at(now) };
        if let Err(rejection) = self.meter.begin() {
            self.give_back(generation);
            return Err(self.refuse(rejection));
        }
        Ok(token)
    }

    /// The rare side of `admit`, kept out of the callers' code: the word that lets the call in.
    #[inline(never)]
    fn admit_unless_closed(&self, at: Option<Ticks>) -> Admit {
        // Lock-free: a failed swap is another call's progress, or for no reason; see `swap`.
        loop {
            let old = self.load();
            let asked = self.ask_word(old, at);
            if asked.word == old || self.swap(old, asked.word) {
                // Should the observer panic, nobody else knows of the probe.
                let lost = OnDrop(|| {
                    if asked.answer == Answer::LET_IN {
                        self.give_back(asked.word.generation());
                    }
                });
                self.changed(old, asked.word, &|| self.now(at));
                core::mem::forget(lost);
                return asked;
            }
        }
    }

    /// Made where the call is refused, so that nobody pays for it who only asks whether it was.
    #[cold]
    #[cfg_attr(target_pointer_width = "64", inline(never))]
    fn refused(&self, answer: Answer, at: Option<Ticks>) -> Rejection {
        let rejection = match answer.refusal() {
            Refusal::Open(left) => {
                Self::refused_for(Reason::CircuitOpen, self.rules.room.ticks(left))
            }
            Refusal::Forced => Rejection::new(Reason::CircuitOpen),
            Refusal::Busy => Rejection::new(Reason::ProbesBusy),
            Refusal::Ramping(left) => {
                let ramp = self.window.ramp();
                let left = ramp.map_or(0, |ramp| ramp.ticks_until(left, self.now(at)));
                Self::refused_for(Reason::RampingUp, left)
            }
        };
        self.refuse(rejection)
    }

    #[inline]
    fn ask_word(&self, old: Snapshot, at: Option<Ticks>) -> Admit {
        match self.window.ramp() {
            Some(ramp) if old.is(State::RampingUp) => {
                old.transition_admit_in_ramp(ramp, self.now(at))
            }
            _ => old.transition_admit(&self.rules, || self.reading(at)),
        }
    }

    #[inline]
    pub(super) fn settle(
        &self,
        token: BreakerToken<W::Start, M::Start>,
        outcome: Outcome,
        at: Option<Ticks>,
    ) {
        // Closed and clean, a success has nothing to say to a breaker without a window.
        if outcome == Outcome::Success
            && !W::COUNTS_SUCCESSES
            && self.load() == Snapshot::clean(token.generation)
        {
            self.meter.end(outcome, false, token.metered, || self.now(at));
        } else {
            self.settle_counted(token, outcome, at);
        }
    }

    #[inline(never)]
    fn settle_counted(
        &self,
        token: BreakerToken<W::Start, M::Start>,
        outcome: Outcome,
        at: Option<Ticks>,
    ) {
        let is_timed = self.window.needs_end() || M::Start::IS_KNOWN;
        let at = if is_timed { Some(self.now(at)) } else { at };
        let now = &|| self.now(at);
        let end = if is_timed { now() } else { Ticks::ZERO };
        let outcome = match outcome {
            Outcome::Abandoned if self.rules.probing().abandoned_fails() => Outcome::Failure,
            _ => outcome,
        };
        let failed = outcome == Outcome::Failure;
        let judged = failed || outcome == Outcome::Success;
        let slow = self.window.slow(token.start.ticks(), end);
        // Before the judgement: what the meter adds to the counts for a rule or an event has this
        // call in it, as the window's counts have, and no place is lost should either of
        // them panic.
        let is_slow = judged && slow.is_slow();
        self.meter.end(outcome, is_slow, token.metered, now);
        self.judge(Ended { generation: token.generation, failed, slow, now: end }, judged, at);
    }

    #[inline]
    fn judge(&self, ended: Ended<W::Slow>, judged: bool, at: Option<Ticks>) {
        let now = &|| self.now(at);
        let mut counted = None;
        // Lock-free: a failed swap is another call's progress, or for no reason; see `swap`.
        loop {
            let old = self.load();
            if old.generation() != ended.generation {
                return;
            }
            let mut failed = ended.failed;
            let mut trips = false;
            let ramps = self.window.ramp().is_some() && old.is(State::RampingUp);
            if old.is(State::HalfOpen) {
                failed |= ended.slow.is_slow();
            } else if (old.counts() || ramps) && judged {
                trips = match counted {
                    Some(trips) => trips,
                    None => {
                        let is_over = || self.load().generation() != ended.generation;
                        let Some(trips) = self.window.record(ended, &is_over) else { return };
                        trips
                    }
                };
                // Once more after a failed swap: other calls ended meanwhile, and the rule has not
                // been told yet of the failures in a row that there are by now.
                trips |= self.asks(old, failed);
                counted = Some(trips);
            } else {
                // A call is never let in while open, and while disabled it is not counted.
                return;
            }
            let settled = if !judged {
                Settle::Update(old.return_probe())
            } else if ramps {
                old.transition_judged_in_ramp(&self.rules, failed, trips)
            } else {
                old.transition_ended(&self.rules, failed, trips)
            };
            let new = match settled {
                Settle::Update(new) if new == old => return,
                Settle::Update(new) => match self.window.ramp() {
                    Some(ramp) if old.is(State::HalfOpen) && new.is(State::Closed) => {
                        old.transition_ramp(ramp, now())
                    }
                    _ => new,
                },
                Settle::Trip => old.transition_trip(&self.rules, self.reading(at)),
            };
            if self.swap(old, new) {
                return self.changed_after(old, new, failed, now);
            }
        }
    }

    /// Whether a rule of the user's own trips, about a call that the window has counted.
    #[inline]
    fn asks(&self, old: Snapshot, failed: bool) -> bool {
        self.rules.custom.is_some_and(|rule| self.ask(rule, old, failed))
    }

    #[cold]
    #[inline(never)]
    fn ask(&self, rule: fn(&Counts) -> bool, old: Snapshot, failed: bool) -> bool {
        // Of calls that were counted only: without a ramp the word is one that counts.
        let before = match self.window.ramp() {
            Some(_) => old.failures(),
            None => old.counted_failures(),
        };
        let mut counts = self.own_counts(old);
        counts.consecutive_failures = if failed { widen(before).saturating_add(1) } else { 0 };
        self.window.ask(old.generation(), failed, counts, rule)
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

    fn refused_for(reason: Reason, ticks: u64) -> Rejection {
        Rejection::after_ticks(reason, ticks, C::TICKS_PER_SECOND)
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

    /// What the word and the meter have counted.
    fn own_counts(&self, word: Snapshot) -> Counts {
        let (done, failed) = word.probes();
        self.meter.add_to(Counts {
            requests: widen(done),
            failures: widen(failed),
            // No more of them fail than report.
            successes: widen(done.wrapping_sub(failed)),
            consecutive_failures: widen(word.failures()),
            ..Counts::default()
        })
    }

    pub(super) fn counts_of(&self, word: Snapshot, now: impl FnOnce() -> Ticks) -> Counts {
        let own = self.own_counts(word);
        match word.state() {
            State::Closed | State::MetricsOnly | State::RampingUp => {
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
            let asked = old.transition_admit(&self.rules, || self.reading(None));
            if asked.answer == Answer::LET_IN {
                return Ok(0);
            }
            if asked.word != old {
                if self.swap(old, asked.word) {
                    self.changed(old, asked.word, &now);
                }
                continue;
            }
            return match asked.answer.refusal() {
                Refusal::Open(left) => Ok(self.rules.room.ticks(left)),
                Refusal::Forced => Err(Rejection::new(Reason::CircuitOpen)),
                Refusal::Busy => Ok(self.rules.look_again()),
                // The next call may be in the share.
                Refusal::Ramping(_) => Ok(0),
            };
        }
    }
}

/// Idle when closed with no failure or slow call counted, in a row or in its window. Stale when
/// closed, and when its open time or its ramp is over; a state that was set by hand never is.
impl<C, W, M, O> Idle for CircuitBreaker<C, W, M, O>
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    fn is_idle(&self) -> bool {
        let word = self.load();
        if word.state() != State::Closed || word.failures() > 0 {
            return false;
        }
        let counts = self.counts_of(word, || self.clock.now());
        counts.failures == 0 && counts.slow == 0
    }

    fn is_stale(&self) -> bool {
        let word = self.load();
        match word.state() {
            // Probes that are out have somebody who holds them, unless they were forgotten.
            State::Closed | State::HalfOpen => true,
            State::Open => word.open_ticks(self.rules.room, self.clock.now()) == 0,
            State::RampingUp => {
                self.until_closed(word, || self.clock.now()).is_none_or(|left| left.is_zero())
            }
            State::ForcedOpen | State::Disabled | State::MetricsOnly => false,
        }
    }
}
