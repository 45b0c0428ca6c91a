//! The settings of an adaptive limit, and how they become rules.

use core::time::Duration;

use super::algorithm::{MAX_WINDOWS, MeasuresLatency, Memory, Plan, Probe, Rules, sealed};
use super::latency::{LATENCY_BITS, Latency};
use super::window::{MAX_SAMPLES, Spans, SpansInTicks};
use crate::error::{ConfigError, Setting, check, setting};
use crate::inflight::{Limit, MAX_LIMIT, Share};
use crate::priority::{Priority, Shares, SharesConfig};
use crate::ratio::Ratio;
use crate::time::scale::{DEFAULT_LATENESS, Scale};
use crate::time::{check_rate, duration_from_ticks, ticks_from_duration};
use crate::word::{Word, widen};

const MAX: Setting =
    setting!("the limit's `max`" must "be from 1 to 2^24 - 1" or "be from 1 to 4095");
const MIN: Setting = setting!("the limit's `min`" must "be at least 1, and at most its `max`");
const INITIAL: Setting = setting!("the limit's `initial`" must "be from its `min` to its `max`");
const WINDOW: Setting =
    setting!("the limit's `window`" must "be from one tick of the clock to an hour");
const SAMPLES: Setting =
    setting!("the limit's `min_samples`" must "be from 1 to 16384" or "be from 1 to 100");
const PROBE_SAMPLES: Setting =
    setting!("the limit's `probe_samples`" must "be from 1 to 16384" or "be from 1 to 100");
const PROBE_INTERVAL: Setting = setting!(
    "the limit's `probe_interval`" must "be at least its `window`, and at most an hour"
);
const PROBE_WINDOWS: Setting = setting!(
    "the windows in the limit's `probe_interval`" must "be at most 2^28 - 1" or "be at most 131071"
);
const MAX_LATENCY: Setting =
    setting!("the limit's `max_latency`" must "be from one tick of the clock to an hour");
const BASE: Setting =
    setting!("the limit's `base_latency`" must "be more than 0, and less than its `max_latency`");
const LATENESS: Setting = setting!("the limit's `max_lateness`" must "be at most an hour");
const DROPS: Setting =
    setting!("the limit's `drop_share`" must "be more than 0 % and at most 100 %");

const HOUR: Duration = Duration::from_secs(3_600);

/// The settings of an [`AdaptiveLimit`](crate::AdaptiveLimit), for one of four algorithms.
///
/// | | [`aimd`](Self::aimd) | [`vegas`](Self::vegas) | [`gradient2`](Self::gradient2) | [`envoy_gradient`](Self::envoy_gradient) |
/// |---|---|---|---|---|
/// | looks at | failures | latency | latency | latency |
/// | [`initial`](Self::initial) | 20 | 20 | 20 | 3 |
/// | [`min`](Self::min), [`max`](Self::max) | 1, 200 | 1, 1000 | 20, 200 | 3, 1000 |
/// | [`window`](Self::window) | 100 ms | 100 ms | 100 ms | 100 ms |
/// | [`min_samples`](Self::min_samples) | 10 | 10 | 10 | 1 |
/// | [`probe_interval`](Self::probe_interval) | | 10 s | 10 s | 60 s |
/// | [`probe_samples`](Self::probe_samples) | | 100 | 100 | 50 |
/// | a probe is at | | half of the limit | half of the limit | the least limit |
/// | [`max_latency`](Self::max_latency) | 5 s | 5 s | 5 s | 5 s |
/// | [`drop_share`](Self::drop_share) | 5 % | 5 % | 5 % | 5 % |
/// | [`max_lateness`](Self::max_lateness) | 1 s | 1 s | 1 s | 1 s |
///
/// Limits, the samples of a window and Envoy's of a probe, and AIMD's longest latency are the
/// defaults of Netflix and Envoy, with the one exception that is told at [`Aimd`](crate::Aimd).
/// Envoy has no default for its window and its interval; these are those of its documentation's
/// example. Netflix has windows of at least 100 ms (one second by default) or none, and no probes;
/// what a drop is, it leaves to the user.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Gradient2, LimitConfig};
///
/// const BACKEND: LimitConfig<Gradient2> = LimitConfig::gradient2()
///     .min(5)
///     .max(500)
///     .max_latency(Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a configuration does nothing by itself"]
pub struct LimitConfig<A> {
    pub(super) algorithm: A,
    /// Where not set, the default as far as the other bounds allow.
    initial: (u32, bool),
    min: (u32, bool),
    max: u32,
    window: Duration,
    min_samples: u32,
    probe_interval: Duration,
    probe_samples: u32,
    base: Option<Duration>,
    max_latency: Duration,
    lateness: Duration,
    drops: Ratio,
    shares: SharesConfig,
    /// What was wrong first with a setting of the algorithm.
    fault: Option<ConfigError>,
}

