//! The sliding window counter against a reference model: two counts and the estimate as the
//! documentation has it, in 128 bits; and the calls themselves against what is promised of them.

mod modelling;

use std::time::Duration;

use fusebox_core::{
    CountedCall, Gate, ManualClock, Outcome, Reason, Rejection, SlidingWindowConfig,
    SlidingWindowCounter, Ticks, WORD_BITS,
};
use proptest::prelude::*;

const BITS: u32 = if WORD_BITS == 64 { 24 } else { 12 };

#[derive(Clone, Debug)]
enum Step {
    /// Forward by so many thousandths of a window.
    Window(u32),
    Ticks(u32),
    /// To where the last refusal said to come back, and so many ticks more or less.
    ComeBack(i8),
    /// Back by so many thousandths of the lateness that is supported, and more.
    Late(u32),
    /// So many wraps of the word, and so many thousandths of a window more or less.
    Wrap(u8, i32),
}

#[derive(Clone, Debug)]
enum Op {
    Try(u32),
    Enter,
    Exit(bool),
    Look(u32),
}

#[derive(Clone, Debug)]
struct Setup {
    limit: u32,
    window: Duration,
    lateness: Duration,
    start: u64,
}

fn setups() -> impl Strategy<Value = Setup> {
    let limit = prop_oneof![4 => 1..=4u32, 4 => 1..=100u32, 1 => Just(1_023)];
    let window = prop_oneof![
        4 => (100..5_000u64).prop_map(Duration::from_millis),
        1 => Just(Duration::from_secs(86_400)),
        1 => (1..1_000u64).prop_map(Duration::from_micros),
        1 => (1..1_000u64).prop_map(Duration::from_nanos),
    ];
    let lateness = prop_oneof![Just(1_000_000), 0..1_000_000u64, 0..100u64];
    let start = prop_oneof![0..1u64 << 40, any::<u64>(), u64::MAX - 5_000_000_000..=u64::MAX];
    (limit, window, lateness.prop_map(Duration::from_micros), start)
        .prop_map(|(limit, window, lateness, start)| Setup { limit, window, lateness, start })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ticks(0)),
        4 => (0..1_500u32).prop_map(Step::Window),
        1 => any::<u32>().prop_map(Step::Ticks),
        4 => (-1..=1i8).prop_map(Step::ComeBack),
        2 => (0..=1_500u32).prop_map(Step::Late),
        1 => (1..3u8, -3_000..3_000i32).prop_map(|(wraps, part)| Step::Wrap(wraps, part)),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let calls = || prop_oneof![8 => 0..4u32, 2 => 0..101u32, 1 => any::<u32>()];
    prop_oneof![
        6 => calls().prop_map(Op::Try),
        3 => Just(Op::Enter),
        2 => any::<bool>().prop_map(Op::Exit),
        2 => calls().prop_map(Op::Look),
    ]
}

/// A duration in ticks, rounded up.
fn ticks_up(duration: Duration, hz: u64) -> i128 {
    i128::try_from((duration.as_nanos() * u128::from(hz)).div_ceil(1_000_000_000)).unwrap()
}

