//! Sends the schedule through one client, open loop: a call starts when its time has come, however
//! many earlier ones are still out, because users do not wait for each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};

use fusebox_std::State;

use crate::client::{Client, Verdict};
use crate::schedule::Plan;
use crate::upstream::Upstream;

/// How often the run is sampled.
pub const TICK: Duration = Duration::from_millis(20);

/// One call of the schedule.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// When it arrived, on the plan's clock.
    pub at: Duration,
    /// How it ended, and how long after its arrival; `None` if it was still out at the end.
    pub ending: Option<(Verdict, Duration)>,
    /// Whether the user got what they wanted, in time.
    pub good: bool,
}

/// What can be seen from outside at one moment of the run.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The moment, on the plan's clock.
    pub at: Duration,
    /// Calls that have arrived.
    pub offered: u32,
    /// Calls that have ended well.
    pub good: u32,
    /// Requests that have reached the upstream.
    pub received: u64,
    /// The state of the client's breaker.
    pub breaker: Option<State>,
}

/// All that is known of one client's run.
#[derive(Debug)]
pub struct Run {
    /// In order of arrival.
    pub calls: Vec<Call>,
    /// One per [`TICK`].
    pub samples: Vec<Sample>,
}

/// Runs the whole schedule through `client` and shows each sample to `watch`.
///
/// # Errors
///
/// A call panicked.
pub async fn drive<C: Client>(
    client: Arc<C>,
    upstream: &Upstream,
    plan: &Plan,
    arrivals: &[Duration],
    mut watch: impl FnMut(&Sample),
) -> Result<Run, JoinError> {
    let epoch = upstream.epoch();
    let mut calls: Vec<_> =
        arrivals.iter().map(|&at| Call { at, ending: None, good: false }).collect();
    let mut samples: Vec<Sample> = Vec::new();
    let mut out = JoinSet::new();
    let (mut next, mut good) = (0, 0);
    let mut ticks = interval_at(epoch, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        // Past the last arrival any instant would do: the branch is off.
        let due = epoch + arrivals.get(next).copied().unwrap_or_default();
        tokio::select! {
            biased;
            () = sleep_until(due), if next < arrivals.len() => {
                let (index, client) = (next, Arc::clone(&client));
                // Timed from the scheduled arrival: if this machine is late, the user waits too.
                out.spawn(async move {
                    let verdict = client.call().await;
                    (index, verdict, due.elapsed())
                });
                next += 1;
            }
            Some(done) = out.join_next() => {
                let (index, verdict, took): (usize, _, _) = done?;
                let call = &mut calls[index];
                call.ending = Some((verdict, took));
                call.good = verdict == Verdict::Answered && took <= plan.patience;
                good += u32::from(call.good);
            }
            now = ticks.tick() => {
                let sample = Sample {
                    at: now - epoch,
                    offered: next as u32,
                    good,
                    received: upstream.received(),
                    breaker: client.breaker(),
                };
                watch(&sample);
                samples.push(sample);
                // The last calls get their user's patience; after that no answer is a good one.
                if sample.at >= plan.length + plan.patience {
                    break;
                }
            }
        }
    }
    Ok(Run { calls, samples })
}
