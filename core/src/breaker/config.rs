//! How a breaker behaves, as the user says it.

use core::time::Duration;

use super::counts::Counts;
use crate::ratio::Ratio;
use crate::time::scale::DEFAULT_LATENESS;

/// The configuration of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// Start from a preset and change what differs. Rates over a window of calls or of time belong to
/// the window: see [`LastCalls`](crate::LastCalls) and [`LastTime`](crate::LastTime). All rules
/// work together: the first one that is met trips the breaker.
///
/// | setting | `standard` | `aggressive` | `conservative` |
/// |---|---|---|---|
/// | [`consecutive_failures`](Self::consecutive_failures) | 5 | 3 | 10 |
/// | [`open_for`](Self::open_for) | 30 s | 30 s | 10 s |
/// | [`open_growth`](Self::open_growth) | none | x 2, up to 5 min | none |
/// | [`max_probes`](Self::max_probes) | 1 | 1 | 3 |
/// | [`success_threshold`](Self::success_threshold) | 1 | 3 | 2 |
/// | [`half_open_timeout`](Self::half_open_timeout) | 60 s | 60 s | 60 s |
/// | [`max_lateness`](Self::max_lateness) | 1 s | 1 s | 1 s |
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BreakerConfig, CircuitBreaker, ManualClock, Ratio};
///
/// const DB: BreakerConfig = BreakerConfig::standard()
///     .consecutive_failures(3)
///     .open_for(Duration::from_secs(10))
///     .open_growth(Ratio::percent(150), Duration::from_secs(120))
///     .success_threshold(2);
///
/// let clock: ManualClock = ManualClock::new();
/// let breaker = CircuitBreaker::new(DB, &clock);
/// # assert!(!breaker.is_open());
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct BreakerConfig {
    pub(super) consecutive: u32,
    pub(super) custom: Option<fn(&Counts) -> bool>,
    pub(super) open_for: Duration,
    pub(super) growth: Ratio,
    pub(super) open_at_most: Duration,
    pub(super) jitter_percent: u32,
    pub(super) seed: u64,
    pub(super) max_probes: u32,
    pub(super) success_threshold: u32,
    pub(super) probe_rate: Option<Ratio>,
    pub(super) half_open_timeout: Duration,
    pub(super) lateness: Duration,
    pub(super) room: (Duration, Duration),
    pub(super) abandoned_fails: bool,
}

impl BreakerConfig {
    /// Opens after 5 failures in a row, for 30 s; one good probe closes it.
    pub const fn standard() -> Self {
        let open_for = Duration::from_secs(30);
        Self {
            consecutive: 5,
            custom: None,
            open_for,
            growth: Ratio::percent(100),
            open_at_most: open_for,
            jitter_percent: 0,
            seed: 0,
            max_probes: 1,
            success_threshold: 1,
            probe_rate: None,
            half_open_timeout: Duration::from_secs(60),
            lateness: DEFAULT_LATENESS,
            room: (Duration::ZERO, Duration::ZERO),
            abandoned_fails: false,
        }
    }

    /// Protects what it calls: opens after 3 failures in a row, for 30 s and twice as long each
    /// time it reopens, up to 5 minutes; closes after 3 good probes, one at a time.
    pub const fn aggressive() -> Self {
        Self::standard()
            .consecutive_failures(3)
            .open_growth(Ratio::percent(200), Duration::from_secs(300))
            .success_threshold(3)
    }

    /// Opens late and tries again soon: after 10 failures in a row, for 10 s; closes after 2 good
    /// probes of which 3 may be out at once.
    pub const fn conservative() -> Self {
        Self::standard()
            .consecutive_failures(10)
            .open_for(Duration::from_secs(10))
            .max_probes(3)
            .success_threshold(2)
    }

    /// Trips after this many failures with no success between them: 1 to 2^32 - 1, where words are
    /// 32 bits 1 to 1 048 575.
    pub const fn consecutive_failures(self, failures: u32) -> Self {
        Self { consecutive: failures, ..self }
    }

    /// Does not count failures in a row as a reason to trip; for breakers that judge by a window or
    /// a rule of their own alone.
    pub const fn without_consecutive_failures(self) -> Self {
        self.consecutive_failures(0)
    }

    /// Trips when `rule` says so.
    ///
    /// With a window the rule is asked after each judged call, successes too, and gets the counts
    /// of that window; of calls that end at the same moment, one may be asked about for all.
    /// Without one it is asked after each failure, and `consecutive_failures` is all it is
    /// told, as such a breaker does not write anything on a success; a meter adds its own.
    /// It may be asked again about the same call, mostly where others ended meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BreakerConfig, Counts};
    ///
    /// fn mostly_failing(counts: &Counts) -> bool {
    ///     counts.failures > 10 && counts.failures > 2 * counts.successes
    /// }
    /// let config = BreakerConfig::standard().trip_when(mostly_failing);
    /// # let _ = config;
    /// ```
    pub const fn trip_when(self, rule: fn(&Counts) -> bool) -> Self {
        Self { custom: Some(rule), ..self }
    }

