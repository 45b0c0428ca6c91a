//! The room that a breaker has for times: how its clock becomes the instants in its state word.
//!
//! A state word has two instants in a few bits each, the end of the open time and the deadline of
//! the probes, in units of their own (`time/scale.rs`). Both are cut from one reading of the clock
//! that is as wide as a word: so a small target shifts 64 bits once for each question, and all that
//! follows is arithmetic on words.

use super::config::BreakerConfig;
use super::rules::{LONGEST, Times};
use super::state::{OPEN_BITS, PROBE_BITS, PROBE_HEADROOM};
use crate::error::{ConfigError, Setting, check, setting};
use crate::time::scale::{Coarse, HEADROOM};
use crate::time::{Ticks, duration_from_ticks, in_ticks_up_to};
use crate::word::{Field, WORD_BITS, Word, by_width, low_half, widen};

const ROOM_OPEN: Setting = setting!(
    "the open time of the breaker's `room_for`"
        must "be at most a quarter of the clock's range"
        or "be at most 2^52 - 1 ticks of the clock"
);
const ROOM_TIMEOUT: Setting = setting!(
    "the half-open timeout of the breaker's `room_for`"
        must "be at most a quarter of the clock's range"
        or "be at most 2^52 - 1 ticks of the clock"
);
const OPEN_IN_ROOM: Setting = setting!(
    "the longest open time of `reconfigure`" must "fit the room that the breaker was made with"
);
const TIMEOUT_IN_ROOM: Setting = setting!(
    "the `half_open_timeout` of `reconfigure`" must "fit the room that the breaker was made with"
);

/// A reading of the clock in one word, wrapping.
#[derive(Clone, Copy)]
pub(super) struct Reading(pub(super) Word);

/// The scales of the instants in the state word: made for the longest times, and never changed, so
/// that what stands in the word means the same for ever.
///
/// ```text
///  64-bit words:
///   63        30 29         17 16    11 10     6 5        0
///  +------------+-------------+--------+--------+---------+
///  |    open    |    probe    | probe  |  open  | reading |
///  |  horizon   |   horizon   |  shift |  shift |  shift  |
///  |     34     |     13      |   6    |   5    |    6    |
///  +------------+-------------+--------+--------+---------+
///  32-bit words: horizons 12 and 6, shifts 5, 4, 5.
/// ```
///
/// * A [`Reading`] is the clock's, shifted: the finest of which a word has enough for both fields.
/// * The other two shifts say how much coarser the units of the fields are, in which the horizons
///   are given as well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(Word);

const READING: Field = Field::lowest(by_width(6, 5));
const OPEN: Field = READING.above(by_width(5, 4));
const PROBE: Field = OPEN.above(by_width(6, 5));
const PROBE_HORIZON: Field = PROBE.above(by_width(13, 6));
const OPEN_HORIZON: Field = PROBE_HORIZON.above(WORD_BITS - PROBE_HORIZON.end());
// A field takes its bits from the middle of a reading.
const _: () = assert!(low_half(OPEN.max()) >= WORD_BITS - OPEN_BITS);
const _: () = assert!(low_half(PROBE.max()) >= WORD_BITS - PROBE_BITS);
// What a reading must leave out, at most: for both fields, as the second has less headroom.
const _: () = assert!(LONGEST.ilog2() + 2 + HEADROOM <= WORD_BITS + low_half(READING.max()));
const _: () = assert!(PROBE_HEADROOM <= HEADROOM);
// What the headroom leaves, all of it, and in the second what is rounded up.
const _: () = assert!(OPEN_HORIZON.width() > OPEN_BITS - HEADROOM);
const _: () = assert!(PROBE_HORIZON.width() > PROBE_BITS - PROBE_HEADROOM);

/// How many units of `scale` the probes have: one more than the time rounded up, as a reading is
/// rounded down. Never early.
pub(super) const fn probe_time(scale: Coarse, timeout: u64) -> Word {
    scale.units_up(timeout).saturating_add(1)
}

