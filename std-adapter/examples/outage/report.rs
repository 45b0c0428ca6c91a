//! What came of a run, in numbers: the table at the end, and the figures the picture repeats.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::client::Verdict;
use crate::drive::{Call, Run};
use crate::schedule::{Plan, Stage};

/// A client is back to normal when this share of its calls goes well, for as long as a user would
/// wait: a second, in all but the shortest runs.
const NORMAL: f64 = 0.9;

/// By how much that window moves in search of the first normal one.
const STEP: Duration = Duration::from_millis(50);

/// The figures of one client.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Good answers per second, over the whole run.
    pub goodput: f64,
    /// Good answers per call.
    pub success: f64,
    /// Median time to a 200, in time or not.
    pub p50: Option<Duration>,
    /// Its 99th percentile.
    pub p99: Option<Duration>,
    /// Requests to the upstream per call.
    pub amplification: f64,
    /// From the upstream's recovery to the client's; `None` if there was none.
    pub recovery: Option<Duration>,
}

impl Summary {
    /// Reads the figures off a run.
    pub fn new(run: &Run, plan: &Plan) -> Self {
        let good = run.calls.iter().filter(|call| call.good).count() as f64;
        let offered = run.calls.len().max(1) as f64;
        let received = run.samples.last().map_or(0, |sample| sample.received);
        let mut latencies: Vec<_> = run.calls.iter().filter_map(answered_after).collect();
        latencies.sort_unstable();
        Self {
            goodput: good / plan.length.as_secs_f64(),
            success: good / offered,
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
            amplification: received as f64 / offered,
            recovery: recovery(&run.calls, plan),
        }
    }

    /// The recovery time in words.
    pub fn recovery_text(&self) -> String {
        self.recovery.map_or_else(|| "never".into(), |took| format!("{:.1} s", took.as_secs_f64()))
    }
}

fn answered_after(call: &Call) -> Option<Duration> {
    match call.ending {
        Some((Verdict::Answered, took)) => Some(took),
        _ => None,
    }
}

/// The smallest value that `percent` of the `sorted` ones do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// From the recovery of the upstream to the beginning of the first window that was normal.
///
/// A call counts in the window of its arrival, so that the noise of the arrivals cancels out.
fn recovery(calls: &[Call], plan: &Plan) -> Option<Duration> {
    let recovered = plan.begin(Stage::Recovered);
    let window = plan.patience;
    let steps = (0..).map(|step| STEP * step);
    steps.take_while(|&after| recovered + after + window <= plan.length).find(|&after| {
        let from = recovered + after;
        let begin = calls.partition_point(|call| call.at < from);
        let end = calls.partition_point(|call| call.at < from + window);
        let good = calls[begin..end].iter().filter(|call| call.good).count();
        end > begin && good as f64 >= NORMAL * (end - begin) as f64
    })
}

/// The table of all clients.
pub fn table(rows: &[(&str, Summary)]) -> Table {
    let heads = [
        "client",
        "good/s",
        "success",
        "p50",
        "p99",
        "upstream requests\nper call",
        "back to normal\nafter",
    ];
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(heads);
    for (name, summary) in rows {
        table.add_row([
            (*name).to_owned(),
            format!("{:.1}", summary.goodput),
            format!("{:.1} %", summary.success * 100.0),
            milliseconds(summary.p50),
            milliseconds(summary.p99),
            format!("{:.2}", summary.amplification),
            summary.recovery_text(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{} ms", time.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred calls a second; those that arrive in `bad` fail.
    fn calls(plan: &Plan, bad: std::ops::Range<u64>) -> Vec<Call> {
        let ends = (0..plan.length.as_millis() as u64).step_by(10);
        let call = |at: u64| Call {
            at: Duration::from_millis(at),
            ending: None,
            good: !bad.contains(&at),
        };
        ends.map(call).collect()
    }

    #[test]
    fn recovery_is_timed_from_the_upstreams() {
        // Recovered from second 11 on; the window is a second.
        let plan = Plan::new(100, Duration::from_secs(20));
        let after = |bad| recovery(&calls(&plan, bad), &plan);
        assert_eq!(after(0..0), Some(Duration::ZERO));
        assert_eq!(after(0..11_100), Some(Duration::ZERO));
        // The second from 12.4 on has its first 100 ms bad: exactly nine tenths are good.
        assert_eq!(after(2000..12_500), Some(Duration::from_millis(1400)));
        assert_eq!(after(2000..19_500), None);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&sorted, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&sorted[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }
}
