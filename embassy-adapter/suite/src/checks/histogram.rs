//! The histograms.

use core::time::Duration;

use fusebox_core::{Histogram, HistogramConfig, ManualClock, Ratio, WindowedHistogram};

use super::support::{EIGHTH, SECOND};
use crate::{Checked, Failure, ensure, ensure_eq};

const CONFIG: HistogramConfig = HistogramConfig::up_to(Duration::from_secs(100));
const HALF: Ratio = Ratio::percent(50);

/// Eight steps to an octave: what it says is within a 16th.
type Small<const HZ: u64> = Histogram<ManualClock<HZ>, 10, 8>;

pub(super) fn percentiles_are_as_close_as_promised<const HZ: u64>() -> Checked {
    let histogram = Small::<HZ>::new(CONFIG);
    ensure!(histogram.percentile(HALF).is_none(), "nothing is known yet");
    for second in 1..=99 {
        histogram.record(SECOND * second);
    }
    for (percent, exactly) in [(1, 1), (50, 50), (90, 90), (99, 99)] {
        let said =
            histogram.percentile(Ratio::percent(percent)).ok_or(Failure::new("there are calls"))?;
        let exactly = SECOND * exactly;
        ensure!(said.abs_diff(exactly) <= exactly / 16 + histogram.unit() + SECOND);
    }
    let snapshot = histogram.snapshot();
    ensure_eq!(snapshot.count(), 99);
    ensure!(snapshot.mean().is_some_and(|mean| mean.abs_diff(SECOND * 50) <= SECOND * 4));
    ensure!(
        snapshot.min() <= snapshot.percentile(HALF) && snapshot.percentile(HALF) <= snapshot.max()
    );
    Ok(())
}

pub(super) fn draining_and_merging_lose_nothing<const HZ: u64>() -> Checked {
    let (first, second) = (Small::<HZ>::new(CONFIG), Small::<HZ>::new(CONFIG));
    (1..=10).for_each(|eighths| first.record(EIGHTH * eighths));
    second.record(SECOND);
    let drained = first.drain();
    ensure_eq!(drained.count(), 10);
    ensure_eq!(first.snapshot().count(), 0);
    second.merge(&drained);
    ensure_eq!(second.snapshot().count(), 11);
    second.reset();
    ensure_eq!(second.snapshot().count(), 0);
    Ok(())
}

pub(super) fn a_window_forgets_what_is_past<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let last: WindowedHistogram<_, 4, 10, 8> = WindowedHistogram::new(SECOND * 8, CONFIG, &clock);
    last.record(SECOND * 60);
    // With four slices it looks back at least half of the span, and never more than that.
    clock.advance(SECOND * 3);
    ensure_eq!(last.snapshot().count(), 1);
    clock.advance(SECOND * 3);
    last.record(SECOND);
    clock.advance(SECOND * 3);
    ensure_eq!(last.snapshot().count(), 1);
    ensure!(
        last.percentile(HALF).is_some_and(|median| median < SECOND * 2),
        "the bad time is over"
    );
    clock.advance(SECOND * 20);
    ensure!(last.percentile(HALF).is_none());
    Ok(())
}
