//! What the service goes through.

use crate::world::{Nanos, SECOND};

/// A time in which the service is the same.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub name: &'static str,
    /// Jobs that it works on at once: what in flight is of use.
    pub workers: u32,
    /// By what the work of a job takes longer.
    pub slowdown: u32,
}

/// A run: more clients than the service can serve, all the time, while what it can do changes by
/// steps.
#[derive(Clone, Debug)]
pub struct Plan {
    pub clients: u32,
    /// The mean pause of a client between two calls.
    pub think: Nanos,
    /// How long it waits for an answer.
    pub patience: Nanos,
    /// The mean time of a job, which varies by half of that.
    pub work: Nanos,
    /// Of a stage.
    pub seconds: u32,
    pub stages: [Stage; 5],
}

impl Plan {
    /// 10 000 clients and 160 seconds; in the short form half of the service, fewer clients, and
    /// less time.
    pub const fn new(short: bool) -> Self {
        let (clients, workers, seconds) = if short { (4_000, 50, 24) } else { (10_000, 100, 32) };
        let few = workers * 3 / 10;
        Self {
            clients,
            think: SECOND,
            patience: SECOND,
            work: SECOND / 50,
            seconds,
            stages: [
                Stage { name: "start", workers, slowdown: 1 },
                Stage { name: "70 % lost", workers: few, slowdown: 1 },
                Stage { name: "back", workers, slowdown: 1 },
                Stage { name: "3 x slower", workers, slowdown: 3 },
                Stage { name: "fast again", workers, slowdown: 1 },
            ],
        }
    }

    /// How long all of it takes.
    pub const fn length(&self) -> u32 {
        self.seconds * self.stages.len() as u32
    }

    /// What the service is at an instant; after the end as at the end.
    pub fn stage(&self, at: Nanos) -> &Stage {
        let index = (at / (SECOND * u64::from(self.seconds))) as usize;
        &self.stages[index.min(self.stages.len() - 1)]
    }

    /// Jobs per second that the service can do.
    pub fn capacity(&self, stage: &Stage) -> f64 {
        f64::from(stage.workers) * SECOND as f64 / (self.work * u64::from(stage.slowdown)) as f64
    }
}