impl Room {
    pub(super) const fn new(
        config: &BreakerConfig,
        times: Times,
        hz: u64,
    ) -> Result<Self, ConfigError> {
        let open = check!(in_ticks_up_to(ROOM_OPEN, config.room.0, hz, 0, LONGEST));
        let open = if open > times.open_at_most { open } else { times.open_at_most };
        let timeout = check!(in_ticks_up_to(ROOM_TIMEOUT, config.room.1, hz, 0, LONGEST));
        let timeout = if timeout > times.timeout { timeout } else { times.timeout };
        let lateness = times.lateness;
        let open_reach = open.saturating_add(lateness);
        let probe_reach = timeout.saturating_add(lateness);
        let open = Coarse::fit(open_reach, OPEN_BITS, HEADROOM).shift();
        let probe = Coarse::fit(probe_reach, PROBE_BITS, PROBE_HEADROOM).shift();
        // A field takes its bits from the middle of a reading, which must reach so far up.
        let reading = most(
            open.saturating_sub(WORD_BITS - OPEN_BITS),
            probe.saturating_sub(WORD_BITS - PROBE_BITS),
        );
        let (open, probe) = (most(open, reading), most(probe, reading));
        let (open_scale, probe_scale) = (Coarse::by(open), Coarse::by(probe));
        // The time is rounded up by itself: so must the lateness be, or a reader that is just so
        // late would take a live deadline for a stale one.
        let late = probe_scale.units_up(lateness);
        let probe_horizon = probe_time(probe_scale, timeout).saturating_add(late);
        // No open time is less than one unit of a reading; see `wait`.
        let least = Coarse::by(reading).ticks(1).saturating_add(lateness);
        let open_reach = if open_reach < least { least } else { open_reach };
        let word = OPEN_HORIZON.set(0, open_scale.units_up(open_reach));
        let word = PROBE_HORIZON.set(word, probe_horizon);
        let word = PROBE.set(word, probe.saturating_sub(reading) as Word);
        let word = OPEN.set(word, open.saturating_sub(reading) as Word);
        Ok(Self(READING.set(word, reading as Word)))
    }

    /// A reading of the clock.
    #[inline]
    pub(super) const fn reading(self, now: Ticks) -> Reading {
        Reading(self.scale().units(now))
    }

    /// A reading in the units of the end of the open time.
    pub(super) const fn open_units(self, at: Reading) -> Word {
        at.0 >> OPEN.get(self.0)
    }

    /// A reading in the units of the probes' deadline.
    pub(super) const fn probe_units(self, at: Reading) -> Word {
        at.0 >> PROBE.get(self.0)
    }

    /// The longest time from now to the end of the open time, in its units.
    pub(super) const fn open_horizon(self) -> Word {
        OPEN_HORIZON.get(self.0)
    }

    /// The longest time from now to the probes' deadline, in its units.
    pub(super) const fn probe_horizon(self) -> Word {
        PROBE_HORIZON.get(self.0)
    }

    /// How long after `now` a reading will have grown by so many units of the open time, none of
    /// which is further ahead than the horizon.
    pub(super) const fn until_open(self, units: Word, now: Reading) -> Word {
        let end = self.open_units(now).wrapping_add(units) << OPEN.get(self.0);
        end.wrapping_sub(now.0)
    }

    /// A time in units of a reading, rounded down, and at least one of them.
    pub(super) const fn wait(self, ticks: u64) -> Word {
        let wait = self.scale().units(Ticks(ticks));
        if wait == 0 { 1 } else { wait }
    }

    /// The same in ticks.
    pub(super) const fn ticks(self, wait: Word) -> u64 {
        self.scale().ticks(widen(wait))
    }

    const fn scale(self) -> Coarse {
        Coarse::by(READING.get(self.0) as u32)
    }

    const fn open_scale(self) -> Coarse {
        Coarse::by((READING.get(self.0) + OPEN.get(self.0)) as u32)
    }

    pub(super) const fn probe_scale(self) -> Coarse {
        Coarse::by((READING.get(self.0) + PROBE.get(self.0)) as u32)
    }

