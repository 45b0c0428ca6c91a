//! A breaker's configuration, checked and turned into ticks.
//!
//! Settings may change while they are in use, so each stands in a word of its own that is loaded
//! and stored whole: a reader has it as it was before or as it is after. Several are never read as
//! one, which would take a lock or a second copy of them all, so every mix of old and new settings
//! must do no harm; `breaker/live.rs` says why it does none.

use super::config::BreakerConfig;
use super::counts::Counts;
use super::room::{Reading, Room, probe_time};
use super::state::{Generation, MAX_FAILURES, MAX_PROBES, PROBE_BITS, PROBE_HEADROOM};
use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::rng::spread;
use crate::sync::{AtomicWord, Ordering, SettingWord, constructor};
use crate::time::scale::HEADROOM;
use crate::time::{self, check_rate, in_ticks_up_to};
use crate::word::{Field, WORD_BITS, Word, by_width, low_half, mask, widen};

const CONSECUTIVE_FAILURES: Setting = setting!(
    "the breaker's `consecutive_failures`" must "be from 1 to 2^32 - 1" or "be from 1 to 1048575"
);
const OPEN_JITTER: Setting = setting!("the breaker's `open_jitter`" must "be at most 100 %");
const MOST_PROBES: Setting =
    setting!("the breaker's `max_probes`" must "be from 1 to 63" or "be from 1 to 15");
const SUCCESS_THRESHOLD: Setting =
    setting!("the breaker's `success_threshold`" must "be from 1 to 63" or "be from 1 to 15");
const PROBE_FAILURE_RATE: Setting = setting!(
    "the breaker's `probe_failure_rate`" must "be more than 0 % and at most 100 %"
);
const PROBES_TO_JUDGE: Setting = setting!(
    "the number of probes of the breaker's `probe_failure_rate`"
        must "be from 1 to 63" or "be from 1 to 15"
);
const OPEN_GROWTH: Setting = setting!(
    "the breaker's `open_growth`" must "be from 100 % to 6553500 %" or "be from 100 % to 25500 %"
);
const OPEN_FOR: Setting = setting!(
    "the breaker's `open_for`"
        must "be from one tick of the clock to a quarter of its range"
        or "be from one tick of the clock to 2^52 - 1 of them"
);
const OPEN_AT_MOST: Setting = setting!(
    "the longest time of the breaker's `open_growth`"
        must "be from `open_for` to a quarter of the clock's range"
        or "be from `open_for` to 2^52 - 1 ticks of the clock"
);
const HALF_OPEN_TIMEOUT: Setting = setting!(
    "the breaker's `half_open_timeout`"
        must "be from one tick of the clock to a quarter of its range"
        or "be from one tick of the clock to 2^52 - 1 of them"
);
const MAX_LATENESS: Setting = setting!(
    "the breaker's `max_lateness`"
        must "be at most a quarter of the clock's range"
        or "be at most 2^52 - 1 ticks of the clock"
);
const _: () = assert!(MAX_FAILURES < widen(Word::MAX));

/// What the state machine goes by.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) custom: Option<fn(&Counts) -> bool>,
    /// So many failures in a row trip: more than a word counts where they are no rule.
    consecutive: SettingWord,
    /// As [`Room::wait`] has it, as is the next one.
    open_for: SettingWord,
    open_at_most: SettingWord,
    /// A [`Factor`].
    growth: SettingWord,
    /// A [`Jitter`].
    jitter: SettingWord,
    /// [`Probing`], and whether a change of the settings is under way.
    probing: AtomicWord,
    pub(super) room: Room,
}

/// The settings as words.
#[derive(Clone, Copy)]
struct Words {
    consecutive: Word,
    open_for: Word,
    open_at_most: Word,
    growth: Factor,
    jitter: Jitter,
    probing: Probing,
}

/// The longest time, in ticks. Where words are 32 bits a reading is shifted by less than 32, which
/// spares a small target half of each shift of 64 bits: 52 days of nanoseconds.
pub(super) const LONGEST: u64 = if WORD_BITS == 64 { time::LONGEST } else { (1 << 52) - 1 };

/// The times of a configuration, in ticks: each is at most [`LONGEST`].
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) open_for: u64,
    pub(super) open_at_most: u64,
    pub(super) timeout: u64,
    pub(super) lateness: u64,
}