impl<A> LimitConfig<A> {
    pub(super) const fn with_algorithm(algorithm: A, initial: u32, min: u32, max: u32) -> Self {
        Self {
            algorithm,
            initial: (initial, false),
            min: (min, false),
            max,
            window: Duration::from_millis(100),
            min_samples: 10,
            probe_interval: Duration::from_secs(10),
            probe_samples: 100,
            base: None,
            max_latency: Duration::from_secs(5),
            lateness: DEFAULT_LATENESS,
            drops: Ratio::percent(5),
            shares: SharesConfig::STANDARD,
            fault: None,
        }
    }

    /// Notes what is wrong, for `new` and `try_new` to tell.
    pub(super) const fn fault(mut self, error: ConfigError) -> Self {
        if self.fault.is_none() {
            self.fault = Some(error);
        }
        self
    }

    /// The limit to begin with, from [`min`](Self::min) to [`max`](Self::max). Better too low than
    /// too high: it grows soon.
    pub const fn initial(mut self, calls: u32) -> Self {
        self.initial = (calls, true);
        self
    }

    /// The least limit; at least 1. So many calls at once are let through whatever happens.
    pub const fn min(mut self, calls: u32) -> Self {
        self.min = (calls, true);
        self
    }

    /// The largest limit; at most 2^24 - 1, where words are 32 bits wide 4095. A limit that is
    /// there is what would hurt even if all else went wrong.
    pub const fn max(mut self, calls: u32) -> Self {
        self.max = calls;
        self
    }

    /// How often the limit may change, from a tick of the clock to an hour. A window lasts at least
    /// so long, and at least twice as long as its calls take on average. (Netflix's: as the
    /// quickest one takes, which does not wait for those of a queue.)
    pub const fn window(mut self, span: Duration) -> Self {
        self.window = span;
        self
    }

    /// A window goes on until so many calls have ended in it; 1 to 16384, where words are 32 bits
    /// wide 100.
    pub const fn min_samples(mut self, calls: u32) -> Self {
        self.min_samples = calls;
        self
    }

    /// A call that takes longer counts as dropped, whether it succeeds or not; from a tick of the
    /// clock to an hour.
    ///
    /// Latencies are kept in units of at most a 2^28th of this, where words are 32 bits wide a
    /// 2^15th: a limit there that is to tell microseconds apart needs one of milliseconds.
    pub const fn max_latency(mut self, longest: Duration) -> Self {
        self.max_latency = longest;
        self
    }

    /// When too many calls of a window were dropped, which is when they failed or took too long:
    /// the least share, above 0 % and at most 100 %, in units of 1/32768, rounded down.
    ///
    /// Netflix's algorithms take any drop for a sign of too much load, be it one in thousands. To
    /// do the same, set the smallest share there is, `Ratio::new(1, 32_768)`.
    pub const fn drop_share(mut self, share: Ratio) -> Self {
        self.drops = share;
        self
    }

    /// What calls of `priority` may use of the limit: more than 0 %, at most 100 %, and no more
    /// than a higher priority. Low 50 %, normal 80 %, high 90 %, critical 100 % unless told
    /// otherwise.
    pub const fn share(mut self, priority: Priority, share: Ratio) -> Self {
        self.shares = self.shares.with(priority, share);
        self
    }

    /// How late a reading of the clock may be when it is used; at most an hour. A later one may end
    /// a window too early.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }
}

impl<A: MeasuresLatency> LimitConfig<A> {
    /// How often the latency without load is measured; from the window to an hour. Up to 15 % are
    /// added by chance.
    ///
    /// A second probe follows ten windows after the first one, and so does another one whenever a
    /// probe at half of the limit has found another latency than was known.
    pub const fn probe_interval(mut self, interval: Duration) -> Self {
        self.probe_interval = interval;
        self
    }

    /// From how many calls it is measured; 1 to 16384, where words are 32 bits wide 100.
    pub const fn probe_samples(mut self, calls: u32) -> Self {
        self.probe_samples = calls;
        self
    }

    /// The latency without load, where it is known and does not change: nothing is measured.
    ///
    /// Of use where others load the same service, and a probe, which reduces only what this limit
    /// lets through, would not find it idle.
    pub const fn base_latency(mut self, latency: Duration) -> Self {
        self.base = Some(latency);
        self
    }
}

/// Everything that a limit is made from.
pub(super) struct Resolved<A> {
    pub(super) rules: Rules<A>,
    pub(super) spans: Spans,
    pub(super) shares: Shares,
    pub(super) latency: Scale,
    pub(super) longest: u32,
    pub(super) initial: Limit,
    pub(super) memory: Memory,
}

