//! How well a limit did: what it reached, when it had settled, how far above what is of use it was.

use std::fmt;

use crate::cast::Player;
use crate::plan::{Plan, Stage};
use crate::world::Second;

/// What a limit must reach in each stage.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The least share of the capacity that is answered in time, in the last third.
    pub reached: f64,
    /// The seconds until then at most.
    pub settled: u32,
    /// The most times that the limit may be what is of use, in the last third.
    pub above: f64,
    /// The most times that it may ever be what is of use, or was in the stage before.
    pub overshoot: f64,
    /// The most times that a call may take what it takes without load, in the last third.
    pub latency: f64,
}

/// What was reached in a stage.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub name: &'static str,
    /// As in [`Bounds`]; `None` where it never settled.
    pub reached: f64,
    pub settled: Option<u32>,
    pub above: f64,
    pub overshoot: f64,
    pub latency: f64,
    /// The mean latency of the last third, in milliseconds.
    pub milliseconds: f64,
    /// The largest limit of the last third.
    pub limit: u32,
    /// The largest limit of all.
    pub peak: u32,
}

/// It has settled when from then on what is answered in three seconds is this share of what can be.
const SETTLED: f64 = 0.8;

/// A limit is small numbers where few calls are of use at once: so many more are always allowed.
const SPARE: f64 = 10.0;

impl Figures {
    /// Of each stage.
    pub fn of(plan: &Plan, seconds: &[Second]) -> Vec<Self> {
        let parts = seconds.chunks(plan.seconds as usize);
        let before = plan.stages.iter().take(1).chain(&plan.stages);
        let stages = before.zip(&plan.stages).zip(parts);
        stages.map(|((before, stage), part)| Self::stage(plan, before, stage, part)).collect()
    }

    fn stage(plan: &Plan, before: &Stage, stage: &Stage, seconds: &[Second]) -> Self {
        let capacity = plan.capacity(stage);
        let late = &seconds[seconds.len() * 2 / 3..];
        let mean =
            |of: &dyn Fn(&Second) -> f64| late.iter().map(of).sum::<f64>() / late.len() as f64;
        let largest = |of: &[Second]| of.iter().map(|second| second.limit).max().unwrap_or(0);
        let (limit, peak) = (largest(late), largest(seconds));
        let above =
            |limit: u32, workers: u32| (f64::from(limit) - SPARE).max(0.0) / f64::from(workers);
        let milliseconds = mean(&Second::latency);
        let alone = plan.work as f64 / 1e6 * f64::from(stage.slowdown);
        let good = |window: &[Second]| window.iter().map(|s| f64::from(s.good)).sum::<f64>();
        let low = seconds.windows(3).rposition(|window| good(window) < 3.0 * SETTLED * capacity);
        let settled = low.map_or(0, |last| last + 1);
        Self {
            name: stage.name,
            reached: mean(&|second| f64::from(second.good)) / capacity,
            settled: (settled + 3 < seconds.len()).then_some(settled as u32),
            above: above(limit, stage.workers),
            overshoot: above(peak, stage.workers.max(before.workers)),
            latency: milliseconds / alone,
            milliseconds,
            limit,
            peak,
        }
    }
}

/// Where a limit did not do what it must.
#[derive(Debug)]
pub struct Miss {
    player: Player,
    stage: &'static str,
    what: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.player.name(), self.stage, self.what)
    }
}

/// What `player` did not reach.
pub fn misses(player: Player, figures: &[Figures]) -> Vec<Miss> {
    let miss = |stage, what| Miss { player, stage, what };
    match player {
        // It must fail, or the load is none.
        Player::Nothing => figures[1..]
            .iter()
            .filter(|stage| stage.reached > 0.1)
            .map(|stage| miss(stage.name, "there is no overload".into()))
            .collect(),
        // It must run away, or the plan does not show what the others avoid.
        Player::Published => figures
            .last()
            .filter(|stage| stage.above < 4.0)
            .map(|stage| miss(stage.name, format!("did not run away: {}", stage.limit)))
            .into_iter()
            .collect(),
        _ => {
            let Some(bounds) = player.bounds() else { return Vec::new() };
            figures
                .iter()
                .flat_map(|stage| bounds.missed(stage).map(|what| miss(stage.name, what)))
                .collect()
        }
    }
}

impl Bounds {
    fn missed(&self, stage: &Figures) -> impl Iterator<Item = String> {
        let settled = stage.settled.is_none_or(|seconds| seconds > self.settled);
        [
            (stage.reached < self.reached).then(|| format!("reached {:.3}", stage.reached)),
            settled.then(|| format!("settled after {:?} s", stage.settled)),
            (stage.above > self.above).then(|| format!("a limit of {}", stage.limit)),
            (stage.overshoot > self.overshoot).then(|| format!("a peak of {}", stage.peak)),
            (stage.latency > self.latency).then(|| format!("{:.1} ms", stage.milliseconds)),
        ]
        .into_iter()
        .flatten()
    }
}
