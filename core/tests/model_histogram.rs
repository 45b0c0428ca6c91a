//! Histograms against a slow and obvious model: a list of all that was recorded, and buckets whose
//! borders are added up one after another.
//!
//! Two things are compared at every rank. That what is reported is the middle of the bucket of the
//! call that has this rank, exactly, so that no call is lost, invented or misplaced; for windows by
//! the documented rules, what a late call or an idle turn of the tags does included. And that the
//! rules keep the promise: with a clock that goes on as clocks do, these are the calls of the last
//! slices, and each is off by no more than the documented error.

mod modelling;

use std::time::Duration;

use fusebox_core::{
    Histogram, HistogramConfig, HistogramSnapshot, ManualClock, Ratio, Ticks, WORD_BITS,
    WindowedHistogram,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// In nanoseconds, so that durations are ticks.
type Clock = ManualClock<1_000_000_000>;

const PER_SECOND: i128 = 1_000_000_000;

/// The turns that a tag tells apart, as documented.
const TURNS: i128 = if WORD_BITS == 64 { 1 << 24 } else { 1 << 16 };

/// The borders of all buckets: where each begins, in ticks, and where the last one ends.
fn borders(octaves: usize, steps: usize, unit: u64) -> Vec<u64> {
    let (mut borders, mut width) = (vec![0], unit);
    for bucket in 0..octaves * steps {
        if bucket >= 2 * steps && bucket % steps == 0 {
            width *= 2;
        }
        borders.push(borders[bucket] + width);
    }
    borders
}

#[derive(Clone, Debug)]
struct Table {
    borders: Vec<u64>,
    steps: u64,
}

impl Table {
    fn new(octaves: usize, steps: usize, unit: Duration) -> Self {
        let unit = u64::try_from(unit.as_nanos()).unwrap();
        Self { borders: borders(octaves, steps, unit), steps: steps as u64 }
    }

    fn bucket(&self, elapsed: u64) -> usize {
        let last = self.borders.len() - 2;
        (0..last).find(|bucket| elapsed < self.borders[bucket + 1]).unwrap_or(last)
    }

    fn reported(&self, elapsed: u64) -> u64 {
        let bucket = self.bucket(elapsed);
        (self.borders[bucket] + self.borders[bucket + 1] - 1) / 2
    }

    /// Compares all ranks.
    fn compare(
        &self,
        mut calls: Vec<u64>,
        reported: impl Fn(Ratio) -> Option<Duration>,
    ) -> TestCaseResult {
        calls.sort_unstable();
        let count = u32::try_from(calls.len()).unwrap();
        prop_assert_eq!(reported(Ratio::percent(50)).is_some(), count > 0);
        for (rank, elapsed) in (1..=count).zip(&calls) {
            let got = reported(Ratio::new(rank, count)).map(|got| got.as_nanos());
            prop_assert_eq!(got, Some(self.reported(*elapsed).into()), "{} of {}", rank, count);
        }
        Ok(())
    }

    /// The documented error.
    fn check_error(&self, elapsed: u64) -> TestCaseResult {
        let longest = self.borders[self.borders.len() - 1] - 1;
        let elapsed = elapsed.min(longest);
        let off = u128::from(self.reported(elapsed).abs_diff(elapsed));
        let relative = off * u128::from(2 * self.steps) <= u128::from(elapsed);
        prop_assert!(relative || off * 2 <= u128::from(self.borders[1]), "{}", elapsed);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Of so many thousandths of the longest duration, shifted right by so much.
    Record {
        thousandths: u16,
        shift: u8,
    },
    Reset,
    Drain,
    /// Merges what another histogram has recorded, which is so much finer or coarser.
    Merge {
        thousandths: u16,
        unit: i8,
    },
}

fn elapsed(longest: Duration, thousandths: u16, shift: u8) -> u64 {
    let most = u64::try_from(longest.as_nanos()).unwrap();
    ((u128::from(most) * u128::from(thousandths) / 1_000) >> shift).try_into().unwrap()
}

fn run<const OCTAVES: usize, const STEPS: usize>(longest: Duration, ops: &[Op]) -> TestCaseResult {
    let made = |longest| Histogram::<Clock, OCTAVES, STEPS>::new(HistogramConfig::up_to(longest));
    let histogram = made(longest);
    let table = Table::new(OCTAVES, STEPS, histogram.unit());
    let mut calls = Vec::new();
    for op in ops {
        match *op {
            Op::Record { thousandths, shift } => {
                let elapsed = elapsed(longest, thousandths, shift);
                table.check_error(elapsed)?;
                histogram.record(Duration::from_nanos(elapsed));
                calls.push(elapsed);
            }
            Op::Reset => {
                histogram.reset();
                calls.clear();
            }
            Op::Drain => check_snapshot(&histogram.drain(), &table, &std::mem::take(&mut calls))?,
            Op::Merge { thousandths, unit } => {
                let scale = 1 << unit.unsigned_abs();
                let finer = (longest / scale).max(Duration::from_nanos(1));
                let other = made(if unit < 0 { finer } else { longest * scale });
                let elapsed = elapsed(longest, thousandths, 0);
                other.record_ticks(elapsed);
                histogram.merge(&other.snapshot());
                // What the other one reports is what this one is told.
                calls.push(Table::new(OCTAVES, STEPS, other.unit()).reported(elapsed));
            }
        }
        table.compare(calls.clone(), |share| histogram.percentile(share))?;
    }
    check_snapshot(&histogram.snapshot(), &table, &calls)
}

fn check_snapshot<const OCTAVES: usize, const STEPS: usize>(
    now: &HistogramSnapshot<OCTAVES, STEPS>,
    table: &Table,
    calls: &[u64],
) -> TestCaseResult {
    table.compare(calls.to_vec(), |share| now.percentile(share))?;
    let reported = || calls.iter().map(|elapsed| table.reported(*elapsed));
    let sum: u128 = reported().map(u128::from).sum();
    let nanos = |duration: Option<Duration>| duration.map(|duration| duration.as_nanos());
    prop_assert_eq!(now.count(), calls.len() as u64);
    prop_assert_eq!(nanos(now.mean()), sum.checked_div(calls.len() as u128));
    prop_assert_eq!(nanos(now.min()), reported().min().map(u128::from));
    prop_assert_eq!(nanos(now.max()), reported().max().map(u128::from));
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum TimedOp {
    /// By a reading that is late by so many thousandths of a slice.
    Record {
        late: u32,
        thousandths: u16,
        shift: u8,
    },
    /// By so many thousandths of a slice.
    Advance(u32),
    /// By so many turns of a word's tag, and so many thousandths of a slice more.
    Jump(u8, u32),
    Reset,
    /// A look by a reading that is late by so many thousandths of a slice.
    Look {
        late: u32,
    },
}

/// A word: the turn in which it was counted, and what.
#[derive(Clone, Debug, Default)]
struct Word {
    turn: i128,
    calls: Vec<u64>,
}

struct Model {
    table: Table,
    slice: i128,
    slices: i128,
    window: i128,
    /// How many turns a tag tells apart, and how many ahead is a later one.
    turns: i128,
    late: i128,
    /// By bucket, then by slice.
    words: Vec<Vec<Word>>,
    /// All calls and when they ended; `None` once time did what the promise is not for.
    log: Option<Vec<(i128, u64)>>,
}

impl Model {
    fn turn_and_slot(&self, slice: i128) -> (i128, usize) {
        (slice.div_euclid(self.slices), usize::try_from(slice.rem_euclid(self.slices)).unwrap())
    }

    fn record(&mut self, elapsed: u64, at: i128) {
        let (turn, slot) = self.turn_and_slot(at.div_euclid(self.slice));
        let word = &mut self.words[self.table.bucket(elapsed)][slot];
        let ahead = (word.turn - turn).rem_euclid(self.turns);
        if !word.calls.is_empty() && (1..=self.late).contains(&ahead) {
            return;
        }
        if ahead != 0 {
            word.calls.clear();
        }
        word.turn = turn;
        word.calls.push(elapsed);
        if let Some(log) = &mut self.log {
            log.push((at, elapsed));
        }
    }

    fn calls(&self, now: i128) -> Vec<u64> {
        let now = now.div_euclid(self.slice);
        let mut calls = Vec::new();
        for slice in now - self.window + 1..=now {
            let (turn, slot) = self.turn_and_slot(slice);
            for word in self.words.iter().map(|words| &words[slot]) {
                if (word.turn - turn).rem_euclid(self.turns) == 0 {
                    calls.extend(&word.calls);
                }
            }
        }
        calls
    }

    /// The promise: the calls that ended in the last slices.
    fn promised(&self, now: i128) -> Option<Vec<u64>> {
        let oldest = now.div_euclid(self.slice) - self.window + 1;
        let recent = |(at, _): &&(i128, u64)| at.div_euclid(self.slice) >= oldest;
        let log = self.log.as_ref()?;
        Some(log.iter().filter(recent).map(|(_, elapsed)| *elapsed).collect())
    }
}

fn run_timed<const SLICES: usize, const OCTAVES: usize, const STEPS: usize>(
    (span, longest): (Duration, Duration),
    origin: u64,
    ops: &[TimedOp],
) -> TestCaseResult {
    let config = HistogramConfig::up_to(longest);
    let window: WindowedHistogram<Clock, SLICES, OCTAVES, STEPS> =
        WindowedHistogram::new(span, config, Clock::new());
    let slice = i128::try_from(window.slice().as_nanos()).unwrap();
    prop_assert!(window.span() <= span && window.span() >= 2 * window.slice());
    let turn = slice * SLICES as i128;
    // The clock itself wraps after 2^64 ticks.
    let turns = TURNS.min((1_i128 << 64) / turn);
    let mut model = Model {
        table: Table::new(OCTAVES, STEPS, window.unit()),
        slice,
        slices: SLICES as i128,
        window: i128::try_from(window.span().as_nanos()).unwrap() / slice,
        turns,
        late: 1 + (PER_SECOND / turn).min((turns - 1) / 4),
        words: vec![vec![Word::default(); SLICES]; OCTAVES * STEPS],
        log: Some(Vec::new()),
    };
    let mut now = i128::from(origin);
    let at = |time: i128| Ticks(time.rem_euclid(1 << 64) as u64);
    let part = |thousandths: u32| slice * i128::from(thousandths) / 1_000;
    for op in ops {
        let mut look = now;
        match *op {
            TimedOp::Record { late, thousandths, shift } => {
                let elapsed = elapsed(longest, thousandths, shift);
                window.record_ticks_at(elapsed, at(now - part(late)));
                model.record(elapsed, now - part(late));
                if late > 0 {
                    // Dropped or counted, as the rules say.
                    model.log = None;
                }
            }
            TimedOp::Advance(thousandths) => now += part(thousandths),
            TimedOp::Jump(wraps, thousandths) => {
                now += i128::from(wraps) * turns * turn + part(thousandths);
            }
            TimedOp::Reset => {
                window.reset();
                model.words.iter_mut().flatten().for_each(|word| *word = Word::default());
                if let Some(log) = &mut model.log {
                    log.clear();
                }
            }
            TimedOp::Look { late } => look = now - part(late),
        }
        if now - i128::from(origin) >= (turns - 1) * turn {
            // Tags have come round.
            model.log = None;
        }
        let calls = model.calls(look);
        model.table.compare(calls.clone(), |share| window.percentile_at(share, at(look)))?;
        check_snapshot(&window.snapshot_at(at(look)), &model.table, &calls)?;
        if look == now {
            if let Some(promised) = model.promised(now) {
                model.table.compare(promised, |share| window.percentile_at(share, at(now)))?;
            }
        }
    }
    Ok(())
}

/// From a tick for each slice to the longest.
fn any_span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => (4_u64..1_000).prop_map(Duration::from_nanos),
        4 => (4_u64..100_000).prop_map(Duration::from_millis),
        1 => (4_u64..=u64::MAX >> 2).prop_map(Duration::from_nanos),
    ]
}

fn any_longest() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => (1_u64..1_000).prop_map(Duration::from_nanos),
        3 => (1_u64..100_000).prop_map(Duration::from_millis),
    ]
}

fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    let record =
        (0_u16..1_200, 0_u8..30).prop_map(|(thousandths, shift)| Op::Record { thousandths, shift });
    let merge =
        (0_u16..1_200, -3_i8..=3).prop_map(|(thousandths, unit)| Op::Merge { thousandths, unit });
    let op = prop_oneof![12 => record, 1 => Just(Op::Reset), 1 => Just(Op::Drain), 2 => merge];
    prop::collection::vec(op, 1..24)
}

fn any_timed_ops() -> impl Strategy<Value = Vec<TimedOp>> {
    let late = || prop_oneof![6 => Just(0), 1 => 0_u32..3_000, 1 => 0_u32..40_000];
    let op = prop_oneof![
        // Few durations, so that words are met again.
        12 => (late(), 0_u16..1_200, 0_u8..3)
            .prop_map(|(late, thousandths, shift)| TimedOp::Record { late, thousandths, shift }),
        8 => prop_oneof![0_u32..1_100, 0_u32..9_000].prop_map(TimedOp::Advance),
        1 => (0_u8..3, 0_u32..9_000).prop_map(|(wraps, more)| TimedOp::Jump(wraps, more)),
        1 => Just(TimedOp::Reset),
        1 => late().prop_map(|late| TimedOp::Look { late }),
    ];
    prop::collection::vec(op, 1..24)
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn reports_what_the_model_reports(longest in any_longest(), ops in any_ops(), shape in 0..3) {
        match shape {
            0 => run::<6, 4>(longest, &ops)?,
            1 => run::<2, 2>(longest, &ops)?,
            _ => run::<4, 16>(longest, &ops)?,
        }
    }

    #[test]
    fn a_window_reports_what_the_model_reports(
        times in (any_span(), any_longest()),
        origin in prop_oneof![Just(0), any::<u64>(), u64::MAX - 5_000..=u64::MAX],
        ops in any_timed_ops(),
        shape in 0..3,
    ) {
        match shape {
            0 => run_timed::<4, 2, 4>(times, origin, &ops)?,
            1 => run_timed::<2, 3, 2>(times, origin, &ops)?,
            // As many ticks as slices, at least.
            _ => {
                let times = (times.0.max(Duration::from_nanos(8)), times.1);
                run_timed::<8, 2, 2>(times, origin, &ops)?;
            }
        }
    }
}
