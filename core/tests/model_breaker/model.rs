//! The reference model: what the documentation says, the slow and obvious way.
//!
//! It keeps whole histories and whole numbers of any size. Where the documentation gives an
//! accuracy instead of an instant, the model says "either", and takes over what the breaker chose.
//! It knows nothing of words, units, rings or tags.

#[path = "counts.rs"]
mod counts;
#[path = "ramp.rs"]
mod ramp;

use fusebox_core::{Counts, Outcome, Reason, State, WORD_BITS};

/// A ratio as `numerator / denominator`.
pub(crate) type Share = (u32, u32);

/// "Where words are 64 bits `wide`, where they are 32 bits `narrow`", as the documentation puts it.
fn by_width(wide: u32, narrow: u32) -> u32 {
    if WORD_BITS == 64 { wide } else { narrow }
}

/// After how many intervals (each with the lateness) a time may be mistaken for one a turn of the
/// word away.
fn turn(interval: i128) -> i128 {
    interval << by_width(16, 10)
}

/// "At least", as the documentation says of every rate.
fn reaches((numerator, denominator): Share, part: u64, whole: u64) -> bool {
    whole > 0
        && u128::from(part) * u128::from(denominator) >= u128::from(whole) * u128::from(numerator)
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Consecutive,
    Calls { calls: u32, buckets: u32 },
    Time { span: u64, buckets: u32, lateness: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowRules {
    pub(crate) kind: Kind,
    pub(crate) failures: Option<Share>,
    /// The share, and from how many ticks on a call is slow.
    pub(crate) slow: Option<(Share, u64)>,
    pub(crate) minimum: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Probes {
    Successes(u32),
    Rate(Share, u32),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct RampRules {
    pub(crate) from: Share,
    pub(crate) over: u64,
    pub(crate) lateness: u64,
    pub(crate) is_exponential: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) consecutive: u32,
    pub(crate) custom: Option<fn(&Counts) -> bool>,
    pub(crate) open_for: u64,
    pub(crate) growth: Share,
    pub(crate) open_at_most: u64,
    pub(crate) jitter_percent: u32,
    pub(crate) max_probes: u32,
    pub(crate) probes: Probes,
    pub(crate) half_open_timeout: u64,
    pub(crate) lateness: u64,
    pub(crate) abandoned_fails: bool,
    pub(crate) windows: Vec<WindowRules>,
    pub(crate) ramp: Option<RampRules>,
    pub(crate) metered: bool,
    pub(crate) max_concurrent: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Call {
    /// When it ended; of a reader that is late, when the latest one before it did.
    at: i128,
    failed: bool,
    slow: bool,
}

/// The calls of one window in this generation.
#[derive(Clone, Debug, Default)]
struct History {
    calls: Vec<Call>,
    /// A time was taken for one a turn away, or the clock stepped back by more than is supported:
    /// it forgets at will.
    wild: bool,
}

/// A call that was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    generation: u64,
    /// Where slow calls mattered when it began.
    start: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Closed, ramping up or metrics only.
    Counting { failures_in_row: u64 },
    /// The end of the open time lies between these; `lowest` is less by the accuracy of the open
    /// time.
    Open { since: i128, lowest: i128, highest: i128 },
    HalfOpen {
        out: u32,
        done: u32,
        failed: u32,
        /// When the probes' time to report began, at the earliest and at the latest.
        began: (i128, i128),
    },
    /// Forced open or disabled.
    Inert,
}

/// What the documentation allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Allowed {
    Only(Answer),
    Either(Answer, Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    In,
    Refused(Reason),
}

impl Allowed {
    pub(crate) fn admits(self, answer: Answer) -> bool {
        match self {
            Self::Only(only) => answer == only,
            Self::Either(first, second) => answer == first || answer == second,
        }
    }
}

/// An event, with every set of counts that would do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    Changed { from: State, to: State, counts: Vec<Counts> },
    Rejected(Reason),
}

#[derive(Clone, Debug, Default)]
struct Totals {
    successes: u64,
    failures: u64,
    slow: u64,
    ignored: u64,
    rejected: u64,
    successes_in_row: u64,
    running: u64,
    last_failure: Option<u64>,
    last_change: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) rules: Rules,
    /// As the breaker was made: for the accuracy of times, and how long they may be.
    made: Rules,
    pub(crate) state: State,
    pub(crate) generation: u64,
    phase: Phase,
    histories: Vec<History>,
    reopened: u32,
    /// When it last began to ramp up, and how many calls have asked while it did.
    ramp_began: i128,
    asked: u32,
    totals: Totals,
    pub(crate) events: Vec<Expected>,
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        let histories = vec![History::default(); rules.windows.len()];
        Self {
            made: rules.clone(),
            rules,
            state: State::Closed,
            generation: 0,
            phase: Phase::Counting { failures_in_row: 0 },
            histories,
            reopened: 0,
            ramp_began: 0,
            asked: 0,
            totals: Totals::default(),
            events: Vec::new(),
        }
    }

    // ---- the open time ----

    /// The longest time an end of the open time may lie ahead, the lateness included.
    fn open_reach(&self) -> i128 {
        i128::from(self.made.open_at_most) + i128::from(self.made.lateness)
    }

    /// As [`open_reach`](Self::open_reach), of the probes' time.
    fn probe_reach(&self) -> i128 {
        i128::from(self.made.half_open_timeout) + i128::from(self.made.lateness)
    }

    /// The accuracy of the open time in ticks; 1 is exact.
    pub(crate) fn open_unit(&self) -> i128 {
        (self.open_reach() >> by_width(23, 9)).max(self.step())
    }

    /// The accuracy of a reading of the clock and of a length of time, in ticks; 1 is exact.
    fn step(&self) -> i128 {
        let of_open = self.open_reach() >> by_width(47, 21);
        of_open.max(self.probe_reach() >> by_width(53, 28)).max(1)
    }

    /// The shortest and the longest open time after having reopened so often.
    fn open_time(&self) -> (i128, i128) {
        let (numerator, denominator) =
            (u128::from(self.rules.growth.0), u128::from(self.rules.growth.1));
        let most = u128::from(self.rules.open_at_most);
        let (mut above, mut below) = (u128::from(self.rules.open_for), 1_u128);
        // It may round down at each step, and grows what it lost.
        let step = self.step() as u128;
        let mut lost = step - 1;
        for _ in 0..self.reopened.min(by_width(31, 7)) {
            if above / below >= most {
                break;
            }
            above *= numerator;
            below *= denominator;
            let exact = above % below == 0 && lost == 0;
            lost = if exact { 0 } else { (lost * numerator).div_ceil(denominator) + step };
        }
        // But to no less than a step.
        let longest = (above / below).min(most).max(step);
        let shortest = (above / below).saturating_sub(lost).min(most.saturating_sub(step - 1));
        let shortest = shortest - shortest * u128::from(self.rules.jitter_percent) / 100;
        (shortest as i128, longest as i128)
    }

    /// The ticks left until the end of the open time, the least and the most; `None` unless open.
    pub(crate) fn open_left(&self, now: u64) -> Option<(i128, i128)> {
        match self.phase {
            Phase::Open { lowest, highest, .. } => {
                Some((lowest - i128::from(now), highest - i128::from(now)))
            }
            _ => None,
        }
    }

    /// Whether a call at `now` comes after the open time.
    fn open_is_over(&self, now: u64) -> Option<bool> {
        let Phase::Open { since, lowest, highest } = self.phase else { return None };
        let now = i128::from(now);
        let (reach, unit) = (self.open_reach(), self.open_unit());
        if now >= highest {
            return if now - lowest < turn(reach) - reach - unit { Some(true) } else { None };
        }
        if now < lowest && now >= since - i128::from(self.rules.lateness) {
            return Some(false);
        }
        // The clock went back by more than the lateness: what is ahead by more than can be is
        // stale, and has passed.
        let stale = lowest - now > reach + unit && highest - now < turn(reach) - unit;
        if stale { Some(true) } else { None }
    }

    /// What `time_until_half_open` may say, in ticks: from, to. `None` where it may say anything.
    pub(crate) fn until_half_open(&self, now: u64) -> Option<(i128, i128)> {
        let (least, most) = self.open_left(now)?;
        match self.open_is_over(now) {
            Some(true) => Some((0, 0)),
            // Rounded to units, of which the lowest is already less by one, from a reading that is.
            Some(false) => Some((least, most + self.open_unit() - 1 + self.step() - 1)),
            None => None,
        }
    }

    /// Takes over the end of a jittered open time, once it has been seen.
    pub(crate) fn saw_left(&mut self, now: u64, left: u64) {
        let (unit, step) = (self.open_unit(), self.step() - 1);
        let certain = self.open_is_over(now) == Some(false);
        if let Phase::Open { lowest, highest, .. } = &mut self.phase {
            let end = i128::from(now) + i128::from(left);
            if certain {
                *lowest = (*lowest).max(end - 2 * (unit - 1) - step);
                *highest = (*highest).min(end + unit - 1);
            }
        }
    }

    // ---- transitions ----

    fn change(&mut self, to: State, phase: Phase, now: u64, counts: Vec<Counts>) {
        let from = self.state;
        self.state = to;
        self.phase = phase;
        self.generation += 1;
        for history in &mut self.histories {
            *history = History::default();
        }
        if !matches!(to, State::Open | State::HalfOpen | State::RampingUp) {
            self.reopened = 0;
        }
        if from != to {
            if self.rules.metered {
                self.totals.last_change = Some(now);
            }
            self.events.push(Expected::Changed { from, to, counts });
        }
    }

    fn open(&mut self, now: u64, counts: Vec<Counts>) {
        if matches!(self.state, State::HalfOpen | State::RampingUp) {
            self.reopened += 1;
        }
        let (shortest, longest) = self.open_time();
        let since = i128::from(now);
        let lowest = since + shortest - (self.open_unit() - 1) - (self.step() - 1);
        self.change(
            State::Open,
            Phase::Open { since, lowest, highest: since + longest },
            now,
            counts,
        );
    }

    fn refuse(&mut self, reason: Reason) {
        self.totals.rejected += 1;
        self.events.push(Expected::Rejected(reason));
    }

    /// Whether a half-open breaker would take one more probe.
    fn has_place(&self) -> bool {
        let Phase::HalfOpen { out, done, .. } = self.phase else { return false };
        let in_round = match self.rules.probes {
            Probes::Successes(_) => true,
            Probes::Rate(_, round) => out + done < round,
        };
        // A new round may be over already: somebody must be let in to end it.
        out == 0 || out < self.rules.max_probes && in_round
    }

    /// Whether all probes are out for so long that they count as failed.
    fn probes_timed_out(&self, now: u64) -> Option<bool> {
        let Phase::HalfOpen { began: (earliest, latest), .. } = self.phase else { return None };
        let timed_out = |began| self.timed_out_since(i128::from(now) - began);
        if timed_out(earliest) == timed_out(latest) { timed_out(latest) } else { None }
    }

    fn timed_out_since(&self, since: i128) -> Option<bool> {
        let (timeout, lateness) =
            (i128::from(self.rules.half_open_timeout), i128::from(self.rules.lateness));
        let reach = self.probe_reach();
        let late = 2 * (reach >> by_width(11, 4)).max(1);
        if since < -lateness || since >= (reach << by_width(10, 3)) - reach - late {
            None
        } else if since < timeout {
            Some(false)
        } else if since >= timeout + late {
            Some(true)
        } else {
            None
        }
    }

    /// When the time to report begins for probes of which one is let in at `now`. A late reading
    /// does not cut short the time that those before it were given; one that is later than is
    /// supported may.
    fn began_with(&self, now: u64) -> (i128, i128) {
        let now = i128::from(now);
        let Phase::HalfOpen { out, began: (earliest, latest), .. } = self.phase else {
            return (now, now);
        };
        let lateness = i128::from(self.rules.lateness);
        let reach = self.probe_reach();
        let accuracy = 2 * (reach >> by_width(11, 4)).max(1);
        let late_by = latest - now;
        if out == 0 {
            (now, now)
        } else if (now - earliest).abs().max(late_by)
            >= (reach << by_width(10, 3)) - reach - accuracy
        {
            // About a turn later, or set back by as much: what was given then may look like the
            // time that a late reading must not cut short.
            (now, now + lateness + accuracy)
        } else if late_by <= 0 || earliest - now > lateness + accuracy {
            (now, now)
        } else if late_by <= lateness && earliest > now {
            (earliest, latest)
        } else {
            (now, latest)
        }
    }

    /// What a call at `now` may be told.
    pub(crate) fn may_answer(&self, now: u64) -> Allowed {
        let full = self.rules.max_concurrent.is_some_and(|most| self.totals.running >= most);
        let let_in = if full { Answer::Refused(Reason::BulkheadFull) } else { Answer::In };
        let open = Answer::Refused(Reason::CircuitOpen);
        let busy = Answer::Refused(Reason::ProbesBusy);
        match self.state {
            State::Closed | State::Disabled | State::MetricsOnly => Allowed::Only(let_in),
            State::ForcedOpen => Allowed::Only(open),
            State::Open => match self.open_is_over(now) {
                Some(true) => Allowed::Only(let_in),
                Some(false) => Allowed::Only(open),
                None => Allowed::Either(let_in, open),
            },
            State::RampingUp => {
                let refused = Answer::Refused(Reason::RampingUp);
                match self.is_in_share(now) {
                    Some(true) => Allowed::Only(let_in),
                    Some(false) => Allowed::Only(refused),
                    None => Allowed::Either(let_in, refused),
                }
            }
            State::HalfOpen if self.has_place() => Allowed::Only(let_in),
            State::HalfOpen => match self.probes_timed_out(now) {
                Some(true) => Allowed::Only(open),
                Some(false) => Allowed::Only(busy),
                None => Allowed::Either(open, busy),
            },
        }
    }

    /// A call at `now` was told `answer`, which is one that it may be told; `closed` says whether
    /// the breaker is closed after it.
    pub(crate) fn answered(&mut self, now: u64, answer: Answer, closed: bool) -> Option<Admitted> {
        if self.state == State::RampingUp {
            if closed {
                assert!(self.ramp_is_over(now) != Some(false), "closed too early: {self:?}");
                let counts = self.counts(now);
                self.change(State::Closed, Phase::Counting { failures_in_row: 0 }, now, counts);
            } else {
                assert!(self.ramp_is_over(now) != Some(true), "not closed: {self:?}");
                self.asked = self.asked.wrapping_add(1);
            }
        }
        let passes_breaker = matches!(answer, Answer::In | Answer::Refused(Reason::BulkheadFull));
        if passes_breaker && self.state == State::Open {
            let counts = self.counts(now);
            let phase =
                Phase::HalfOpen { out: 0, done: 0, failed: 0, began: (now.into(), now.into()) };
            self.change(State::HalfOpen, phase, now, counts);
        }
        let with_one_more = self.began_with(now);
        match answer {
            Answer::In => {
                if let Phase::HalfOpen { out, began, .. } = &mut self.phase {
                    *out += 1;
                    *began = with_one_more;
                }
                self.totals.running += 1;
                let is_timed = self.rules.windows.iter().any(|window| window.slow.is_some());
                let start = is_timed.then_some(now);
                Some(Admitted { generation: self.generation, start })
            }
            Answer::Refused(reason) => {
                match (&mut self.phase, reason) {
                    (Phase::HalfOpen { .. }, Reason::CircuitOpen) => {
                        let counts = self.counts(now);
                        self.open(now, counts);
                    }
                    // It was a probe for a moment: the probes' time to report starts anew.
                    (Phase::HalfOpen { began, .. }, Reason::BulkheadFull) => *began = with_one_more,
                    _ => {}
                }
                self.refuse(reason);
                None
            }
        }
    }

    fn is_slow(&self, window: &WindowRules, call: Admitted, now: u64) -> bool {
        let lasted = call.start.map_or(0, |start| now.saturating_sub(start));
        window.slow.is_some_and(|(_, from)| lasted >= from)
    }

    /// A call ended at `now`. `opened` says whether the breaker opened, for where either would do;
    /// the answer is whether it may.
    pub(crate) fn ended(
        &mut self,
        call: Admitted,
        outcome: Outcome,
        now: u64,
        opened: bool,
    ) -> bool {
        let outcome = match outcome {
            Outcome::Abandoned if self.rules.abandoned_fails => Outcome::Failure,
            other => other,
        };
        let judged = matches!(outcome, Outcome::Success | Outcome::Failure);
        let failed = outcome == Outcome::Failure;
        let slow = judged && self.rules.windows.iter().any(|w| self.is_slow(w, call, now));
        self.meter_out(outcome, slow, now);
        if call.generation != self.generation {
            return !opened;
        }
        match (self.phase, judged) {
            (Phase::Counting { failures_in_row }, true) => {
                let in_row = if failed { failures_in_row + 1 } else { 0 };
                self.phase = Phase::Counting { failures_in_row: in_row };
                let before = self.full_window_trips(now);
                self.record(call, failed, now);
                self.judge_closed(failed, in_row, now, opened, before)
            }
            (Phase::HalfOpen { out, done, failed: bad, began }, true) => {
                let bad = bad + u32::from(failed || slow);
                self.phase = Phase::HalfOpen { out: out - 1, done: done + 1, failed: bad, began };
                self.judge_probe(done + 1, bad, now) == opened
            }
            (Phase::HalfOpen { out, done, failed, began }, false) => {
                self.phase = Phase::HalfOpen { out: out - 1, done, failed, began };
                !opened
            }
            (Phase::Counting { .. } | Phase::Open { .. } | Phase::Inert, _) => !opened,
        }
    }

    fn meter_out(&mut self, outcome: Outcome, slow: bool, now: u64) {
        let totals = &mut self.totals;
        totals.running -= 1;
        totals.slow += u64::from(slow);
        match outcome {
            Outcome::Success => {
                totals.successes += 1;
                totals.successes_in_row += 1;
            }
            Outcome::Failure => {
                totals.failures += 1;
                totals.successes_in_row = 0;
                if self.rules.metered {
                    totals.last_failure = Some(now);
                }
            }
            Outcome::Ignored | Outcome::Abandoned => totals.ignored += 1,
            Outcome::Refused => {}
        }
    }

    fn record(&mut self, call: Admitted, failed: bool, now: u64) {
        for (index, window) in self.rules.windows.clone().iter().enumerate() {
            let slow = self.is_slow(window, call, now);
            let history = &mut self.histories[index];
            let mut at = i128::from(now);
            if let Kind::Time { span, lateness, .. } = window.kind {
                let reach = i128::from(span) + i128::from(lateness);
                // A breaker that never recorded counts from the clock's origin.
                let latest = history
                    .calls
                    .last()
                    .map_or(if self.generation == 0 { 0 } else { at }, |call| call.at);
                history.wild |= counts::is_odd(latest, at, reach);
                at = at.max(latest);
            }
            history.calls.push(Call { at, failed, slow });
        }
    }

    /// Judges by every rule; both outcomes are judged, and a rate equal to its threshold trips.
    fn judge_closed(
        &mut self,
        failed: bool,
        in_row: u64,
        now: u64,
        opened: bool,
        before: bool,
    ) -> bool {
        let limit = u64::from(self.rules.consecutive);
        let by_row = before || failed && limit > 0 && in_row >= limit;
        let (mut must, mut may) = (by_row, by_row);
        for (index, window) in self.rules.windows.iter().enumerate() {
            let verdicts: Vec<bool> = self
                .window_counts(index, now, in_row)
                .iter()
                .map(|counts| self.trips(window, counts, failed))
                .collect();
            must |= verdicts.iter().all(|&trips| trips);
            may |= verdicts.iter().any(|&trips| trips);
        }
        if self.state == State::MetricsOnly {
            (must, may) = (false, false);
        }
        if opened && may {
            let counts = self.counts(now);
            self.open(now, counts);
        }
        if opened { may } else { !must }
    }

    /// Whether a window of calls that is full trips by rates that are new: it is judged once more
    /// when the next call ends, before its oldest calls slide out.
    fn full_window_trips(&self, now: u64) -> bool {
        self.rules.windows.iter().enumerate().any(|(index, window)| {
            let Kind::Calls { calls, buckets } = window.kind else { return false };
            let counted = self.histories[index].calls.len();
            let full = counted > 0 && counted % (calls / buckets) as usize == 0;
            full && self.window_counts(index, now, 0).iter().all(|c| Self::rates_trip(window, c))
        })
    }

    fn rates_trip(window: &WindowRules, counts: &Counts) -> bool {
        let enough = counts.requests >= u64::from(window.minimum);
        let by_failures =
            window.failures.is_some_and(|rate| reaches(rate, counts.failures, counts.requests));
        let by_slow =
            window.slow.is_some_and(|(rate, _)| reaches(rate, counts.slow, counts.requests));
        enough && (by_failures || by_slow)
    }

    fn trips(&self, window: &WindowRules, counts: &Counts, failed: bool) -> bool {
        let custom = self.rules.custom.is_some_and(|rule| rule(counts));
        if let Kind::Consecutive = window.kind {
            // Without a window the rule is asked after failures only.
            return failed && custom;
        }
        Self::rates_trip(window, counts) || custom
    }

    /// Whether the probes so far reopen; closes where they do that.
    fn judge_probe(&mut self, done: u32, bad: u32, now: u64) -> bool {
        let (reopens, closes) = match self.rules.probes {
            Probes::Successes(enough) => (bad > 0, done >= enough),
            // As soon as it is certain: of the whole round.
            Probes::Rate(rate, round) => (reaches(rate, bad.into(), round.into()), done >= round),
        };
        let counts = self.counts(now);
        if reopens {
            self.open(now, counts);
        } else if closes {
            let to = if self.rules.ramp.is_some() { State::RampingUp } else { State::Closed };
            self.ramp_began = now.into();
            self.change(to, Phase::Counting { failures_in_row: 0 }, now, counts);
        }
        reopens
    }

    pub(crate) fn trip(&mut self, now: u64) {
        if matches!(self.state, State::Closed | State::HalfOpen | State::RampingUp) {
            let counts = self.counts(now);
            self.open(now, counts);
        }
    }

    pub(crate) fn set(&mut self, state: State, now: u64) {
        if self.state != state {
            let counts = self.counts(now);
            let phase = match state {
                State::MetricsOnly => Phase::Counting { failures_in_row: 0 },
                _ => Phase::Inert,
            };
            self.change(state, phase, now, counts);
        }
    }

    pub(crate) fn reset(&mut self, now: u64) {
        let counts = self.counts(now);
        self.change(State::Closed, Phase::Counting { failures_in_row: 0 }, now, counts);
    }

    // ---- changes of the settings ----

    /// The settings of `new` that a breaker in use may take over.
    pub(crate) fn change_to(&self, new: &Rules) -> Rules {
        let mut changed = Rules {
            custom: self.made.custom,
            lateness: self.made.lateness,
            ramp: self.made.ramp,
            ..new.clone()
        };
        if matches!(self.phase, Phase::HalfOpen { out, .. } if out > 0) {
            // Of the probes that are out nobody can say, from outside, which of two times they
            // have.
            changed.half_open_timeout = self.rules.half_open_timeout;
        }
        changed
    }

    /// Whether there is room for the times of `new`; `None` where that is a matter of rounding.
    pub(crate) fn has_room(&self, new: &Rules) -> Option<bool> {
        let open = i128::from(new.open_at_most) + i128::from(new.lateness);
        let probe = i128::from(new.half_open_timeout) + i128::from(new.lateness);
        let late = 2 * (self.probe_reach() >> by_width(11, 4)).max(1);
        if open <= self.open_reach() && new.half_open_timeout <= self.made.half_open_timeout {
            Some(true)
        } else if open > self.open_reach() + self.open_unit() || probe > self.probe_reach() + late {
            Some(false)
        } else {
            None
        }
    }

    /// Whether anything is left that trips with so many failures in a row.
    pub(crate) fn has_rule(&self, consecutive: u32) -> bool {
        let rated = |window: &WindowRules| window.failures.is_some() || window.slow.is_some();
        consecutive > 0 || self.made.custom.is_some() || self.rules.windows.iter().any(rated)
    }

    /// Instants at which something is due, for tests that want to come exactly then.
    pub(crate) fn next_due(&self, now: u64) -> u64 {
        let due = match self.phase {
            _ if self.state == State::RampingUp => {
                self.ramp_left(now).map_or(0, |left| left.0 + i128::from(now))
            }
            Phase::Open { highest, .. } => highest,
            Phase::HalfOpen { began, .. } => began.1 + i128::from(self.rules.half_open_timeout),
            _ => i128::from(now) + i128::from(self.rules.open_for),
        };
        u64::try_from(due).unwrap_or(now).max(now)
    }
}
