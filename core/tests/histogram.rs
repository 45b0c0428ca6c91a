//! Histograms as their users see them: errors, borders, windows, merges, sizes.

use std::time::Duration;

use fusebox_core::{
    Clock, ConfigError, Histogram, HistogramConfig, HistogramSnapshot, LatencySummary, ManualClock,
    Ratio, Ticks, WORD_BITS, WindowedHistogram,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HALF: Ratio = Ratio::percent(50);

/// A clock in nanoseconds, so that a duration in ticks can be read off a `Duration`.
type Nanos = ManualClock<1_000_000_000>;

fn up_to(longest: Duration) -> HistogramConfig {
    HistogramConfig::up_to(longest)
}

fn nanos(duration: Duration) -> u128 {
    duration.as_nanos()
}

/// Records the first and the last duration of each bucket, and one between, and asserts that what
/// is reported is as near as promised.
fn check_borders<const OCTAVES: usize, const STEPS: usize>(longest: Duration) {
    let histogram: Histogram<Nanos, OCTAVES, STEPS> = Histogram::new(up_to(longest));
    let unit = nanos(histogram.unit());
    let (mut begin, mut width) = (0, unit);
    for bucket in 0..OCTAVES * STEPS {
        if bucket >= 2 * STEPS && bucket % STEPS == 0 {
            width *= 2;
        }
        let (first, last) = (begin, begin + width - 1);
        for elapsed in [first, (first + last) / 2, last] {
            histogram.record_ticks(u64::try_from(elapsed).unwrap());
        }
        let now = histogram.drain();
        assert_eq!((now.count(), now.min()), (3, now.max()), "bucket {bucket} is one bucket");
        let reported = nanos(now.max().unwrap());
        assert!((first..=last).contains(&reported), "bucket {bucket}");
        for elapsed in [first, last] {
            let off = reported.abs_diff(elapsed);
            if elapsed >= STEPS as u128 * unit {
                assert!(off * 2 * STEPS as u128 <= elapsed, "{reported} for {elapsed}");
            } else {
                assert!(off * 2 <= unit, "{reported} for {elapsed}");
            }
        }
        begin += width;
    }
    assert_eq!(nanos(histogram.longest()), begin - 1, "the end of the last bucket");
    assert!(histogram.longest() >= longest);
    let last = u64::try_from(begin - 1).unwrap();
    for elapsed in [last, last + 1, u64::MAX] {
        histogram.record_ticks(elapsed);
    }
    let now = histogram.snapshot();
    assert_eq!((now.count(), now.min()), (3, now.max()), "what is longer counts as the longest");
}

#[test]
fn what_is_reported_is_within_the_error_at_every_border() {
    for longest in [Duration::from_nanos(1), MS, 60 * SECOND, Duration::from_nanos(u64::MAX >> 2)] {
        check_borders::<20, 32>(longest);
        check_borders::<2, 2>(longest);
        check_borders::<12, 8>(longest);
        check_borders::<32, 2>(longest);
        check_borders::<3, 256>(longest);
    }
}

/// The default is within 3 %.
#[test]
fn the_default_is_within_the_promised_error() {
    let histogram: Histogram<Nanos> = Histogram::new(HistogramConfig::standard());
    assert!(histogram.unit() < Duration::from_micros(5));
    let mut elapsed = 32 * histogram.unit();
    while elapsed < 60 * SECOND {
        histogram.record(elapsed);
        let off = histogram.drain().max().unwrap().abs_diff(elapsed);
        assert!(off * 64 <= elapsed && off * 100 < elapsed * 3, "{off:?} for {elapsed:?}");
        elapsed += elapsed / 1000;
    }
}

/// A histogram of whole milliseconds that are all told apart.
fn of_millis(durations: impl IntoIterator<Item = u32>) -> Histogram<ManualClock<1_000>, 2, 256> {
    let histogram = Histogram::new(up_to(511 * MS));
    assert_eq!(histogram.unit(), MS);
    durations.into_iter().for_each(|ms| histogram.record(ms * MS));
    histogram
}

#[test]
fn percentiles_go_by_the_nearest_rank() {
    let histogram = of_millis((1..=10).map(|tens| tens * 10));
    let now = histogram.snapshot();
    for (share, ms) in [
        (Ratio::percent(0), 10),
        (Ratio::percent(10), 10),
        (Ratio::percent(11), 20),
        (Ratio::percent(50), 50),
        (Ratio::percent(51), 60),
        (Ratio::percent(90), 90),
        (Ratio::new(9_001, 10_000), 100),
        (Ratio::percent(100), 100),
        (Ratio::percent(250), 100),
    ] {
        assert_eq!(histogram.percentile(share), Some(ms * MS), "{share}");
        assert_eq!(now.percentile(share), Some(ms * MS), "{share}");
    }
    assert_eq!(histogram.percentile(Ratio::new(1, 0)), None, "that is not a number");
    assert_eq!((now.min(), now.max(), now.mean()), (Some(10 * MS), Some(100 * MS), Some(55 * MS)));
}

#[test]
fn nothing_has_no_figures() {
    let histogram = of_millis([]);
    let now = histogram.snapshot();
    assert_eq!((now.count(), now.summary(), now.mean()), (0, None, None));
    assert_eq!((now.min(), now.max(), now.percentile(HALF)), (None, None, None));
    assert_eq!(histogram.percentile(HALF), None);
    histogram.record(MS);
    histogram.reset();
    assert_eq!(histogram.snapshot().summary(), None);
    assert_eq!(histogram.percentile(HALF), None);
}

#[test]
fn a_summary_has_the_figures_of_its_snapshot() {
    let now = of_millis(1..=200).snapshot();
    let summary = now.summary().unwrap();
    let LatencySummary { count, mean, min, max, p50, p95, p99, .. } = summary;
    assert_eq!((count, min, max), (200, MS, 200 * MS));
    assert_eq!(mean, 100 * MS, "rounded down to a tick");
    assert_eq!((p50, p95, p99), (100 * MS, 190 * MS, 198 * MS));
    assert_eq!(
        summary.to_string(),
        "200 calls, mean 100ms, min 1ms, p50 100ms, p95 190ms, p99 198ms, max 200ms"
    );
}

#[test]
fn each_call_is_drained_once() {
    let histogram = of_millis([1, 2, 3]);
    assert_eq!(histogram.drain().count(), 3);
    assert_eq!(histogram.drain().count(), 0);
    histogram.record(4 * MS);
    assert_eq!(histogram.drain().min(), Some(4 * MS));
}

#[test]
fn merged_counts_are_as_if_recorded_in_one() {
    let (one, other) = (of_millis(1..=100), of_millis(51..=150));
    let both = of_millis((1..=100).chain(51..=150)).snapshot();
    let mut merged = one.snapshot();
    merged.merge(&other.snapshot());
    assert_eq!(merged, both);
    one.merge(&other.snapshot());
    assert_eq!(one.snapshot(), both);
}

/// Buckets of a coarser histogram are made of whole buckets of a finer one.
#[test]
fn merging_into_coarser_units_loses_nothing() {
    type Small = Histogram<Nanos, 8, 4>;
    for finer in [8, 11, 40, 1_000] {
        let (fine, coarse): (Small, Small) =
            (Histogram::new(up_to(finer * MS)), Histogram::new(up_to(4_000 * MS)));
        assert!(fine.unit() < coarse.unit());
        let direct: Small = Histogram::new(up_to(4_000 * MS));
        let mut elapsed = Duration::from_nanos(1);
        while elapsed < finer * MS {
            fine.record(elapsed);
            direct.record(elapsed);
            elapsed += elapsed / 20 + Duration::from_nanos(1);
        }
        coarse.merge(&fine.snapshot());
        assert_eq!(coarse.snapshot(), direct.snapshot(), "{finer} ms");

        // The other way both errors add up, and no call is lost.
        let back: Small = Histogram::new(up_to(finer * MS));
        back.merge(&coarse.snapshot());
        let (back, fine) = (back.snapshot(), fine.snapshot());
        assert_eq!(back.count(), fine.count());
        let (now, then) = (back.max().unwrap(), fine.max().unwrap());
        assert!(now.abs_diff(then) <= then / 4 + coarse.unit(), "{now:?} for {then:?}");
    }
}

#[test]
fn snapshots_of_different_clocks_can_be_merged() {
    let fast: Histogram<Nanos> = Histogram::new(up_to(SECOND));
    let slow: Histogram<ManualClock<32_768>> = Histogram::new(up_to(SECOND));
    slow.record(250 * MS);
    fast.merge(&slow.snapshot());
    assert!(fast.percentile(HALF).unwrap().abs_diff(250 * MS) <= 250 * MS / 32);
}

#[test]
fn counts_saturate() {
    let histogram = of_millis([1, 2, 2]);
    for _ in 0..2 * WORD_BITS {
        histogram.merge(&histogram.snapshot());
    }
    // More than are left to the end of a 32-bit word, which must not begin again at 0.
    for _ in 0..70_000 {
        histogram.record(2 * MS);
    }
    assert_eq!(histogram.percentile(Ratio::percent(25)), Some(MS));
    assert_eq!(histogram.percentile(Ratio::percent(100)), Some(2 * MS));
    let mut now = histogram.snapshot();
    let before = now.count();
    assert!(before > u64::MAX >> (65 - WORD_BITS), "{before}");
    now.merge(&histogram.snapshot());
    assert!(now.count() > before - before / 1000);
    assert_eq!((now.min(), now.max()), (Some(MS), Some(2 * MS)));
    assert!(now.mean() >= Some(MS) && now.mean() <= Some(2 * MS));
}

type Window = WindowedHistogram<ManualClock<1_000>, 4, 2, 256>;

/// Over the last 400 ms: 3 slices of 128 ms.
fn window() -> Window {
    let window = Window::new(400 * MS, up_to(511 * MS), ManualClock::new());
    assert_eq!((window.unit(), window.slice(), window.span()), (MS, 128 * MS, 3 * 128 * MS));
    window
}

#[test]
fn a_window_forgets_what_slides_out() {
    let window = window();
    for slice in 0..8 {
        window.record_at((slice + 1) * MS, Ticks(u64::from(slice) * 128 + 127));
        let now = window.snapshot_at(Ticks(u64::from(slice) * 128 + 127));
        let oldest = slice.saturating_sub(2);
        assert_eq!(now.min(), Some((oldest + 1) * MS), "in slice {slice}");
        assert_eq!(now.count(), u64::from(slice + 1 - oldest));
    }
    let count = |at| window.snapshot_at(Ticks(at)).count();
    assert_eq!([7 * 128, 8 * 128, 9 * 128, 10 * 128].map(count), [3, 2, 1, 0]);
    assert_eq!(window.percentile_at(HALF, Ticks(7 * 128)), Some(7 * MS));
    assert_eq!(window.percentile_at(HALF, Ticks(10 * 128)), None);
}

#[test]
fn a_late_call_counts_in_its_own_slice_or_not_at_all() {
    let window = window();
    window.record_at(MS, Ticks(1_100));
    window.record_at(2 * MS, Ticks(1_000));
    assert_eq!(window.snapshot_at(Ticks(1_100)).count(), 2, "both are within the window");
    window.record_at(MS, Ticks(500));
    window.record_at(MS, Ticks(1_100));
    assert_eq!(window.snapshot_at(Ticks(1_100)).count(), 3, "one was before the window");
    // Of a clock that was set back for good: it begins anew.
    window.record_at(MS, Ticks(1_100 + (1 << 40)));
    window.record_at(MS, Ticks(1_100));
    assert!(window.snapshot_at(Ticks(1_100)).count() > 0);
}

#[test]
fn a_window_is_reset_and_merged_into() {
    let window = window();
    window.merge(&of_millis([3, 3, 4]).snapshot());
    assert_eq!(window.percentile(HALF), Some(3 * MS));
    window.record(5 * MS);
    assert_eq!(window.snapshot().count(), 4);
    window.reset();
    assert_eq!((window.snapshot().summary(), window.percentile(HALF)), (None, None));
    window.record(5 * MS);
    assert_eq!(window.snapshot().count(), 1);
}

/// The first slice of all has the tag 0, as a word has in which nothing was ever counted.
#[test]
fn a_window_works_across_the_end_of_the_clock() {
    let window = window();
    for at in [u64::MAX - 300, u64::MAX - 150, u64::MAX, 0, 50] {
        window.record_at(MS, Ticks(at));
    }
    let count = |at| window.snapshot_at(Ticks(at)).count();
    assert_eq!([u64::MAX, 0, 127, 128, 255, 256, 384].map(count), [3, 4, 4, 3, 3, 2, 0]);
}

#[test]
fn bad_settings_are_refused() {
    fn range(error: ConfigError) -> (&'static str, Duration) {
        let ConfigError::DurationOutOfRange { what, min, .. } = error else { panic!("{error}") };
        (what, min)
    }
    let longest = "the histogram's `longest`";
    for wrong in [Duration::ZERO, Duration::MAX] {
        let error = Histogram::<ManualClock<1_000>>::try_new(up_to(wrong)).unwrap_err();
        assert_eq!(range(error), (longest, MS));
        let error = Window::try_new(SECOND, up_to(wrong), ManualClock::new()).unwrap_err();
        assert_eq!(range(error), (longest, MS));
        let error = Window::try_new(wrong, up_to(SECOND), ManualClock::new()).unwrap_err();
        assert_eq!(range(error), ("the histogram's `span`", 4 * MS));
    }
    assert!(Window::try_new(4 * MS, up_to(MS), ManualClock::new()).is_ok());
}

#[test]
fn debug_shows_the_figures() {
    let histogram = of_millis([7]);
    let text = format!("{histogram:?}");
    assert!(text.starts_with("Histogram { summary: LatencySummary { count: 1, "), "{text}");
    histogram.reset();
    assert_eq!(format!("{:?}", histogram.snapshot()), "HistogramSnapshot { count: 0, .. }");
    assert_eq!(
        format!("{:?}", window()),
        "WindowedHistogram { span: 384ms, unit: 1ms, longest: 511ms, .. }"
    );
}

/// As the documentation says: one word for each bucket (and slice), and a few more.
#[test]
fn sizes() {
    struct Rtc;
    impl Clock for Rtc {
        const TICKS_PER_SECOND: u64 = 32_768;
        fn now(&self) -> Ticks {
            Ticks::ZERO
        }
    }
    let word = WORD_BITS as usize / 8;
    assert_eq!(size_of::<Histogram<Rtc>>(), (20 * 32 + 2) * word);
    assert_eq!(size_of::<Histogram<Rtc, 12, 8>>(), (12 * 8 + 2) * word);
    assert!(size_of::<WindowedHistogram<Rtc>>() <= (4 * 20 * 32 + 5) * word);
    assert!(size_of::<HistogramSnapshot<12, 8>>() <= (12 * 8 + 2) * word + 16);
}
