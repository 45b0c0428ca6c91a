//! The breaker's state word: its layout and its transitions, as pure functions of the old word.

use core::fmt;

use super::counts::State;
use super::ramp::Ramping;
use super::room::{Reading, Room};
use super::rules::{Probing, Rules};
use crate::time::{Ticks, scale};
use crate::word::{Field, WORD_BITS, Word, by_width, low_half, widen};

/// The state word.
///
/// ```text
///  64-bit words:
///   63      24 23       8 7      3 2     0
///  +----------+----------+--------+-------+
///  | payload  | generat. | streak | state |
///  |    40    |    16    |   5    |   3   |
///  +----------+----------+--------+-------+
///  32-bit words: payload 20, generation 6, streak 3, state 3.
///
///  payload, by state:
///   closed, metrics only   failures in a row; saturates
///   open                   the end of the open time, scaled and wrapping (time/scale.rs)
///   ramping up             +------------------------+-----------------+
///                          |       its end          | failures in row |
///                          |      28 or 14          |     12 or 6     |
///                          +------------------------+-----------------+
///   half-open              +----------------+--------+------+-----------+
///                          | probe deadline | failed | done | in flight |
///                          |    22 or 8     | 6 or 4 |6 or 4|  6 or 4   |
///                          +----------------+--------+------+-----------+
///   forced open, disabled  0
/// ```
///
/// * The generation grows by one with each transition and wraps. A result whose token carries
///   another generation is dropped; one that is still out after a whole turn of generations (65 536
///   or 64 transitions) could be taken for a current one.
/// * The streak counts how often the breaker has been half-open since it was last closed, which is
///   how often it has reopened once it is open again; it saturates, and the growing open time with
///   it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(pub(super) Word);

const STATE: Field = Field::lowest(3);
const STREAK: Field = STATE.above(by_width(5, 3));
const GENERATION: Field = STREAK.above(by_width(16, 6));
const PAYLOAD: Field = GENERATION.above(WORD_BITS - GENERATION.end());

const IN_FLIGHT: Field = GENERATION.above(by_width(6, 4));
const DONE: Field = IN_FLIGHT.above(by_width(6, 4));
const FAILED: Field = DONE.above(by_width(6, 4));
const PROBE_DEADLINE: Field = FAILED.above(WORD_BITS - FAILED.end());

const RAMP_FAILURES: Field = GENERATION.above(by_width(12, 6));
const RAMP_END: Field = RAMP_FAILURES.above(WORD_BITS - RAMP_FAILURES.end());

/// The most failures in a row that can be counted.
pub(super) const MAX_FAILURES: u64 = PAYLOAD.max() as u64;
/// The most probes, at once or in all.
pub(super) const MAX_PROBES: u64 = IN_FLIGHT.max() as u64;
/// The width of the end of the open time.
pub(super) const OPEN_BITS: u32 = PAYLOAD.width();
/// The width of the probes' deadline.
pub(super) const PROBE_BITS: u32 = PROBE_DEADLINE.width();
/// The probes' deadline has few bits, so its wrap is nearer than that of other instants. It is
/// looked at only while all probes are out, and a needless wait there costs at most one more
/// half-open timeout.
pub(super) const PROBE_HEADROOM: u32 = by_width(10, 3);

/// The width of the end of a ramp.
pub(super) const RAMP_BITS: u32 = RAMP_END.width();
/// As few as for probes, and for the same reason: a needless ramp costs no more than one.
pub(super) const RAMP_HEADROOM: u32 = by_width(10, 4);

const _: () = assert!(PAYLOAD.end() == WORD_BITS && PROBE_DEADLINE.end() == WORD_BITS);
const _: () = assert!(PROBE_BITS > PROBE_HEADROOM && OPEN_BITS > scale::HEADROOM);

/// A generation, as a token carries it.
pub(super) type Generation = u16;
const _: () = assert!(GENERATION.width() <= Generation::BITS);

/// The width of a generation.
pub(crate) const GENERATION_BITS: u32 = GENERATION.width();

/// What the word says to a call that wants in, once `word` is committed: with the call let in as a
/// probe, or reopened where the probes never reported; or else the same word as before.
#[must_use]
pub(super) struct Admit {
    pub(super) word: Snapshot,
    pub(super) answer: Answer,
}

/// Whether a call is let in, and if not, why and for how long: in one word, as few who are refused
/// look at it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer(Word);

