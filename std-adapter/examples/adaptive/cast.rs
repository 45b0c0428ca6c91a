//! Who lives through the plan, and what is asked of each.

use std::time::Duration;

use fusebox_std::{AdaptiveLimit, LimitAlgorithm, LimitConfig};

use crate::judge::Bounds;
use crate::limits::{NoLimit, Published, Virtual};
use crate::plan::Plan;
use crate::world::{self, Second};

/// What is at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Player {
    Nothing,
    Published,
    Aimd,
    Vegas,
    Gradient2,
    /// Gradient2 that begins where the published one ends: far too high, and under full load.
    Recovering,
    Envoy,
}

const GRADIENT2: Bounds =
    Bounds { reached: 0.95, settled: 10, above: 2.0, overshoot: 3.6, latency: 2.1 };

impl Player {
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Published,
        Self::Aimd,
        Self::Vegas,
        Self::Gradient2,
        Self::Recovering,
        Self::Envoy,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no limit",
            Self::Published => "Gradient2 as published",
            Self::Aimd => "AIMD, 200 ms at most",
            Self::Vegas => "Vegas",
            Self::Gradient2 => "Gradient2",
            Self::Recovering => "Gradient2, begun high",
            Self::Envoy => "Envoy's gradient",
        }
    }

    /// Lives through `plan`.
    pub fn play(self, plan: &Plan, seed: u64) -> Vec<Second> {
        let workers = plan.stages[0].workers;
        let most = workers * 10;
        match self {
            Self::Nothing => world::run(plan, &NoLimit, seed),
            Self::Published => world::run(plan, &Published::new(most), seed),
            Self::Aimd => {
                // It has nothing but drops to go by: what takes this long is one.
                let config = LimitConfig::aimd().max_latency(Duration::from_millis(200));
                adaptive(plan, config.max(most), seed)
            }
            Self::Vegas => adaptive(plan, LimitConfig::vegas().max(most), seed),
            Self::Gradient2 => {
                // Below what the service can do at its worst.
                let least = workers / 5;
                adaptive(plan, LimitConfig::gradient2().min(least).max(most), seed)
            }
            Self::Recovering => {
                let config = LimitConfig::gradient2().min(workers / 5).max(most);
                adaptive(plan, config.initial(workers * 32 / 5), seed)
            }
            Self::Envoy => adaptive(plan, LimitConfig::envoy_gradient().max(most), seed),
        }
    }

    /// What it must reach in each stage; `None` for those that are there to fail.
    pub const fn bounds(self) -> Option<Bounds> {
        let bounds = match self {
            Self::Nothing | Self::Published => return None,
            // It fills the queue up to the latency that it is told, which is ten times the
            // shortest.
            Self::Aimd => {
                Bounds { reached: 0.95, settled: 8, above: 9.5, overshoot: 6.5, latency: 10.0 }
            }
            // Its steps are short, so it takes as long as any to be far down and far up.
            Self::Vegas => {
                Bounds { reached: 0.92, settled: 16, above: 1.5, overshoot: 2.5, latency: 1.5 }
            }
            Self::Gradient2 => GRADIENT2,
            // The limit that it begins with.
            Self::Recovering => Bounds { overshoot: 6.4, ..GRADIENT2 },
            // For up to a minute it goes by the latency of a service that was three times slower.
            Self::Envoy => {
                Bounds { reached: 0.9, settled: 7, above: 5.5, overshoot: 6.5, latency: 5.5 }
            }
        };
        Some(bounds)
    }
}

fn adaptive<A: LimitAlgorithm>(plan: &Plan, config: LimitConfig<A>, seed: u64) -> Vec<Second> {
    let limit: AdaptiveLimit<_, A> = AdaptiveLimit::new(config, Virtual);
    world::run(plan, &limit, seed)
}
