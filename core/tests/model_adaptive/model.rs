//! The model: every call of a window in a list, whole numbers that neither wrap nor overflow, and
//! the published formulas, rounded where the documentation says so.

use fusebox_core::{Outcome, Random, Rng, WORD_BITS};

pub(crate) const fn by_width(wide: i128, narrow: i128) -> i128 {
    if WORD_BITS == 64 { wide } else { narrow }
}

/// Limits, latencies and gradients are in units of 1/65536.
const ONE: i128 = 1 << 16;

/// A limit is rounded down to this when it is kept.
const GRAIN: i128 = by_width(1, 1 << 8);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    Aimd { increase: u32, backoff: u32 },
    Vegas { alpha: u32, beta: u32 },
    Gradient2 { smoothing: u32, tolerance: u32, queue: u32, long: u32 },
    Envoy { buffer: u32, percentile: u32 },
}

/// All times in ticks, all shares in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) algorithm: Algorithm,
    pub(crate) initial: u32,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) window: i128,
    pub(crate) min_samples: u32,
    /// In windows.
    pub(crate) probe_windows: u32,
    pub(crate) probe_samples: u32,
    pub(crate) base: Option<i128>,
    pub(crate) max_latency: i128,
    pub(crate) lateness: i128,
    pub(crate) drops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Adapt,
    Settle,
    Drain,
    Measure,
}

#[derive(Debug)]
pub(crate) struct Model {
    settings: Settings,
    /// A unit of latency is 2 to the power of this ticks, and one of the windows' time as well.
    latency_exponent: i32,
    time_exponent: i32,
    pub(crate) in_flight: u32,
    limit: i128,
    /// The stage, and the instant in units at which it began.
    stage: Option<(Stage, i128)>,
    /// In units.
    latencies: Vec<i128>,
    drops: i128,
    busy: bool,
    base: i128,
    /// Gradient2's long mean, Envoy's estimate.
    own: i128,
    saved: u32,
    at_least: u32,
    left: u32,
}

/// The bits that `value` needs.
fn bits(value: i128) -> i32 {
    (i128::BITS - value.leading_zeros()) as i32
}

/// `ticks` in units of 2 to the power of `exponent` ticks, rounded down and up.
fn down(ticks: i128, exponent: i32) -> i128 {
    if exponent < 0 { ticks << -exponent } else { ticks >> exponent }
}

fn up(ticks: i128, exponent: i32) -> i128 {
    -down(-ticks, exponent)
}

/// A factor in percent, in units of 1/4096, rounded up.
fn factor(percent: u32) -> i128 {
    (i128::from(percent) * 4_096 + 99) / 100
}

/// When readings of the windows' time look the same again.
const WRAP: i128 = 1 << by_width(48, 28);

impl Model {
    pub(crate) fn new(settings: Settings) -> Self {
        let latency_bits = by_width(29, 16) as i32;
        let latency_exponent = (bits(settings.max_latency) - latency_bits).max(-10);
        let mut model = Self {
            settings,
            latency_exponent,
            time_exponent: 0,
            in_flight: 0,
            limit: i128::from(settings.initial) * ONE,
            stage: None,
            latencies: Vec::new(),
            drops: 0,
            busy: false,
            base: settings.base.map_or(0, |base| up(base, latency_exponent) * ONE),
            own: 0,
            saved: 0,
            at_least: 0,
            left: 0,
        };
        let time_bits = by_width(48 - 16, 28 - 10) as i32;
        model.time_exponent = (bits(model.horizon()) - time_bits).max(0);
        model
    }

    /// The longest time that is told from others, in ticks.
    pub(crate) fn horizon(&self) -> i128 {
        let Settings { window, max_latency, lateness, .. } = self.settings;
        window.max(max_latency).max(self.give_up()) + lateness
    }

    fn give_up(&self) -> i128 {
        if self.probes() {
            self.settings.window * i128::from(self.settings.probe_windows)
        } else {
            self.settings.max_latency
        }
    }

    fn probes(&self) -> bool {
        !matches!(self.settings.algorithm, Algorithm::Aimd { .. }) && self.settings.base.is_none()
    }