impl Times {
    pub(super) const fn new(config: &BreakerConfig, hz: u64) -> Result<Self, ConfigError> {
        let open_for = check!(in_ticks_up_to(OPEN_FOR, config.open_for, hz, 1, LONGEST));
        let open_at_most =
            check!(in_ticks_up_to(OPEN_AT_MOST, config.open_at_most, hz, open_for, LONGEST));
        let timeout =
            check!(in_ticks_up_to(HALF_OPEN_TIMEOUT, config.half_open_timeout, hz, 1, LONGEST));
        let lateness = check!(in_ticks_up_to(MAX_LATENESS, config.lateness, hz, 0, LONGEST));
        Ok(Self { open_for, open_at_most, timeout, lateness })
    }
}

impl Words {
    /// Checks `config`, but for its times, which are given in ticks and fit the room.
    const fn new(config: &BreakerConfig, times: Times, room: Room) -> Result<Self, ConfigError> {
        let consecutive = config.consecutive as u64;
        if consecutive > MAX_FAILURES {
            return Err(CONSECUTIVE_FAILURES.number(consecutive, 1, MAX_FAILURES));
        }
        if config.jitter_percent > 100 {
            return Err(OPEN_JITTER.ratio(Ratio::percent(config.jitter_percent)));
        }
        let growth = check!(Factor::new(config.growth));
        Ok(Self {
            consecutive: if consecutive == 0 { Word::MAX } else { consecutive as Word },
            open_for: room.wait(times.open_for),
            open_at_most: room.wait(times.open_at_most),
            growth,
            jitter: Jitter::new(config.jitter_percent, config.seed),
            probing: check!(Probing::new(config, probe_time(room.probe_scale(), times.timeout))),
        })
    }
}

impl Rules {
    constructor! {
        /// Checks `config` for a clock of `hz` ticks per second.
        pub(super) const fn new(config: &BreakerConfig, hz: u64) -> Result<Self, ConfigError> {
            check!(check_rate(hz));
            let times = check!(Times::new(config, hz));
            let room = check!(Room::new(config, times, hz));
            let words = check!(Words::new(config, times, room));
            Ok(Self {
                custom: config.custom,
                consecutive: SettingWord::new(words.consecutive),
                open_for: SettingWord::new(words.open_for),
                open_at_most: SettingWord::new(words.open_at_most),
                growth: SettingWord::new(words.growth.0),
                jitter: SettingWord::new(words.jitter.0),
                probing: AtomicWord::new(words.probing.0),
                room,
            })
        }
    }

    /// Puts the settings of `config` in force, but for its custom rule.
    pub(super) fn change(&self, config: &BreakerConfig, hz: u64) -> Result<(), ConfigError> {
        let times = Times::new(config, hz)?;
        self.room.holds(times, hz)?;
        let words = Words::new(config, times, self.room)?;
        let old = self.probing();
        let claimed = Probing(CHANGING.set(old.0, 1));
        // Acquire: the stores of a change before this one came before ours; pairs with the Release
        // below. Relaxed on failure: nothing is read that it could publish.
        let claim = || {
            self.probing.compare_exchange(old.0, claimed.0, Ordering::Acquire, Ordering::Relaxed)
        };
        if CHANGING.get(old.0) != 0 || claim().is_err() {
            return Err(ConfigError::ChangeUnderWay);
        }
        // Relaxed: each is whole by itself, and any mix of old and new does; see `live.rs`.
        self.consecutive.store(words.consecutive, Ordering::Relaxed);
        self.open_for.store(words.open_for, Ordering::Relaxed);
        self.open_at_most.store(words.open_at_most, Ordering::Relaxed);
        self.growth.store(words.growth.0, Ordering::Relaxed);
        self.jitter.store(words.jitter.0, Ordering::Relaxed);
        // A store will do, as nobody else writes while the change is under way. Release: pairs with
        // the Acquire above.
        self.probing.store(words.probing.0, Ordering::Release);
        Ok(())
    }

    /// So many failures in a row trip; more than can be counted where they are no rule.
    #[inline]
    pub(super) fn consecutive(&self) -> Word {
        // Relaxed, here and below: a setting is a number, and publishes nothing.
        self.consecutive.load(Ordering::Relaxed)
    }