    /// How long it stays open: at least one tick, and where words are 32 bits less than 2^52 of
    /// them, as all times of a breaker.
    ///
    /// Shorter by at most about one part in 2^23 (where words are 32 bits 2^9) of the longest open
    /// time and [`max_lateness`](Self::max_lateness) together, or if that is more, in 2^53 (2^28)
    /// of the longest half-open timeout and the lateness; exact where that is less than a tick.
    /// Lengths of time are whole numbers, at least one, of parts in 2^47 (2^21) of the same.
    ///
    /// Only where words are 64 bits, and the longest open time and the lateness come to 2^48 ticks
    /// or more, or the longest half-open timeout and the lateness to 2^54, a time that spans the
    /// clock's wrap at 2^64 ticks may end at once.
    pub const fn open_for(self, open_for: Duration) -> Self {
        let open_at_most = if open_for.as_nanos() > self.open_at_most.as_nanos()
            || self.growth.numerator() == self.growth.denominator()
        {
            open_for
        } else {
            self.open_at_most
        };
        Self { open_for, open_at_most, ..self }
    }

    /// Each time a probe fails, the next open time is `growth` times as long, up to `at_most`; once
    /// closed, it starts from [`open_for`](Self::open_for) again. `growth` is at least 1 and
    /// at most 65 535, where words are 32 bits at most 255. It grows at most 31 times, where words
    /// are 32 bits 7 times.
    pub const fn open_growth(self, growth: Ratio, at_most: Duration) -> Self {
        Self { growth, open_at_most: at_most, ..self }
    }

    /// Shortens each open time by a random part of at most `percent` (0 to 100), so that a fleet
    /// does not come back all at once.
    ///
    /// `seed` should differ from one device or process to the next; there is no default, as a
    /// constant would make the whole fleet draw the same numbers. A `static` on a server cannot
    /// have a seed per process, nor does it need one where its clock counts nanoseconds: the
    /// clock's reading is mixed in, which differs anyway, so there any constant will do.
    pub const fn open_jitter(self, percent: u32, seed: u64) -> Self {
        Self { jitter_percent: percent, seed, ..self }
    }

    /// How many probes may be out at once while half-open: 1 to 63, where words are 32 bits 1 to
    /// 15.
    pub const fn max_probes(self, probes: u32) -> Self {
        Self { max_probes: probes, ..self }
    }

    /// Closes after this many good probes: 1 to 63, where words are 32 bits 1 to 15. One bad probe
    /// reopens.
    pub const fn success_threshold(self, successes: u32) -> Self {
        Self { success_threshold: successes, probe_rate: None, ..self }
    }

    /// Judges half-open by rate instead: of `probes` (1 to 63, where words are 32 bits 1 to 15)
    /// that reported, a share of failures that reaches `rate`, above 0 and at most 1, reopens, as
    /// soon as that is certain, and any less closes.
    pub const fn probe_failure_rate(self, rate: Ratio, probes: u32) -> Self {
        Self { success_threshold: probes, probe_rate: Some(rate), ..self }
    }

    /// How long probes may take: when all are out, and the last one was let in this long ago, they
    /// count as failed and the breaker reopens. Longer than the longest good call, at least one
    /// tick. Never early; late by at most two ticks, or two parts in 2^11 (where words are 32
    /// bits 2^4) of it and [`max_lateness`](Self::max_lateness) together, or if that is more, in
    /// 2^47 (2^21) of the longest open time and the lateness. A breaker that no call came to for
    /// about 2^10 times (where words are 32 bits 2^3 times) as long may wait once more.
    pub const fn half_open_timeout(self, timeout: Duration) -> Self {
        Self { half_open_timeout: timeout, ..self }
    }

    /// The largest lateness of a clock reading that is supported: how long a thread may be stopped
    /// between reading the clock and committing what follows from it.
    pub const fn max_lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// Leaves room to [`reconfigure`](crate::CircuitBreaker::reconfigure) the breaker, while it is
    /// in use, to open times and half-open timeouts of up to these, where they are longer than
    /// those that it is made with. The longer they are, the less precise are both kinds of
    /// time: what is said of that at [`open_for`](Self::open_for) and
    /// [`half_open_timeout`](Self::half_open_timeout) is then said of these times.
    pub const fn room_for(self, open: Duration, half_open_timeout: Duration) -> Self {
        Self { room: (open, half_open_timeout), ..self }
    }

    /// Whether it can trip without a window.
    pub(super) const fn has_rule(&self) -> bool {
        self.has_count() || self.custom.is_some()
    }

    /// Whether failures in a row trip it.
    pub(super) const fn has_count(&self) -> bool {
        self.consecutive != 0
    }

    /// Counts a call that was abandoned (its permit dropped, its future cancelled) as a failure;
    /// otherwise it says nothing.
    pub const fn abandoned_is_failure(self, fails: bool) -> Self {
        Self { abandoned_fails: fails, ..self }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self::standard()
    }
}