impl<A: sealed::Algorithm> LimitConfig<A> {
    pub(super) const fn resolve(self, hz: u64) -> Result<Resolved<A>, ConfigError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        check!(check_rate(hz));
        let (initial, min) = check!(self.bounds());
        let window = check!(in_ticks(WINDOW, self.window, hz));
        let longest = check!(in_ticks(MAX_LATENCY, self.max_latency, hz));
        if self.lateness.as_nanos() > HOUR.as_nanos() {
            return Err(LATENESS.duration(self.lateness, Duration::ZERO, HOUR));
        }
        check!(SAMPLES.check(self.min_samples as u64, 1, MAX_SAMPLES as u64));
        check!(PROBE_SAMPLES.check(self.probe_samples as u64, 1, MAX_SAMPLES as u64));
        if !self.drops.is_share() {
            return Err(DROPS.ratio(self.drops));
        }
        let shares = check!(self.shares.resolve());
        // A latency below the longest has all its bits, and is not rounded up to one more.
        let latency = Scale::fit(longest, LATENCY_BITS, 0, 10);
        let units = latency.units_up(longest);
        let base = check!(self.base(latency, units, hz));
        let measures = !matches!(A::PROBE, Probe::None) && !base.is_known();
        let probe_windows = if measures { check!(self.probe_windows()) } else { 0 };
        let give_up = if measures { ticks_from_duration(self.probe_interval, hz) } else { longest };
        let lateness = ticks_from_duration(self.lateness, hz);
        let spans = SpansInTicks { window, give_up, lateness, longest };
        let drops = Share::new_down(self.drops.numerator(), self.drops.denominator());
        Ok(Resolved {
            rules: Rules { algorithm: self.algorithm, min, max: self.max, probe_windows, drops },
            spans: Spans::new(spans, latency, self.min_samples, self.probe_samples),
            shares,
            latency,
            longest: units as u32,
            initial: Limit::of(initial),
            memory: Memory { base, own: Latency::UNKNOWN, plan: Plan::NEW },
        })
    }

    /// The initial and the least limit.
    const fn bounds(&self) -> Result<(u32, u32), ConfigError> {
        let max = self.max;
        check!(MAX.check(max as u64, 1, MAX_LIMIT as u64));
        let (mut min, set) = self.min;
        if !set && min > max {
            min = max;
        }
        check!(MIN.check(min as u64, 1, max as u64));
        let (mut initial, set) = self.initial;
        if !set {
            initial = if initial < min { min } else { initial };
            initial = if initial > max { max } else { initial };
        }
        check!(INITIAL.check(initial as u64, min as u64, max as u64));
        Ok((initial, min))
    }

    /// The latency without load, where it is a setting; less than `longest`, in units too: more
    /// than any sample, it could not be kept.
    const fn base(&self, scale: Scale, longest: Word, hz: u64) -> Result<Latency, ConfigError> {
        let Some(base) = self.base else { return Ok(Latency::UNKNOWN) };
        if base.is_zero() || base.as_nanos() >= self.max_latency.as_nanos() {
            return Err(BASE.duration(base, Duration::from_nanos(1), self.max_latency));
        }
        let units = scale.units_up(ticks_from_duration(base, hz));
        if units >= longest {
            let most = scale.ticks_down(widen(longest.saturating_sub(1)));
            let most = duration_from_ticks(most, hz);
            return Err(BASE.duration(base, Duration::from_nanos(1), most));
        }
        Ok(Latency::of(widen(units)))
    }

    const fn probe_windows(&self) -> Result<u32, ConfigError> {
        let (interval, window) = (self.probe_interval, self.window);
        if interval.as_nanos() < window.as_nanos() || interval.as_nanos() > HOUR.as_nanos() {
            return Err(PROBE_INTERVAL.duration(interval, window, HOUR));
        }
        // Not 0: a window lasts at least a tick.
        match interval.as_nanos().checked_div(window.as_nanos()) {
            Some(windows) if windows <= MAX_WINDOWS as u128 => Ok(windows as u32),
            Some(windows) => Err(PROBE_WINDOWS.number(windows as u64, 1, MAX_WINDOWS as u64)),
            None => Ok(1),
        }
    }
}

/// A time of at least a tick and at most an hour, in ticks.
const fn in_ticks(setting: Setting, duration: Duration, hz: u64) -> Result<u64, ConfigError> {
    if duration.is_zero() || duration.as_nanos() > HOUR.as_nanos() {
        return Err(setting.duration(duration, duration_from_ticks(1, hz), HOUR));
    }
    Ok(ticks_from_duration(duration, hz))
}