/// Why not and for how long.
pub(super) enum Refusal {
    /// Open for so long, in units of a [`Reading`].
    Open(Word),
    /// Forced open: nobody knows for how long.
    Forced,
    /// All probes are out.
    Busy,
    /// Not in the share, which is of all in so many units of the ramp.
    Ramping(Word),
}

impl Answer {
    pub(super) const LET_IN: Self = Self(0);
    // A time in either unit is at most a horizon, far below these, and at least one.
    const FORCED: Self = Self(Word::MAX - 1);
    const BUSY: Self = Self(Word::MAX);
    const IN_RAMP: Word = Word::MAX ^ (Word::MAX >> 1);

    /// Only for calls that are not let in.
    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self(left) if left < Self::IN_RAMP => Refusal::Open(left),
            Self::FORCED => Refusal::Forced,
            Self::BUSY => Refusal::Busy,
            Self(left) => Refusal::Ramping(left ^ Self::IN_RAMP),
        }
    }
}

/// What a result does to the word.
#[must_use]
pub(super) enum Settle {
    /// This word; where it is the same, nothing is written.
    Update(Snapshot),
    /// It trips.
    Trip,
}

impl Snapshot {
    /// Closed and clean, in generation 0.
    pub(super) const NEW: Self = Self(0);

    pub(super) const fn state(self) -> State {
        match STATE.get(self.0) {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::ForcedOpen,
            4 => State::MetricsOnly,
            6 => State::RampingUp,
            // 5; 7 is never written.
            _ => State::Disabled,
        }
    }

    /// Whether the state is this one; cheaper than to decode which one it is.
    #[inline]
    pub(super) const fn is(self, state: State) -> bool {
        STATE.get(self.0) == state as Word
    }

    /// Whether calls that end are counted: closed, or metrics only.
    #[inline]
    pub(super) const fn counts(self) -> bool {
        self.is(State::Closed) || self.is(State::MetricsOnly)
    }

    pub(super) const fn generation(self) -> Generation {
        GENERATION.get(self.0) as Generation
    }

    const fn streak(self) -> Word {
        STREAK.get(self.0)
    }

    /// Failures in a row; 0 in the states that do not count.
    pub(super) const fn failures(self) -> Word {
        if self.counts() {
            self.counted_failures()
        } else if self.is(State::RampingUp) {
            RAMP_FAILURES.get(self.0)
        } else {
            0
        }
    }

    /// Failures in a row, only for words that [count](Self::counts).
    #[inline]
    pub(super) const fn counted_failures(self) -> Word {
        PAYLOAD.get(self.0)
    }

    /// Probes that reported and those of them that failed; 0 unless half-open.
    pub(super) const fn probes(self) -> (Word, Word) {
        if self.is(State::HalfOpen) { (DONE.get(self.0), FAILED.get(self.0)) } else { (0, 0) }
    }

    /// Closed, in this generation, and no failure since the last success: a further success changes
    /// nothing.
    #[inline]
    pub(super) const fn clean(generation: Generation) -> Self {
        Self(GENERATION.set(STATE.set(0, State::Closed as Word), generation as Word))
    }

    const fn with_failures(self, failures: Word) -> Self {
        Self(PAYLOAD.set(self.0, failures))
    }

    /// The word after a transition: the next generation, and no payload.
    const fn next(self, state: State, streak: Word) -> Self {
        let word = STATE.set(0, state as Word);
        let word = STREAK.set(word, streak);
        Self(GENERATION.set(word, GENERATION.get(self.0).wrapping_add(1)))
    }

    /// How many units of the open time are left at `now`; 0 where it is over. Only for open words.
    const fn open_left(self, room: Room, now: Reading) -> Word {
        let now = room.open_units(now);
        scale::ahead(PAYLOAD.get(self.0), now, OPEN_BITS, room.open_horizon())
    }

    /// How many ticks after `now` the open time is over. Only for open words.
    pub(super) const fn open_ticks(self, room: Room, now: Ticks) -> u64 {
        let now = room.reading(now);
        match self.open_left(room, now) {
            0 => 0,
            left => room.ticks(room.until_open(left, now)),
        }
    }

    /// Into a state that someone chose; `None` where it is in that state already.
    pub(super) const fn transition_to(self, state: State) -> Option<Self> {
        if state as Word == STATE.get(self.0) { None } else { Some(self.next(state, 0)) }
    }