/// The power of two of ticks in a unit, which shows nowhere but in `Debug`.
fn right(counter: &impl std::fmt::Debug) -> u32 {
    let text = format!("{counter:?}");
    let (_, rest) = text.split_once("right: ").expect("the scale");
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// All instants in units.
#[derive(Clone, Copy)]
struct Model {
    limit: i128,
    window: i128,
    lateness: i128,
    start: i128,
    previous: i128,
    current: i128,
}

impl Model {
    /// Brings the counts to a reading; how much of the present window has passed, below 0 for a
    /// late reader.
    fn roll(&mut self, at: i128) -> i128 {
        let wrap = 1i128 << BITS;
        // What the word cannot tell apart: at a distance of whole wraps, late or not.
        let mut passed = (at - self.start).rem_euclid(wrap);
        if passed >= wrap - self.lateness {
            passed -= wrap;
        }
        self.start = at - passed;
        if passed >= 2 * self.window {
            (self.start, self.previous, self.current) = (at, 0, 0);
            return 0;
        }
        if passed >= self.window {
            self.start += self.window;
            (self.previous, self.current) = (self.current, 0);
            return passed - self.window;
        }
        passed
    }

    /// Whether the estimate with so many more is within the limit.
    fn admits(mut self, calls: i128, at: i128) -> bool {
        let passed = self.roll(at).max(0);
        let estimate =
            (self.current + calls) * self.window + self.previous * (self.window - passed);
        estimate <= self.limit * self.window
    }

    /// How many units until it would.
    fn wait(self, calls: i128, at: i128) -> i128 {
        let (mut refused, mut admitted) = (-1, 2 * self.window + self.lateness);
        while admitted - refused > 1 {
            let middle = (admitted + refused) / 2;
            // From the reading's own view, as time goes on from there.
            let mut later = self;
            let passed = later.roll(at);
            later.start = at - passed;
            if later.admits(calls, at + middle) { admitted = middle } else { refused = middle }
        }
        admitted
    }
}

/// The counter beside its model, and who uses both.
struct Both<'a, const HZ: u64> {
    counter: &'a SlidingWindowCounter<&'a ManualClock<HZ>>,
    clock: &'a ManualClock<HZ>,
    model: Model,
    right: u32,
    lateness: i128,
    /// Who holds a token, and when the window began that it was counted in.
    held: Vec<(CountedCall, i128)>,
    now: i128,
    come_back: i128,
}

impl<const HZ: u64> Both<'_, HZ> {
    fn step(&mut self, step: &Step) {
        let window = self.model.window << self.right;
        self.now += match *step {
            Step::Window(part) => window * i128::from(part) / 1_000,
            Step::Ticks(ticks) => ticks.into(),
            Step::ComeBack(more) => self.come_back + i128::from(more),
            Step::Late(part) => -(self.lateness * i128::from(part) / 1_000),
            Step::Wrap(n, part) => {
                (i128::from(n) << (BITS + self.right)) + window * i128::from(part) / 1_000
            }
        };
        self.clock.set(Ticks(self.now.rem_euclid(1 << 64) as u64));
        self.come_back = 0;
    }

    fn at(&self) -> i128 {
        self.now >> self.right
    }

    fn ticks(wait: Duration) -> i128 {
        (wait.as_nanos() * u128::from(HZ) / 1_000_000_000) as i128
    }

    /// Ticks until so many calls would be let in.
    fn wait(&self, calls: u32) -> i128 {
        match self.model.wait(calls.into(), self.at()) {
            0 => 0,
            units => ((self.at() + units) << self.right) - self.now,
        }
    }

    fn op(&mut self, op: &Op) {
        match *op {
            Op::Try(calls) => match self.counter.try_acquire(calls) {
                Ok(()) if calls == 0 => {}
                Ok(()) => self.granted(calls),
                Err(refused) => self.refused(calls, refused),
            },
            Op::Enter => match self.counter.enter() {
                Ok(token) => {
                    self.granted(1);
                    self.held.push((token, self.model.start));
                }
                Err(refused) => self.refused(1, refused),
            },
            Op::Exit(refused) => {
                if !self.held.is_empty() {
                    self.exit(refused);
                }
            }
            Op::Look(calls) => self.look(calls),
        }
    }

    fn granted(&mut self, calls: u32) {
        let at = self.at();
        assert!(self.model.admits(calls.into(), at), "one call too many");
        self.model.roll(at);
        self.model.current += i128::from(calls);
    }

    fn refused(&mut self, calls: u32, refused: Rejection) {
        if i128::from(calls) > self.model.limit {
            assert_eq!(refused.reason(), Reason::ExceedsBurst);
            return;
        }
        assert!(!self.model.admits(calls.into(), self.at()), "refused while there is room");
        assert_eq!(refused.reason(), Reason::RateLimited);
        self.come_back = Self::ticks(refused.retry_after().unwrap());
        assert_eq!(self.come_back, self.wait(calls), "not when to come back");
    }

    fn exit(&mut self, refused: bool) {
        let (token, start) = self.held.remove(self.held.len() / 2);
        self.counter.exit(token, if refused { Outcome::Refused } else { Outcome::Success });
        let (wrap, model) = (1i128 << BITS, &mut self.model);
        if refused && (model.start - start).rem_euclid(wrap) == 0 {
            model.current = (model.current - 1).max(0);
        } else if refused && (model.start - start - model.window).rem_euclid(wrap) == 0 {
            model.previous = (model.previous - 1).max(0);
        }
    }

    fn look(&self, calls: u32) {
        let (at, mut then) = (self.at(), self.model);
        let (window, passed) = (then.window, then.roll(at).max(0));
        let weight = then.current * window + then.previous * (window - passed);
        let used = (weight + window - 1) / window;
        assert_eq!(i128::from(self.counter.snapshot().used), used.min(self.model.limit));
        let wait = self.counter.time_until(calls).map(Self::ticks);
        let expected = if calls == 0 || self.model.admits(calls.into(), at) {
            Some(0)
        } else {
            (i128::from(calls) <= self.model.limit).then(|| self.wait(calls))
        };
        assert_eq!(wait, expected);
    }
}