    /// How half-open is judged.
    #[inline]
    pub(super) fn probing(&self) -> Probing {
        Probing(self.probing.load(Ordering::Relaxed))
    }

    fn open_for(&self) -> Word {
        self.open_for.load(Ordering::Relaxed)
    }

    /// How many ticks to let pass before looking again whether a probe has come back.
    pub(super) fn look_again(&self) -> u64 {
        self.room.ticks(self.open_for()) / 16 + 1
    }

    /// When to stop being open, from `now` on and after having reopened `streak` times.
    ///
    /// `min(at_most, open_for * growth^streak)` later, less a random part of at most the jitter:
    /// after the cap, so that the cap holds.
    pub(super) fn open_until(&self, streak: u32, generation: Generation, now: Reading) -> Reading {
        let at_most = self.open_at_most.load(Ordering::Relaxed);
        let growth = Factor(self.growth.load(Ordering::Relaxed));
        let jitter = Jitter(self.jitter.load(Ordering::Relaxed));
        let mut wait = self.open_for();
        for _ in 0..streak {
            wait = growth.of(wait, at_most);
        }
        let high = low_half(now.0 >> (WORD_BITS - 32)).rotate_left(16);
        let seed = jitter.seed() ^ low_half(now.0) ^ by_width(high, 0) ^ u32::from(generation);
        // Never the whole of the jitter.
        let part = (u64::from(jitter.parts()) * u64::from(spread(seed))) >> 32;
        let wait = wait.wrapping_sub(part_of(wait, part as u32));
        Reading(now.0.wrapping_add(wait))
    }
}

/// What half-open goes by, in one word: a round of probes is never judged by half of a change.
///
/// ```text
///  64-bit words:
///   63    27      26         25      24        19 18       13 12   6 5         0
///  +--------+----------+-----------+-----------+-----------+-------+------------+
///  |  time  | changing | abandoned | to reopen | to close  | round | max probes |
///  |   37   |    1     |     1     |     6     |     6     |   7   |     6      |
///  +--------+----------+-----------+-----------+-----------+-------+------------+
///  32-bit words: time 13, then 1, 1, 4, 4, 5, 4.
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Probing(Word);

const MOST: Field = Field::lowest(by_width(6, 4));
const ROUND: Field = MOST.above(by_width(7, 5));
const TO_CLOSE: Field = ROUND.above(by_width(6, 4));
const TO_REOPEN: Field = TO_CLOSE.above(by_width(6, 4));
const ABANDONED: Field = TO_REOPEN.above(1);
const CHANGING: Field = ABANDONED.above(1);
const TIME: Field = CHANGING.above(WORD_BITS - CHANGING.end());
const _: () = assert!(widen(MOST.max()) == MAX_PROBES && widen(ROUND.max()) > 2 * MAX_PROBES);
const _: () = assert!(TIME.width() > PROBE_BITS - PROBE_HEADROOM + 1);

impl Probing {
    const fn new(config: &BreakerConfig, time: Word) -> Result<Self, ConfigError> {
        let most = check!(MOST_PROBES.check(config.max_probes as u64, 1, MAX_PROBES));
        let to_close = config.success_threshold as u64;
        let (round, to_reopen) = match config.probe_rate {
            Some(rate) => {
                if !rate.is_share() {
                    return Err(PROBE_FAILURE_RATE.ratio(rate));
                }
                check!(PROBES_TO_JUDGE.check(to_close, 1, MAX_PROBES));
                // Of all probes of the round: reached now means reached at its end as well.
                (to_close as Word, rate.least_part(to_close as u32) as Word)
            }
            None => {
                check!(SUCCESS_THRESHOLD.check(to_close, 1, MAX_PROBES));
                (ROUND.max(), 1)
            }
        };
        let word = TO_CLOSE.set(ROUND.set(MOST.set(0, most as Word), round), to_close as Word);
        let word = ABANDONED.set(TO_REOPEN.set(word, to_reopen), config.abandoned_fails as Word);
        Ok(Self(TIME.set(word, time)))
    }

