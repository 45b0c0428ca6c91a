//! What the model counts: whole histories, of which a window shows the end.

use fusebox_core::Counts;

use super::{Call, History, Kind, Model, Phase, by_width, turn};

/// Whether a window whose latest call was at `latest` may take `now` for a time a turn away, or for
/// one so far back that what it has is stale.
pub(super) fn is_odd(latest: i128, now: i128, reach: i128) -> bool {
    let unit = (reach >> by_width(19, 9)).max(1);
    now - latest > turn(reach) - 2 * reach || latest - now > reach - 2 * unit
}

impl Model {
    pub(super) fn with_meter(&self, counts: Counts) -> Counts {
        let mut counts = counts;
        if self.rules.metered {
            counts.consecutive_successes = self.totals.successes_in_row;
            counts.ignored = self.totals.ignored;
            counts.rejected = self.totals.rejected;
        }
        counts
    }

    /// Every set of counts that window `index` may show at `now`, with `failures_in_row`.
    pub(super) fn window_counts(
        &self,
        index: usize,
        now: u64,
        failures_in_row: u64,
    ) -> Vec<Counts> {
        let sum = |calls: &[Call]| {
            let mut counts = Counts::default();
            counts.requests = calls.len() as u64;
            counts.failures = calls.iter().filter(|call| call.failed).count() as u64;
            counts.successes = counts.requests - counts.failures;
            counts.slow = calls.iter().filter(|call| call.slow).count() as u64;
            counts.consecutive_failures = failures_in_row;
            self.with_meter(counts)
        };
        let Some(window) = self.rules.windows.get(index) else {
            return vec![sum(&[])];
        };
        let History { calls, wild } = &self.histories[index];
        match window.kind {
            Kind::Consecutive => vec![sum(&[])],
            Kind::Calls { calls: size, buckets } => {
                // The last `size` when a step is complete, fewer by what is missing to a step in
                // between.
                let (size, step) = (size as usize, (size / buckets) as usize);
                let missing = (step - calls.len() % step) % step;
                let covered = (size - missing).min(calls.len());
                vec![sum(&calls[calls.len() - covered..])]
            }
            Kind::Time { span, buckets, lateness } => {
                let (surely_out, surely_in) =
                    self.time_bounds(calls, now, span, buckets, lateness, *wild);
                (surely_out..=surely_in).map(|cut| sum(&calls[cut..])).collect()
            }
        }
    }

    /// The first call that may be in a window of time, and the first that must be, as indices.
    fn time_bounds(
        &self,
        calls: &[Call],
        now: u64,
        span: u64,
        buckets: u32,
        lateness: u64,
        wild: bool,
    ) -> (usize, usize) {
        let now = i128::from(now);
        let latest = calls.last().map_or(now, |call| call.at);
        let reach = i128::from(span) + i128::from(lateness);
        let odd = is_odd(latest, now, reach);
        if wild || odd {
            return (0, calls.len());
        }
        // In parts of a tick, of which there are 2^10.
        let now = now.max(latest) << 10;
        let part = i128::from(by_width(19, 9));
        let unit = ((reach << 10) >> part).max(1);
        // Where a unit is a tick at most, only the steps are rounded, and not the times.
        let rounded = if reach >> part > 1 { unit } else { 0 };
        let (span, buckets) = (i128::from(span) << 10, i128::from(buckets));
        let oldest = now - span - rounded;
        let covered = now - (buckets - 1) * (span / buckets - unit) + rounded;
        let surely_out = calls.iter().filter(|call| (call.at << 10) <= oldest).count();
        let surely_in = calls.iter().filter(|call| (call.at << 10) < covered).count();
        (surely_out, surely_in.max(surely_out))
    }

    /// Every set of counts that a snapshot at `now` may show.
    pub(crate) fn counts(&self, now: u64) -> Vec<Counts> {
        let mut counts = Counts::default();
        match self.phase {
            Phase::Counting { failures_in_row } => {
                return self.window_counts(0, now, failures_in_row);
            }
            Phase::HalfOpen { done, failed, .. } => {
                counts.requests = done.into();
                counts.failures = failed.into();
                counts.successes = (done - failed).into();
            }
            Phase::Open { .. } | Phase::Inert => {}
        }
        vec![self.with_meter(counts)]
    }

    pub(crate) fn totals(&self) -> Option<Counts> {
        if !self.rules.metered {
            return None;
        }
        let mut counts = Counts::default();
        counts.requests = self.totals.successes + self.totals.failures;
        counts.successes = self.totals.successes;
        counts.failures = self.totals.failures;
        counts.slow = self.totals.slow;
        if let Phase::Counting { failures_in_row } = self.phase {
            counts.consecutive_failures = failures_in_row;
        }
        Some(self.with_meter(counts))
    }

    pub(crate) fn running(&self) -> Option<u64> {
        self.rules.metered.then_some(self.totals.running)
    }

    pub(crate) fn last_failure(&self) -> Option<u64> {
        self.totals.last_failure
    }

    pub(crate) fn last_change(&self) -> Option<u64> {
        self.totals.last_change
    }
}
