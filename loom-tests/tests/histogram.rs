//! Models of the histograms. Two octaves of two steps: 0, 1, 2 and 3 ticks are told apart.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::{Still, race};
use core::time::Duration;
use fusebox_core::{
    Histogram, HistogramConfig, HistogramSnapshot, Ratio, Ticks, WindowedHistogram,
};
use loom::sync::Arc;

type Small = Histogram<Still, 2, 2>;
/// Two slices of eight ticks, as twice that fits into twenty.
type Window = WindowedHistogram<Still, 2, 2, 2>;

const UP_TO_3: HistogramConfig = HistogramConfig::up_to(Duration::from_secs(3));

fn cumulative() -> Arc<Small> {
    Arc::new(Histogram::new(UP_TO_3))
}

fn windowed() -> Arc<Window> {
    let window = Window::new(Duration::from_secs(20), UP_TO_3, Still);
    assert_eq!(window.slice(), Duration::from_secs(8));
    Arc::new(window)
}

fn figures(now: &HistogramSnapshot<2, 2>) -> (u64, Option<Duration>, Option<Duration>) {
    (now.count(), now.min(), now.max())
}

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn two_calls_of_one_bucket() {
    // Race: two calls count in the same bucket. Both are counted.
    // Fails when `record_ticks` loads and stores.
    model(|| {
        let histogram = cumulative();
        race(&histogram, |shared| shared.record_ticks(3), |shared| shared.record_ticks(3));
        assert_eq!(histogram.snapshot().count(), 2);
    });
}

#[test]
fn two_octaves_are_first_used() {
    // Race: two calls are the first ones in their octaves. Both are seen, by percentiles too.
    // Fails when `UsedOctaves::add` loads and stores.
    model(|| {
        let histogram = cumulative();
        race(&histogram, |shared| shared.record_ticks(1), |shared| shared.record_ticks(2));
        assert_eq!(figures(&histogram.snapshot()), (2, seconds(1), seconds(2)));
        assert_eq!(histogram.percentile(Ratio::percent(50)), seconds(1));
        assert_eq!(histogram.percentile(Ratio::percent(100)), seconds(2));
    });
}

#[test]
fn a_call_is_drained_or_left() {
    // Race: a call is counted while the counts are drained. It is in what was taken or in what is
    // left, never in both, and never lost. Fails when `drain` loads and then stores 0.
    model(|| {
        let histogram = cumulative();
        histogram.record_ticks(3);
        let ((), taken) =
            race(&histogram, |shared| shared.record_ticks(3), |shared| shared.drain());
        assert_eq!(taken.count() + histogram.snapshot().count(), 2);
        assert!(taken.count() >= 1);
    });
}

#[test]
fn two_drains_share_the_calls() {
    // Race: two exporters drain. Each call is in one of the snapshots.
    // Fails when `drain` loads and then stores 0.
    model(|| {
        let histogram = cumulative();
        histogram.record_ticks(0);
        histogram.record_ticks(3);
        let (one, other) = race(&histogram, |shared| shared.drain(), |shared| shared.drain());
        assert_eq!(one.count() + other.count(), 2);
        assert_eq!(histogram.snapshot().count(), 0);
    });
}

#[test]
fn a_merge_against_a_call() {
    // Race: the counts of another histogram are added while a call is counted. Nothing is lost.
    // Fails when `merge` loads and stores.
    model(|| {
        let histogram = cumulative();
        let other = cumulative();
        other.record_ticks(3);
        let more = other.snapshot();
        race(&histogram, |shared| shared.record_ticks(3), |shared| shared.merge(&more));
        assert_eq!(histogram.snapshot().count(), 2);
    });
}

#[test]
fn two_calls_of_one_slice() {
    // Race: two calls count in the same word. Both are counted.
    // Fails when a failed swap in `add` counts as counted.
    model(|| {
        let window = windowed();
        race(
            &window,
            |shared| shared.record_ticks_at(3, Ticks(1)),
            |shared| shared.record_ticks_at(3, Ticks(2)),
        );
        assert_eq!(window.snapshot_at(Ticks(2)).count(), 2);
    });
}

#[test]
fn a_word_is_taken_over() {
    // Race: two calls are the first of a turn, in a word with the count of the turn before. Both
    // are counted, and nothing of that turn. Fails when `transition_count` goes on from a count
    // with another tag, and when a failed swap in `add` counts as counted.
    model(|| {
        let window = windowed();
        window.record_ticks_at(3, Ticks(1));
        race(
            &window,
            |shared| shared.record_ticks_at(3, Ticks(17)),
            |shared| shared.record_ticks_at(3, Ticks(18)),
        );
        assert_eq!(window.snapshot_at(Ticks(18)).count(), 2);
    });
}

#[test]
fn a_late_call_against_the_next_turn() {
    // Race: a call that read the clock a turn ago meets the first call of this turn. It is counted
    // before, and forgotten, or it is too late; it never takes the word back. Fails when
    // `transition_count` is not told to drop what is late, and when `add` decides by the time
    // alone, before it has seen the word that it swaps.
    model(|| {
        let window = windowed();
        race(
            &window,
            |shared| shared.record_ticks_at(3, Ticks(1)),
            |shared| shared.record_ticks_at(3, Ticks(17)),
        );
        assert_eq!(window.snapshot_at(Ticks(17)).count(), 1);
        assert_eq!(window.snapshot_at(Ticks(1)).count(), 0);
    });
}

#[test]
fn a_call_against_a_reset() {
    // Race: a call is counted while all is forgotten. What was counted before stays forgotten; the
    // call itself is or is not. Fails when `add` stores what it made of the word that it read.
    model(|| {
        let window = windowed();
        window.record_ticks_at(3, Ticks(1));
        race(&window, |shared| shared.record_ticks_at(3, Ticks(2)), |shared| shared.reset());
        assert!(window.snapshot_at(Ticks(2)).count() <= 1);
        window.record_ticks_at(3, Ticks(3));
        assert!(window.snapshot_at(Ticks(3)).count() <= 2);
    });
}

#[test]
fn a_look_while_the_window_slides() {
    // Race: a look at the window of the turn before, or of this one, while a word is taken over by
    // this turn. It shows one turn's count or the other's, never their sum.
    // Fails when `count_in` does not compare the turn.
    model(|| {
        let window = windowed();
        window.record_ticks_at(3, Ticks(1));
        window.record_ticks_at(3, Ticks(2));
        let ((), (now, p50)) = race(
            &window,
            |shared| shared.record_ticks_at(3, Ticks(17)),
            |shared| {
                let at = Ticks(17);
                (shared.snapshot_at(at).count(), shared.percentile_at(Ratio::percent(50), at))
            },
        );
        assert!(now <= 1, "{now}");
        assert!(now == 0 || p50 == seconds(3), "what was seen is seen again");
    });
}
