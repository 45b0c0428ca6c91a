//! What is shown while it runs: a bar per client on a terminal, else a line per stage.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::drive::Sample;
use crate::schedule::{Plan, Stage};

/// The rates shown are those of the last second.
const WINDOW: Duration = Duration::from_secs(1);

/// How often the text beside a bar changes: often enough to follow, seldom enough to read.
const REFRESH: Duration = Duration::from_millis(200);

/// The display of all clients.
#[derive(Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
    plan: Plan,
    width: usize,
}

impl Progress {
    /// For clients with these names.
    pub fn new(plan: Plan, names: &[&str]) -> Self {
        Self {
            bars: io::stderr().is_terminal().then(MultiProgress::new),
            plan,
            width: names.iter().map(|name| name.len()).max().unwrap_or(0),
        }
    }

    /// Begins to show one client's run.
    pub fn client(&self, name: &str) -> Follower {
        let name = format!("{name:width$}", width = self.width);
        let plan = self.plan;
        let past = Vec::new();
        let Some(bars) = &self.bars else {
            return Follower::Lines { name, plan, begin: None };
        };
        let length = (plan.length + plan.patience).as_millis() as u64;
        let bar = bars.add(ProgressBar::new(length).with_prefix(name));
        // The template is a constant; were it wrong, the plain bar would serve.
        let style = ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Follower::Bar { bar, plan, past, shown: None }
    }
}

/// Follows one run.
#[derive(Debug)]
pub enum Follower {
    /// On a terminal.
    Bar { bar: ProgressBar, plan: Plan, past: Vec<Sample>, shown: Option<Duration> },
    /// In a file or a pipe: the sample at the beginning of the stage.
    Lines { name: String, plan: Plan, begin: Option<Sample> },
}

impl Follower {
    /// Takes in the next sample.
    pub fn see(&mut self, sample: &Sample) {
        match self {
            Self::Bar { bar, plan, past, shown } => {
                past.push(*sample);
                if shown.is_some_and(|at| sample.at < at + REFRESH) {
                    return;
                }
                *shown = Some(sample.at);
                past.retain(|old| old.at + WINDOW >= sample.at);
                bar.set_position(sample.at.as_millis() as u64);
                // After the last arrival there is no load any more to show.
                if let Some(oldest) = past.first().filter(|_| sample.at <= plan.length) {
                    let stage = plan.stage(sample.at).name();
                    bar.set_message(format!("{stage:9}  {}", rates(oldest, sample)));
                }
            }
            Self::Lines { name, plan, begin } => {
                let first = begin.get_or_insert(*sample);
                let stage = plan.stage(first.at);
                // The last stage is over with the last arrival, not with the last answer.
                let over = plan.stage(sample.at) != stage || sample.at >= plan.length;
                if over && first.at < plan.length {
                    line(&format!("{name}  {:9}  {}", stage.name(), rates(first, sample)));
                    *begin = Some(*sample);
                }
            }
        }
    }

    /// Ends with the result of the whole run.
    pub fn finish(self, result: String) {
        match self {
            Self::Bar { bar, .. } => {
                bar.set_position(bar.length().unwrap_or(0));
                bar.finish_with_message(result);
            }
            Self::Lines { name, .. } => line(&format!("{name}  {:9}  {result}", "whole run")),
        }
    }
}

fn rates(from: &Sample, to: &Sample) -> String {
    let seconds = (to.at - from.at).as_secs_f64().max(1e-3);
    let offered = f64::from(to.offered - from.offered) / seconds;
    let good = f64::from(to.good - from.good) / seconds;
    format!("offered {offered:4.0}/s  good {good:4.0}/s")
}

fn line(text: &str) {
    // A closed pipe is no reason to stop: the table and the picture are still to come.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says what is about to happen.
pub fn announce(plan: &Plan, seed: u64) {
    line(&format!(
        "An upstream for {:.0} requests/s gets {}/s (seed {seed}) from each of four clients, \
         {:.1} s each:",
        plan.capacity(Stage::Healthy),
        plan.rate,
        plan.length.as_secs_f64(),
    ));
    let stages = Stage::ALL.map(|stage| {
        let length = plan.end(stage) - plan.begin(stage);
        format!("{} {:.1} s ({:.0}/s)", stage.name(), length.as_secs_f64(), plan.capacity(stage))
    });
    line(&format!("{}.\n", stages.join(", ")));
}