    /// The most probes that are out at once.
    pub(super) const fn most(self) -> Word {
        MOST.get(self.0)
    }

    /// The most probes of one half-open; judged by successes in a row, more than there can be.
    pub(super) const fn round(self) -> Word {
        ROUND.get(self.0)
    }

    /// So many probes that reported close, unless [so many of them failed](Self::to_reopen).
    pub(super) const fn to_close(self) -> Word {
        TO_CLOSE.get(self.0)
    }

    pub(super) const fn to_reopen(self) -> Word {
        TO_REOPEN.get(self.0)
    }

    /// Whether an abandoned call has failed.
    pub(super) const fn abandoned_fails(self) -> bool {
        ABANDONED.get(self.0) != 0
    }

    /// How many units the probes have from the reading at which the last one was let in.
    pub(super) const fn time(self) -> Word {
        TIME.get(self.0)
    }
}

/// The random part of an open time, in the highest bits, and the seed of all random parts, in all
/// of them: 32 bits and 32 more, or 12 and 20 more.
#[derive(Clone, Copy)]
struct Jitter(Word);

impl Jitter {
    /// `percent` is at most 100, and rounded down; all but one part for the whole.
    const fn new(percent: u32, seed: u64) -> Self {
        let parts = ((percent as u64) << 32) / 100;
        let parts = if parts > u32::MAX as u64 { u32::MAX as u64 } else { parts };
        if WORD_BITS == 64 {
            let seed = (seed ^ (seed >> 32)) & 0xffff_ffff;
            return Self(((parts << 32) | seed) as Word);
        }
        let seed = seed ^ (seed >> 20) ^ (seed >> 40);
        Self((parts as Word & !mask(20)) | (seed as Word & mask(20)))
    }

    const fn seed(self) -> u32 {
        low_half(self.0)
    }

    /// In parts of 2^32; 0 for none.
    const fn parts(self) -> u32 {
        low_half((self.0 >> (WORD_BITS - 32)) & !mask(by_width(0, 20)))
    }
}

/// A product of two words.
#[cfg(any(not(target_has_atomic = "64"), fusebox_word32))]
type Product = u64;
/// A product of two words.
#[cfg(all(target_has_atomic = "64", not(fusebox_word32)))]
type Product = u128;

/// So many parts of 2^32 of `wait`, rounded down.
#[inline]
const fn part_of(wait: Word, parts: u32) -> Word {
    ((wait as Product).wrapping_mul(parts as Product) >> 32) as Word
}

/// A number of at least 1 that times are multiplied by, in parts of 2^32 (where words are 32 bits
/// 2^24): its whole has so few bits that no product with a time leaves a word.
///
/// Not a fraction of two numbers, as a small target would need half a kilobyte to divide 64 bits.
#[derive(Clone, Copy)]
struct Factor(Word);

/// How many bits of a factor are its fraction.
const FRACTION: u32 = by_width(32, 24);
const WHOLE: u32 = by_width(16, 8);
// The headroom over the longest time is the same in a reading as in the state word.
const _: () = assert!(WHOLE <= HEADROOM);

impl Factor {
    /// `ratio`, of at least 1, rounded up: a product that is a whole number of ticks is then
    /// exactly that, up to the parts over the denominator.
    const fn new(ratio: Ratio) -> Result<Self, ConfigError> {
        let (numerator, denominator) = (ratio.numerator() as u64, ratio.denominator() as u64);
        if denominator == 0 || numerator < denominator {
            return Err(OPEN_GROWTH.ratio(ratio));
        }
        let (whole, rest) = (numerator / denominator, numerator % denominator);
        let most = widen(mask(WHOLE));
        if whole > most || (whole == most && rest > 0) {
            return Err(OPEN_GROWTH.ratio(ratio));
        }
        // A fraction that is rounded up to the next whole number counts as one.
        let parts = (rest << FRACTION).div_ceil(denominator);
        Ok(Self((whole << FRACTION).wrapping_add(parts) as Word))
    }

    /// This times `wait`, rounded down, but `at_most`.
    const fn of(self, wait: Word, at_most: Word) -> Word {
        let grown = ((wait as Product).wrapping_mul(self.0 as Product) >> FRACTION) as Word;
        if grown > at_most { at_most } else { grown }
    }
}