    pub(crate) fn limit(&self) -> u32 {
        (self.limit / ONE) as u32
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.stage.is_some_and(|(stage, _)| matches!(stage, Stage::Drain | Stage::Measure))
    }

    /// In ticks, rounded up.
    pub(crate) fn base(&self) -> Option<i128> {
        let units = (self.base + ONE - 1) / ONE;
        (self.base > 0).then(|| up(units, -self.latency_exponent))
    }

    pub(crate) fn enter(&mut self, share: u32) -> bool {
        let places = (self.limit() * share / 100).max(1);
        let admitted = self.in_flight < places;
        self.in_flight += u32::from(admitted);
        admitted
    }

    pub(crate) fn exit(&mut self, began: i128, outcome: Outcome, now: i128) {
        let busy = self.in_flight * 2 >= self.limit();
        self.in_flight -= 1;
        let latency = match outcome {
            Outcome::Success => {
                let units = up((now - began).max(0), self.latency_exponent).max(1);
                Some(units).filter(|&u| u < up(self.settings.max_latency, self.latency_exponent))
            }
            Outcome::Failure => None,
            Outcome::Ignored | Outcome::Abandoned | Outcome::Refused => return,
        };
        let first = if self.probes() { Stage::Drain } else { Stage::Adapt };
        let begin = down(began, self.time_exponent);
        let (stage, since) = *self.stage.get_or_insert((first, begin));
        // Where the window began as far as can be told: ahead of a reading that is late.
        let now_units = down(now, self.time_exponent);
        let passed = (now_units - since).rem_euclid(WRAP);
        let since_now = now_units - if self.is_late(since, now) { passed - WRAP } else { passed };
        if matches!(stage, Stage::Settle | Stage::Drain) && begin < since_now {
            return;
        }
        match latency {
            _ if self.is_full() => {}
            Some(units) => {
                self.latencies.push(units);
                self.busy |= busy;
                if let Algorithm::Envoy { percentile, .. } = self.settings.algorithm {
                    self.estimate(units * ONE, percentile.into());
                }
            }
            None => self.drops += 1,
        }
        if self.is_over(stage, since, now) {
            let next = self.fold(stage, since, now);
            self.stage = Some((next, down(now, self.time_exponent)));
            (self.latencies, self.drops, self.busy) = (Vec::new(), 0, false);
        }
    }

    /// Whether the window takes no more, as the longest latency would not fit.
    fn is_full(&self) -> bool {
        let (most, room) = (by_width((1 << 15) - 1, 255), by_width(1 << 48, 1 << 23));
        self.latencies.len() as i128 == most
            || self.latencies.iter().sum::<i128>() > room - (1 << by_width(29, 16))
    }

    /// One step of the estimate of a percentile, as documented.
    fn estimate(&mut self, latency: i128, percentile: i128) {
        let parts = (self.latencies.len() as i128 + 1).min(32);
        let old = self.own;
        self.own = if old == 0 {
            latency
        } else if latency > old {
            (old + old / parts / 50 * percentile).min(latency)
        } else {
            (old - old / (parts + 1) / 50 * (100 - percentile)).max(latency)
        };
    }

    /// Whether `now` is a reading from before `since`.
    fn is_late(&self, since: i128, now: i128) -> bool {
        let ahead = (since - down(now, self.time_exponent)).rem_euclid(WRAP);
        ahead > 0 && ahead <= up(self.settings.lateness, self.time_exponent)
    }

    /// How long a window has lasted: no time by a reading that is late.
    fn elapsed(&self, since: i128, now: i128) -> i128 {
        let passed = (down(now, self.time_exponent) - since).rem_euclid(WRAP);
        if self.is_late(since, now) { 0 } else { passed }
    }

    /// Whether too many calls of the window were dropped.
    fn is_dropped(&self) -> bool {
        let calls = self.latencies.len() as i128 + self.drops;
        // A share is in units of 1/32768, rounded down.
        let share = (i128::from(self.settings.drops) * 32_768 / 100).max(1);
        calls > 0 && self.drops * 32_768 >= calls * share
    }