/// Whether the configuration fits, and the run could be made.
fn agrees<const HZ: u64>(setup: &Setup, steps: &[(Step, Op)]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let config = SlidingWindowConfig::new(setup.limit, setup.window).max_lateness(setup.lateness);
    let Ok(counter) = SlidingWindowCounter::try_new(config, &clock) else { return false };
    let right = right(&counter);
    let up = |ticks: i128| (ticks + (1 << right) - 1) >> right;
    let lateness = ticks_up(setup.lateness, HZ);
    let mut both = Both {
        counter: &counter,
        clock: &clock,
        model: Model {
            limit: setup.limit.into(),
            window: up(ticks_up(setup.window, HZ)),
            lateness: up(lateness),
            start: 0,
            previous: 0,
            current: 0,
        },
        right,
        lateness,
        held: Vec::new(),
        now: setup.start.into(),
        come_back: 0,
    };
    for (step, op) in steps {
        both.step(step);
        both.op(op);
    }
    true
}

/// Of calls that come in order, no window of the length asked holds twice the limit, wherever it
/// begins, and however long nobody came before.
fn keeps_the_law<const HZ: u64>(setup: &Setup, steps: &[(Step, u32)]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let config = SlidingWindowConfig::new(setup.limit, setup.window).max_lateness(setup.lateness);
    let Ok(counter) = SlidingWindowCounter::try_new(config, &clock) else { return false };
    let window = ticks_up(setup.window, HZ);
    let wrap = 1i128 << (BITS + right(&counter));
    let (mut now, mut calls) = (i128::from(setup.start), Vec::<(i128, u32)>::new());
    for (step, n) in steps {
        now += match *step {
            Step::Window(part) => window * i128::from(part) / 3_000,
            Step::Ticks(ticks) => ticks.into(),
            Step::ComeBack(_) => 0,
            Step::Late(_) => 1,
            Step::Wrap(n, part) => wrap * i128::from(n) + window * i128::from(part.max(0)) / 1_000,
        };
        let n = 1 + n % setup.limit;
        if counter.try_acquire_at(n, Ticks(now.rem_euclid(1 << 64) as u64)).is_ok() {
            calls.push((now, n));
        }
    }
    for (from, _) in &calls {
        let held = calls.iter().filter(|(at, _)| (*from..*from + window).contains(at));
        let held: u32 = held.map(|(_, n)| n).sum();
        assert!(held < 2 * setup.limit, "{held} of {}", setup.limit);
    }
    true
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn the_counter_agrees_with_the_model(
        setup in setups(),
        clock in 0..3u8,
        steps in prop::collection::vec((steps(), ops()), 1..40),
    ) {
        let fits = match clock {
            0 => agrees::<1_000_000_000>(&setup, &steps),
            1 => agrees::<1_000_000>(&setup, &steps),
            _ => agrees::<32_768>(&setup, &steps),
        };
        prop_assume!(fits);
    }

    #[test]
    fn never_twice_the_limit(
        setup in setups(),
        clock in 0..3u8,
        steps in prop::collection::vec((steps(), any::<u32>()), 1..60),
    ) {
        let fits = match clock {
            0 => keeps_the_law::<1_000_000_000>(&setup, &steps),
            1 => keeps_the_law::<1_000_000>(&setup, &steps),
            _ => keeps_the_law::<32_768>(&setup, &steps),
        };
        prop_assume!(fits);
    }
}