    /// Closed and clean in a new generation, whatever it was.
    pub(super) const fn transition_reset(self) -> Self {
        self.next(State::Closed, 0)
    }

    /// Open from now on: from closed for the first time, from half-open and ramping up once more.
    pub(super) fn transition_trip(self, rules: &Rules, now: Reading) -> Self {
        let streak = self.streak();
        let open = self.next(State::Open, streak);
        let end = rules.open_until(low_half(streak), open.generation(), now);
        Self(PAYLOAD.set(open.0, rules.room.open_units(end)))
    }

    const fn answering(self, answer: Answer) -> Admit {
        Admit { word: self, answer }
    }

    /// Asks to be let in. `now` is read only where the answer depends on it.
    #[inline]
    pub(super) fn transition_admit(self, rules: &Rules, now: impl FnOnce() -> Reading) -> Admit {
        if self.is(State::Open) || self.is(State::HalfOpen) {
            self.admit_by_time(rules, now())
        } else if self.is(State::ForcedOpen) {
            self.answering(Answer::FORCED)
        } else {
            self.answering(Answer::LET_IN)
        }
    }

    fn admit_by_time(self, rules: &Rules, now: Reading) -> Admit {
        let (room, judged) = (rules.room, rules.probing());
        let mut probing = self;
        if self.is(State::Open) {
            let left = self.open_left(room, now);
            if left > 0 {
                return self.answering(Answer(room.until_open(left, now)));
            }
            let full = self.streak() == STREAK.max();
            let more = if full { self.0 } else { self.0.wrapping_add(STREAK.one()) };
            probing = self.next(State::HalfOpen, STREAK.get(more));
        }
        let probe_now = room.probe_units(now);
        let probes_left = probing.probes_left(room, probe_now);
        if !probing.has_room(judged) {
            if probes_left > 0 {
                return self.answering(Answer::BUSY);
            }
            let open = self.transition_trip(rules, now);
            // What has just become open stays so until the next unit at least.
            let left = open.open_left(room, now).max(1);
            return open.answering(Answer(room.until_open(left, now)));
        }
        probing.with_probe(judged.time(), probes_left, probe_now).answering(Answer::LET_IN)
    }

    /// Whether one more probe may be let in. Only for half-open words.
    ///
    /// Always where none is out: as many may have reported already as a smaller round that is new
    /// has, and somebody must report to end it.
    const fn has_room(self, probing: Probing) -> bool {
        let in_flight = IN_FLIGHT.get(self.0);
        in_flight == 0
            || in_flight < probing.most() && in_flight + DONE.get(self.0) < probing.round()
    }

    /// How many units the probes have left at `now`; 0 where their time is over. Means something
    /// only for half-open words with probes out.
    const fn probes_left(self, room: Room, now: Word) -> Word {
        scale::ahead(PROBE_DEADLINE.get(self.0), now, PROBE_BITS, room.probe_horizon())
    }

    /// One more probe out, and the time for all of them to report starts anew. `left` is what those
    /// have that are out.
    const fn with_probe(self, mut time: Word, left: Word, now: Word) -> Self {
        // There was room, so that no bit is carried into another field.
        let word = self.0.wrapping_add(IN_FLIGHT.one());
        // Late loses: a late reading must not cut short the time that another probe was given.
        // Seen from now, as whoever asks whether it has passed sees it: a deadline further ahead
        // than its horizon is stale, and to keep it would fail the probes at once.
        if IN_FLIGHT.get(self.0) > 0 && left > time {
            time = left;
        }
        Self(PROBE_DEADLINE.set(word, now.wrapping_add(time)))
    }

    /// A call that was let in while closed ended; `trips` is what its window and rules say.
    #[inline]
    fn transition_judged(self, rules: &Rules, failed: bool, trips: bool) -> Settle {
        let updated = match self.0.checked_add(PAYLOAD.one()) {
            _ if !failed => self.with_failures(0),
            Some(more) => Self(more),
            None => self,
        };
        let trips = trips || PAYLOAD.get(updated.0) >= rules.consecutive();
        if trips && self.is(State::Closed) { Settle::Trip } else { Settle::Update(updated) }
    }