    fn is_over(&self, stage: Stage, since: i128, now: i128) -> bool {
        let elapsed = self.elapsed(since, now);
        let samples = self.latencies.len() as i128;
        let calls = samples + self.drops;
        let measure = if self.is_dropped() { calls } else { samples };
        let enough = match stage {
            Stage::Adapt | Stage::Settle => calls >= self.settings.min_samples.into(),
            Stage::Drain => measure >= self.settings.min_samples.into(),
            Stage::Measure => measure >= self.settings.probe_samples.into(),
        };
        // Twice as long as the calls took on average, in the coarser of the two units.
        let sum: i128 = self.latencies.iter().sum();
        let coarser = self.latency_exponent - self.time_exponent + 1;
        let twice = if coarser >= 0 {
            (elapsed * samples) >> coarser >= sum
        } else {
            elapsed * samples >= sum >> -coarser
        };
        let waited = stage != Stage::Adapt && elapsed >= up(self.give_up(), self.time_exponent);
        elapsed >= up(self.settings.window, self.time_exponent) && (enough && twice || waited)
    }

    /// The latency of the window: the mean, or the estimate.
    fn latency(&self) -> Option<i128> {
        let (sum, count) = (self.latencies.iter().sum::<i128>(), self.latencies.len() as i128);
        match self.settings.algorithm {
            _ if count == 0 => None,
            Algorithm::Envoy { .. } => Some(self.own),
            _ => Some(sum * ONE / count),
        }
    }

    fn fold(&mut self, stage: Stage, since: i128, now: i128) -> Stage {
        match stage {
            Stage::Adapt | Stage::Settle => {
                let windows =
                    self.elapsed(since, now) / up(self.settings.window, self.time_exponent);
                return self.adapt(windows.min(u32::MAX.into()) as u32);
            }
            Stage::Drain | Stage::Measure if self.is_dropped() => {
                let next = self.step();
                if self.saved > 0 {
                    self.saved = (next / ONE) as u32;
                }
                self.set_limit(next);
                return Stage::Drain;
            }
            Stage::Drain => {
                if let Algorithm::Envoy { .. } = self.settings.algorithm {
                    self.own = 0;
                }
                return Stage::Measure;
            }
            Stage::Measure => {}
        }
        let Some(latency) = self.latency() else { return Stage::Measure };
        let half = !matches!(self.settings.algorithm, Algorithm::Envoy { .. });
        let off = latency - self.base;
        // Above by an eighth, or below by a sixteenth.
        let other = half && (off > self.base / 8 || off < -(self.base / 16));
        // Within an eighth it is a mean over probes.
        let near = off.abs() <= self.base / 8;
        self.base += if near { off.signum() * (off.abs() / 4) } else { off };
        if let Algorithm::Gradient2 { .. } = self.settings.algorithm {
            self.own = self.base;
        }
        let first = self.saved == 0;
        let windows = self.settings.probe_windows;
        self.left = if (first || other) && windows > 10 {
            10
        } else {
            // The library's chance: the first number of its generator, from the clock.
            let gamma = 0x9e37_79b9_7f4a_7c15_u64;
            let chance = Rng::from_seed((now as u64).wrapping_sub(gamma)).next_u64() >> 32;
            windows + ((chance * (u64::from(windows) * 15 / 100 + 1)) >> 32) as u32
        };
        if first {
            self.saved = self.limit();
        } else {
            self.set_limit(i128::from(self.saved) * ONE);
        }
        self.at_least = 0;
        Stage::Adapt
    }

    fn adapt(&mut self, windows: u32) -> Stage {
        let dropped = self.is_dropped();
        let mut next = self.step();
        let now = (next / ONE) as u32;
        self.at_least = if now == self.settings.min { self.at_least + 1 } else { 0 };
        self.left = self.left.saturating_sub(windows);
        let half = !matches!(self.settings.algorithm, Algorithm::Envoy { .. });
        let halved = half && now < self.saved && now * 2 <= self.saved + 1;
        let probe = self.left == 0 || self.at_least >= 5 || halved;
        if probe && self.probes() {
            self.saved = now;
            self.left = 0;
            self.at_least = 0;
            let least = i128::from(self.settings.min) * ONE;
            next = if half { (next / 2).max(least) } else { least };
        }
        self.set_limit(next);
        match probe && self.probes() {
            true => Stage::Drain,
            false if dropped => Stage::Settle,
            false => Stage::Adapt,
        }
    }