    /// Checks that new times, with their lateness, come within the horizons.
    pub(super) fn holds(self, times: Times, hz: u64) -> Result<(), ConfigError> {
        let Times { open_at_most, timeout, lateness, .. } = times;
        let tick = duration_from_ticks(1, hz);
        let reach = self.open_scale().ticks(widen(self.open_horizon()));
        let open_at_least = if open_at_most < self.ticks(1) { self.ticks(1) } else { open_at_most };
        if open_at_least.saturating_add(lateness) > reach {
            let most = duration_from_ticks(reach.saturating_sub(lateness), hz);
            return Err(OPEN_IN_ROOM.duration(duration_from_ticks(open_at_most, hz), tick, most));
        }
        let probe = self.probe_scale();
        let units = self.probe_horizon().saturating_sub(probe.units_up(lateness));
        if probe_time(probe, timeout) > units {
            let most = duration_from_ticks(probe.ticks(widen(units.saturating_sub(1))), hz);
            return Err(TIMEOUT_IN_ROOM.duration(duration_from_ticks(timeout, hz), tick, most));
        }
        Ok(())
    }
}

/// The greater of two.
const fn most(one: u32, other: u32) -> u32 {
    if one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::word::mask;

    /// In ticks of a nanosecond.
    fn room(open: u64, timeout: u64, lateness: u64) -> (Times, Room) {
        let hz = 1_000_000_000;
        let config = BreakerConfig::standard()
            .open_for(Duration::from_nanos(open))
            .half_open_timeout(Duration::from_nanos(timeout))
            .max_lateness(Duration::from_nanos(lateness));
        let times = Times::new(&config, hz).unwrap();
        (times, Room::new(&config, times, hz).unwrap())
    }

    #[test]
    fn both_instants_keep_their_headroom_however_far_apart_they_are() {
        let lengths = [1, 999, 1 << 20, 1_000_000_000, 1 << 40, (1 << 52) - 1];
        for index in 0..lengths.len().pow(3) {
            let pick = |place| lengths[index / lengths.len().pow(place) % lengths.len()];
            let (open, timeout, lateness) = (pick(0), pick(1), pick(2) - 1);
            let (times, room) = room(open, timeout, lateness);
            assert!(room.open_horizon() <= (1 << (OPEN_BITS - HEADROOM)) + 1);
            assert!(room.probe_horizon() <= (1 << (PROBE_BITS - PROBE_HEADROOM)) + 2);
            let [reach, late] = [open, timeout].map(|time| time + lateness);
            // What is ahead by more is stale, and what is not may be waited for.
            let horizon = room.open_scale().ticks(widen(room.open_horizon()));
            let reach = reach.max(room.ticks(1) + lateness);
            assert!(horizon >= reach && horizon - reach < room.open_scale().ticks(1));
            let horizon = room.probe_scale().ticks(widen(room.probe_horizon()));
            assert!(horizon > late && horizon - late <= room.probe_scale().ticks(3));
            assert!(room.holds(times, 1_000_000_000).is_ok(), "its own times fit");

            let time = probe_time(room.probe_scale(), timeout);
            for now in [0, 12_345, u64::MAX >> 3, 1 << 60] {
                let begin = room.reading(Ticks(now));
                let end = Reading(begin.0.wrapping_add(room.wait(open)));
                let units =
                    room.open_units(end).wrapping_sub(room.open_units(begin)) & mask(OPEN_BITS);
                assert!(widen(units) <= (open >> room.open_scale().shift()) + 1);
                if units > 0 {
                    let until = room.ticks(room.until_open(units, begin));
                    assert!(until <= open + room.ticks(1), "{until} of {open}");
                }
                for late in [1, lateness / 2, lateness].map(|late| late.min(lateness)) {
                    let reader = room.open_units(room.reading(Ticks(now.wrapping_sub(late))));
                    let ahead = room.open_units(end).wrapping_sub(reader) & mask(OPEN_BITS);
                    assert!(now < late || ahead <= room.open_horizon(), "{late} late: {ahead}");
                }
                let deadline = room.probe_units(begin).wrapping_add(time);
                let last = room.probe_units(room.reading(Ticks(now + timeout)));
                let left = deadline.wrapping_sub(last) & mask(PROBE_BITS);
                assert!(left > 0 && left <= time, "at {now} of {timeout}: early by {left}");
            }
        }
    }
}