    /// A call ended that was let in while closed or as a probe, which `trips` says nothing about.
    // One copy where breakers of many types would have each its own.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn transition_ended(self, rules: &Rules, failed: bool, trips: bool) -> Settle {
        if self.is(State::HalfOpen) {
            self.transition_probed(rules.probing(), failed)
        } else {
            self.transition_judged(rules, failed, trips)
        }
    }

    /// A probe ended.
    #[inline]
    fn transition_probed(self, probing: Probing, failed: bool) -> Settle {
        // No more of them fail than report, and none reports to a word that has as many as there
        // are bits for: that closes or reopens, whatever the settings.
        let word = self.return_probe().0.wrapping_add(DONE.one());
        let word = if failed { word.wrapping_add(FAILED.one()) } else { word };
        if FAILED.get(word) >= probing.to_reopen() {
            Settle::Trip
        } else if DONE.get(word) >= probing.to_close() {
            Settle::Update(self.next(State::Closed, 0))
        } else {
            Settle::Update(Self(word))
        }
    }

    /// Half-open has gone well: ramping up from now on. Should that trip, it has reopened: the
    /// streak is kept.
    pub(super) fn transition_ramp(self, ramp: &Ramping, now: Ticks) -> Self {
        let word = self.next(State::RampingUp, self.streak());
        Self(RAMP_END.set(word.0, ramp.units(now).wrapping_add(ramp.time())))
    }

    /// How many units of the ramp are left at `now`; 0 where it is over. Only for words that ramp
    /// up.
    fn ramp_left(self, ramp: &Ramping, now: Ticks) -> Word {
        scale::ahead(RAMP_END.get(self.0), ramp.units(now), RAMP_BITS, ramp.horizon())
    }

    /// How many ticks after `now` the ramp is over: exact. Only for words that ramp up.
    pub(super) fn ramp_ticks(self, ramp: &Ramping, now: Ticks) -> u64 {
        match self.ramp_left(ramp, now) {
            0 => 0,
            left => ramp.ticks_until(left, now),
        }
    }

    /// Asks to be let in while ramping up: takes a turn, unless that is over.
    pub(super) fn transition_admit_in_ramp(self, ramp: &Ramping, now: Ticks) -> Admit {
        match self.ramp_left(ramp, now) {
            0 => self.next(State::Closed, 0).answering(Answer::LET_IN),
            left if ramp.take_turn(left) => self.answering(Answer::LET_IN),
            left => self.answering(Answer(Answer::IN_RAMP | left)),
        }
    }

    /// A call that was let in while ramping up ended; as
    /// [`transition_judged`](Self::transition_judged).
    pub(super) fn transition_judged_in_ramp(
        self,
        rules: &Rules,
        failed: bool,
        trips: bool,
    ) -> Settle {
        let most = RAMP_FAILURES.max();
        let failures =
            if failed { RAMP_FAILURES.get(self.0).saturating_add(1).min(most) } else { 0 };
        let rule = rules.consecutive();
        // Where failures in a row are no rule, it is more than a word counts.
        let enough = failures >= rule || failures == most && widen(rule) <= MAX_FAILURES;
        if trips || enough {
            Settle::Trip
        } else {
            Settle::Update(Self(RAMP_FAILURES.set(self.0, failures)))
        }
    }

    /// A probe ended without saying anything: its place is free again.
    #[inline]
    pub(super) const fn return_probe(self) -> Self {
        if IN_FLIGHT.get(self.0) == 0 { self } else { Self(self.0 - IN_FLIGHT.one()) }
    }
}

impl Snapshot {
    /// Shows all but the ends of times, which only a scale makes sense of.
    pub(super) fn show(self, out: &mut fmt::DebugStruct<'_, '_>) {
        out.field("state", &self.state()).field("generation", &self.generation());
        match self.state() {
            State::Closed | State::MetricsOnly => out.field("failures", &self.failures()),
            State::Open => out.field("streak", &self.streak()),
            State::RampingUp => {
                out.field("streak", &self.streak()).field("failures", &self.failures())
            }
            State::HalfOpen => out
                .field("streak", &self.streak())
                .field("in_flight", &IN_FLIGHT.get(self.0))
                .field("done", &DONE.get(self.0))
                .field("failed", &FAILED.get(self.0)),
            State::ForcedOpen | State::Disabled => out,
        };
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Snapshot");
        self.show(&mut out);
        if self.state() == State::Open {
            out.field("end", &PAYLOAD.get(self.0));
        }
        out.finish()
    }
}
