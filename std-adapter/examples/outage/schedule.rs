//! The plan every client gets: how the outage is staged, what the upstream can do in each stage,
//! and when the calls arrive. All of it follows from the arguments, so a seed repeats a run.

use std::time::Duration;

/// Capacity of the healthy upstream over the offered load: room to spare, but not for two tries
/// per call.
const HEADROOM: f64 = 1.6;

/// The longest and the shortest [`Plan::patience`].
const PATIENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// Patience as a share of a client's time. In a shorter run everything is faster, so that the
/// outage stays long for the users who live through it.
const PATIENCE_SHARE: u32 = 15;

/// Work the upstream queues before it refuses: so many times the patience of a user.
const QUEUE: f64 = 2.0;

/// A request takes this part of the patience, before rounding to whole workers.
const SERVICE: f64 = 0.05;

/// What the upstream goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Everything works.
    Healthy,
    /// Each request takes several times as long.
    Slow,
    /// The speed is back, but most answers are errors, and some requests hang.
    Failing,
    /// Everything works again; whoever is still down now keeps itself down.
    Recovered,
}

impl Stage {
    /// In order of time.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Slow, Self::Failing, Self::Recovered];

    /// The word for it on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Recovered => "recovered",
        }
    }

    /// By what the service time is multiplied.
    pub const fn slowdown(self) -> f64 {
        match self {
            Self::Slow => 5.0,
            Self::Healthy | Self::Failing | Self::Recovered => 1.0,
        }
    }

    /// Share of the requests that cost a worker its time and end in a 500.
    pub const fn fail_share(self) -> f64 {
        match self {
            Self::Failing => 0.8,
            // Never none: the odd error is what retries are for.
            Self::Healthy | Self::Slow | Self::Recovered => 0.02,
        }
    }

    /// Share of the requests that hold a worker for [`Plan::hang`].
    pub const fn hang_share(self) -> f64 {
        match self {
            Self::Failing => 0.03,
            Self::Healthy | Self::Slow | Self::Recovered => 0.0,
        }
    }

    /// Percents of a client's time that have passed when the stage begins.
    const fn begins_at_percent(self) -> u32 {
        match self {
            Self::Healthy => 0,
            Self::Slow => 15,
            Self::Failing => 35,
            Self::Recovered => 55,
        }
    }
}

/// One client's run, and the size of the upstream it meets.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Calls offered per second.
    pub rate: u32,
    /// From the first call to the last.
    pub length: Duration,
    /// How long a user waits; an answer after that is worth nothing. The gateway in front of the
    /// upstream waits as long.
    pub patience: Duration,
    /// Requests the upstream works on at once.
    pub workers: u32,
    /// Mean time of one request on a healthy worker.
    pub service: Duration,
    /// Requests that may wait for a worker.
    pub queue: usize,
}

impl Plan {
    /// Sizes the upstream for `rate` calls per second over `length`.
    pub fn new(rate: u32, length: Duration) -> Self {
        let capacity = f64::from(rate) * HEADROOM;
        let [least, most] = PATIENCE;
        let patience = (length / PATIENCE_SHARE).clamp(least, most);
        let seconds = patience.as_secs_f64();
        // Whole workers first, then the service time that makes them exactly `capacity`.
        let workers = (capacity * seconds * SERVICE).round().max(2.0);
        Self {
            rate,
            length,
            patience,
            workers: workers as u32,
            service: Duration::from_secs_f64(workers / capacity),
            queue: (capacity * seconds * QUEUE) as usize,
        }
    }

    /// How long a request that hangs holds its worker.
    pub const fn hang(&self) -> Duration {
        self.patience
    }

    /// When `stage` begins.
    pub fn begin(&self, stage: Stage) -> Duration {
        self.length * stage.begins_at_percent() / 100
    }

    /// When `stage` ends.
    pub fn end(&self, stage: Stage) -> Duration {
        let next = Stage::ALL.into_iter().map(|s| self.begin(s)).find(|&at| at > self.begin(stage));
        next.unwrap_or(self.length)
    }

    /// The stage at `at`; what comes after the end counts as the last one.
    pub fn stage(&self, at: Duration) -> Stage {
        let begun = Stage::ALL.into_iter().rev().find(|&stage| at >= self.begin(stage));
        begun.unwrap_or(Stage::Healthy)
    }

    /// Requests per second the workers get through in `stage`.
    pub fn capacity(&self, stage: Stage) -> f64 {
        let work = self.service.as_secs_f64() * stage.slowdown();
        let hang = stage.hang_share();
        f64::from(self.workers) / (work * (1.0 - hang) + self.hang().as_secs_f64() * hang)
    }

    /// When the calls arrive: a Poisson process, as of many users who know nothing of each other.
    pub fn arrivals(&self, seed: u64) -> Vec<Duration> {
        let mut rng = Rng::new(seed);
        let mut at = 0.0;
        let next_arrival = || {
            // 1 - u lies in (0, 1], so that the logarithm is finite.
            at -= (1.0 - rng.unit()).ln() / f64::from(self.rate);
            Some(Duration::from_secs_f64(at))
        };
        std::iter::from_fn(next_arrival).take_while(|&at| at < self.length).collect()
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, seedable, good enough for a simulation.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A stream that `seed` determines.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // 53 bits: as many as a double holds.
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: fn() -> Plan = || Plan::new(200, Duration::from_secs(15));

    #[test]
    fn seed_repeats_the_schedule() {
        assert_eq!(PLAN().arrivals(7), PLAN().arrivals(7));
        assert_ne!(PLAN().arrivals(7), PLAN().arrivals(8));
    }

    #[test]
    fn arrivals_come_in_order_at_the_rate() {
        let arrivals = PLAN().arrivals(1);
        assert!(arrivals.is_sorted());
        // 3000 expected; the standard deviation of a Poisson count is its root, 55.
        assert!((2780..3220).contains(&arrivals.len()), "{}", arrivals.len());
    }

    #[test]
    fn stages_follow_each_other_without_a_gap() {
        let plan = PLAN();
        for pair in Stage::ALL.windows(2) {
            assert_eq!(plan.end(pair[0]), plan.begin(pair[1]));
            assert_eq!(plan.stage(plan.begin(pair[1])), pair[1]);
        }
        assert_eq!(plan.end(Stage::Recovered), plan.length);
    }

    #[test]
    fn capacity_is_the_headroom_at_any_rate() {
        for rate in [50, 77, 200, 1000] {
            let plan = Plan::new(rate, Duration::from_secs(15));
            let ratio = plan.capacity(Stage::Healthy) / f64::from(rate);
            assert!((ratio - HEADROOM).abs() < 1e-6, "{ratio} at {rate}/s");
        }
    }
}
