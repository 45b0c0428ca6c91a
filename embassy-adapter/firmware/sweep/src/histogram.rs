//! Races of calls that are counted by how long they took.

use core::cell::Cell;
use core::time::Duration;

use fusebox_core::{Clock, Histogram, HistogramConfig, WindowedHistogram};

use crate::explore::Case;
use crate::race::Race;
use crate::time::Time;

pub(crate) const CASES: &[Case] = &[
    Case::new("histogram: two calls of the same length", two_calls),
    Case::new("histogram: a call ends as the counts are drained", drained),
    Case::new("histogram: two calls as their slice of time begins anew", slice_begins),
    Case::new("histogram: a call that ends late in a window", late_call),
];

const CONFIG: HistogramConfig = HistogramConfig::up_to(Duration::from_secs(1));
const CALL: Duration = Duration::from_millis(20);
const SPAN: Duration = Duration::from_secs(8);

type Small = Histogram<Time, 4, 4>;
type Window = WindowedHistogram<Time, 2, 4, 4>;

fn two_calls(race: &mut Race) {
    let histogram = const { Small::new(CONFIG) };
    let call = || {
        histogram.record(CALL);
        0
    };
    race.run([&mut { call }], &mut { call });
    let count = histogram.snapshot().count() as u32;
    race.end(count == 2, [count, 0, 0]);
}

fn drained(race: &mut Race) {
    let histogram = const { Small::new(CONFIG) };
    histogram.record(CALL);
    let drained = Cell::new(0);
    race.run(
        [&mut || {
            drained.set(histogram.drain().count() as u32);
            0
        }],
        &mut || {
            histogram.record(CALL);
            0
        },
    );
    let (drained, left) = (drained.get(), histogram.snapshot().count() as u32);
    race.end(drained + left == 2, [drained, left, 0]);
}

/// What was counted a turn ago is forgotten, by whichever of the two comes first, and once.
fn slice_begins(race: &mut Race) {
    let window = const { Window::new(SPAN, CONFIG, Time) };
    window.record(CALL);
    Time::advance(SPAN * 2);
    let call = || {
        window.record(CALL);
        0
    };
    race.run([&mut { call }], &mut { call });
    let count = window.snapshot().count() as u32;
    race.end(count == 2, [count, 0, 0]);
}

/// The time is read, then a call a turn later is counted, and then the earlier time is used.
fn late_call(race: &mut Race) {
    let window = const { Window::new(SPAN, CONFIG, Time) };
    window.record(CALL);
    let now = Cell::new(Time.now());
    race.run(
        [
            &mut || {
                now.set(Time.now());
                0
            },
            &mut || {
                window.record_at(CALL, now.get());
                0
            },
        ],
        &mut || {
            Time::advance(SPAN * 2);
            window.record(CALL);
            0
        },
    );
    let count = window.snapshot().count() as u32;
    // Two, where the late one had not yet read the time.
    race.end((1..=2).contains(&count), [count, 0, 0]);
}