    /// The limit that follows from the window, within its bounds.
    fn step(&mut self) -> i128 {
        let (min, max) = (i128::from(self.settings.min) * ONE, i128::from(self.settings.max) * ONE);
        let dropped = self.is_dropped();
        let next = self.next(dropped, self.latency().unwrap_or(0));
        let grows = self.busy && !dropped;
        if grows { next } else { next.min(self.limit) }.clamp(min, max)
    }

    /// Rounded down when it is kept; but what grows, grows.
    fn set_limit(&mut self, next: i128) {
        let kept = next / GRAIN * GRAIN;
        let lost = next > self.limit && kept == self.limit;
        self.limit = kept + if lost { GRAIN } else { 0 };
    }

    /// The gradient of two latencies, in its range.
    fn gradient(over: i128, under: i128, most: i128) -> i128 {
        (over * ONE / under).clamp(ONE / 2, most)
    }

    fn next(&mut self, dropped: bool, latency: i128) -> i128 {
        let (limit, base) = (self.limit, self.base);
        match self.settings.algorithm {
            Algorithm::Aimd { increase, .. } if !dropped => limit + i128::from(increase) * ONE,
            Algorithm::Aimd { backoff, .. } => {
                (limit * factor(backoff) / 4_096).min((limit - ONE).max(0))
            }
            Algorithm::Vegas { alpha, beta } => self.vegas(dropped, latency, alpha, beta),
            Algorithm::Gradient2 { smoothing, tolerance, queue, long } => {
                let gradient = if dropped {
                    ONE / 2
                } else {
                    self.long(latency, long.into());
                    Self::gradient(self.own * factor(tolerance) / 4_096, latency, ONE)
                };
                let new = limit * gradient / ONE + i128::from(queue) * ONE;
                let step = (new - limit).abs() * factor(smoothing) / 4_096;
                limit + (new - limit).signum() * step
            }
            Algorithm::Envoy { buffer, .. } => {
                let gradient = if dropped {
                    ONE / 2
                } else {
                    let buffered = base * (4_096 + factor(buffer)) / 4_096;
                    Self::gradient(buffered, latency, 2 * ONE)
                };
                let limit = limit * gradient / ONE;
                limit + root(limit * ONE)
            }
        }
    }

    fn long(&mut self, latency: i128, windows: i128) {
        let old = if self.own == 0 { self.base } else { self.own };
        let off = latency - old;
        let mut long = old + off.signum() * (off.abs() * 2 / (windows + 1));
        if long > 2 * latency {
            long = long / 20 * 19;
        }
        self.own = long.min(self.base);
    }

    fn vegas(&mut self, dropped: bool, latency: i128, alpha: u32, beta: u32) -> i128 {
        let calls = i128::from(self.limit());
        let log = (calls.to_string().len() as i128 - 1).max(1);
        let less = (self.limit - log * ONE).max(0);
        if dropped {
            return less;
        }
        if latency < self.base - self.base / 4 {
            self.base = latency;
        }
        let share = (self.base * ONE / latency).min(ONE);
        let worked_on = self.limit * share / ONE;
        let queue = (self.limit - worked_on + ONE - 1) / ONE;
        let (alpha, beta) = (i128::from(alpha), i128::from(beta));
        if queue <= log {
            self.limit + beta * log * ONE
        } else if queue < (alpha * log).max(calls / 10) {
            self.limit + log * ONE
        } else if queue > (beta * log).max(calls / 5) {
            less
        } else {
            self.limit
        }
    }
}

/// The root, rounded down, by trying.
fn root(value: i128) -> i128 {
    let mut root = (value as f64).sqrt() as i128;
    while root * root > value {
        root -= 1;
    }
    while (root + 1) * (root + 1) <= value {
        root += 1;
    }
    root
}
