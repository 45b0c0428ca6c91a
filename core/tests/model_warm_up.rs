//! The warm-up limiter against a reference model: Guava's curve as trapezoids, in 128 bits.

mod modelling;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Acquiring, Gate, ManualClock, Outcome, Rate, Reason, Rejection, Ticks, WORD_BITS, WarmUp,
    WarmUpConfig, WarmedUp,
};
use proptest::prelude::*;

const BITS: u32 = if WORD_BITS == 64 { 40 } else { 20 };

#[derive(Clone, Debug)]
enum Step {
    /// Forward by so many thousandths of an interval.
    Interval(u32),
    Ticks(u32),
    /// To where the last refusal said to come back, and so many ticks more or less.
    ComeBack(i8),
    /// Back by so many thousandths of the lateness that is supported, and more.
    Late(u32),
    /// So many wraps of the word, and so many thousandths of an interval more or less.
    Wrap(u8, i32),
}

#[derive(Clone, Debug)]
enum Op {
    Try,
    Enter,
    /// Waits for so many thousandths of the longest wait, or until the turn comes.
    Wait(Option<u32>),
    /// One of those who wait gives up.
    Cancel(u8),
    Exit(bool),
    Look,
}

#[derive(Clone, Debug)]
struct Setup {
    rate: u32,
    warm_up: Duration,
    max_wait: Duration,
    lateness: Duration,
    start: u64,
}

impl Setup {
    fn config(&self) -> WarmUpConfig {
        WarmUpConfig::new(Rate::per_second(self.rate), self.warm_up)
            .max_wait(self.max_wait)
            .max_lateness(self.lateness)
    }
}

fn setups() -> impl Strategy<Value = Setup> {
    let rate = prop_oneof![4 => 1..=20u32, 2 => 1..=2_000u32, 1 => 1..=1_000_000u32];
    let warm_up = prop_oneof![4 => 100..20_000u64, 1 => 1..100u64].prop_map(Duration::from_millis);
    let lateness = prop_oneof![Just(1_000), 0..1_000u64].prop_map(Duration::from_millis);
    let max_wait = prop_oneof![Just(0), Just(1_000), 0..2_000u64].prop_map(Duration::from_millis);
    let start = prop_oneof![0..1u64 << 40, any::<u64>(), u64::MAX - 5_000_000_000..=u64::MAX];
    (rate, warm_up, max_wait, lateness, start).prop_map(
        |(rate, warm_up, max_wait, lateness, start)| Setup {
            rate,
            warm_up,
            max_wait,
            lateness,
            start,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Ticks(0)),
        4 => (0..5_000u32).prop_map(Step::Interval),
        1 => any::<u32>().prop_map(Step::Ticks),
        6 => (-1..=1i8).prop_map(Step::ComeBack),
        2 => (0..=1_500u32).prop_map(Step::Late),
        1 => (1..3u8, -3_000..3_000i32).prop_map(|(wraps, part)| Step::Wrap(wraps, part)),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Try),
        4 => Just(Op::Enter),
        4 => prop::option::of(0..1_500u32).prop_map(Op::Wait),
        2 => any::<u8>().prop_map(Op::Cancel),
        2 => any::<bool>().prop_map(Op::Exit),
        1 => Just(Op::Look),
    ]
}

/// What the limiter chose, which shows nowhere but in `Debug`.
#[derive(Clone, Copy)]
struct Scale {
    left: u32,
    right: u32,
    step: u32,
    interval: i128,
    warm_up: i128,
}

impl Scale {
    fn of(limit: &impl std::fmt::Debug) -> Self {
        let text = format!("{limit:?}");
        let (_, text) = text.split_once("fitted: ").unwrap();
        let number = |name: &str| -> u64 {
            let (_, rest) = text.split_once(name).expect("a field of the limiter");
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
        };
        Self {
            left: number("left: ") as u32,
            right: number("right: ") as u32,
            step: number("step: ") as u32,
            interval: number("interval: ").into(),
            warm_up: number("warm_up: ").into(),
        }
    }

    fn units(self, at: i128) -> i128 {
        (at << self.left) >> self.right
    }

    fn units_up(self, ticks: i128) -> i128 {
        ((ticks << self.left) + (1 << self.right) - 1) >> self.right
    }

    fn ticks(self, units: i128) -> i128 {
        (units << self.right) >> self.left
    }

    /// The ticks from `now` until the reading has grown by `units`.
    fn ticks_until(self, units: i128, now: i128) -> i128 {
        if units == 0 {
            return 0;
        }
        let target = self.units(now) + units;
        (((target << self.right) + (1 << self.left) - 1) >> self.left) - now
    }
}

/// What a call has taken, and when it asked for it: when it may come, when its pause is over, and
/// how much of the level.
#[derive(Clone, Copy)]
struct Call {
    begun: i128,
    at: i128,
    until: i128,
    spent: i128,
}

struct Model {
    scale: Scale,
    max_wait: i128,
    horizon: i128,
    next: i128,
    level: i128,
}

impl Model {
    /// The limiter's own choice of a scale, checked against what was asked for.
    fn new(limit: &impl std::fmt::Debug, setup: &Setup, hz: i128) -> Self {
        let scale = Scale::of(limit);
        let up = |time: Duration| scale.units_up(ticks_up(time, hz));
        let max_wait = up(setup.max_wait);
        let horizon = 3 * scale.interval + 1 + max_wait + up(setup.lateness);
        let mut model = Self { scale, max_wait, horizon, next: 0, level: 0 };
        model.set(0, scale.warm_up);
        // The rate is never above what was asked, and hardly below.
        let exact = scale.interval * i128::from(setup.rate) - ((hz << scale.left) >> scale.right);
        assert!(exact >= 0 && exact < 2 * i128::from(setup.rate), "not the rate asked for");
        model
    }

    fn left(&self, at: i128) -> i128 {
        let left = (self.next - at).rem_euclid(1 << BITS);
        if left <= self.horizon { left } else { 0 }
    }

    fn cooled(&self, at: i128) -> i128 {
        let idle = if self.left(at) > 0 { 0 } else { at - self.next };
        (self.level + idle.rem_euclid(1 << BITS)).min(self.scale.warm_up)
    }

    /// The area below the pace from a call less to this level.
    fn pause(&self, level: i128) -> i128 {
        let Scale { interval, warm_up, .. } = self.scale;
        let from = (level - interval).max(warm_up / 2).max(0);
        if level <= from {
            return interval;
        }
        let width = level - from;
        // Twice the mean of the paces at both ends, times the warm-up time.
        let ends = (4 * level - warm_up) + (4 * from - warm_up);
        let twice = width * ends + 2 * warm_up * (interval - width);
        (twice + 2 * warm_up - 1).div_euclid(2 * warm_up)
    }

    fn set(&mut self, next: i128, level: i128) {
        let unit = 1 << self.scale.step;
        (self.next, self.level) = (next, (level + unit - 1) / unit * unit);
        let most = (1 << (BITS.min(24) - if WORD_BITS == 64 { 0 } else { 8 })) - 1;
        self.level = self.level.min(most * unit);
    }

    /// A call that comes at the end of the last pause, or now if that is over.
    fn take(&mut self, begun: i128) -> Call {
        let at = self.scale.units(begun);
        let (level, at) = (self.cooled(at), at + self.left(at));
        let (pause, spent) = (self.pause(level), level.min(self.scale.interval));
        assert!((self.scale.interval..=3 * self.scale.interval + 1).contains(&pause));
        self.set(at + pause, level - spent);
        Call { begun, at, until: self.next, spent }
    }

    /// The last call is undone, no other one.
    fn give_back(&mut self, call: Call) {
        if (self.next - call.until).rem_euclid(1 << BITS) == 0 {
            let level = (self.level + call.spent).min(self.scale.warm_up);
            self.set(call.at, level);
        }
    }
}

/// A duration in ticks, rounded up.
fn ticks_up(time: Duration, hz: i128) -> i128 {
    (time.as_nanos() as i128 * hz + 999_999_999) / 1_000_000_000
}

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

type Limit<'a, const HZ: u64> = WarmUp<&'a ManualClock<HZ>>;
type Waiting<'a, const HZ: u64> = Pin<Box<Acquiring<&'a Limit<'a, HZ>, &'a ManualClock<HZ>>>>;

/// The limiter beside its model, and who uses both.
struct Both<'a, const HZ: u64> {
    limit: &'a Limit<'a, HZ>,
    clock: &'a ManualClock<HZ>,
    model: Model,
    max_wait: Duration,
    held: Vec<(WarmedUp, Call)>,
    waiting: Vec<(Waiting<'a, HZ>, Call)>,
    now: i128,
    come_back: i128,
}

impl<'a, const HZ: u64> Both<'a, HZ> {
    fn ticks(wait: Duration) -> i128 {
        (wait.as_nanos() * u128::from(HZ) / 1_000_000_000) as i128
    }

    fn step(&mut self, step: &Step, lateness: i128) {
        let scale = self.model.scale;
        self.now += match *step {
            Step::Interval(part) => scale.ticks(scale.interval * i128::from(part) / 1_000),
            Step::Ticks(ticks) => ticks.into(),
            Step::ComeBack(more) => self.come_back + i128::from(more),
            Step::Late(part) => -(lateness * i128::from(part) / 1_000),
            Step::Wrap(n, part) => {
                scale.ticks((i128::from(n) << BITS) + scale.interval * i128::from(part) / 1_000)
            }
        };
        self.come_back = 0;
        self.clock.set(Ticks(self.now.rem_euclid(1 << 64) as u64));
    }

    fn op(&mut self, op: &Op) {
        let at = self.model.scale.units(self.now);
        match *op {
            Op::Try | Op::Enter => match self.limit.enter() {
                Ok(token) => {
                    assert_eq!(self.model.left(at), 0, "a call too early");
                    let call = self.model.take(self.now);
                    if matches!(op, Op::Enter) {
                        self.held.push((token, call));
                    }
                }
                Err(refused) => self.refused(refused, 0),
            },
            Op::Wait(part) => self.wait(part),
            Op::Cancel(which) => {
                if !self.waiting.is_empty() {
                    let which = usize::from(which) % self.waiting.len();
                    let (future, call) = self.waiting.remove(which);
                    drop(future);
                    self.model.give_back(call);
                }
            }
            Op::Exit(refused) => {
                if !self.held.is_empty() {
                    let (token, call) = self.held.remove(self.held.len() / 2);
                    let outcome = if refused { Outcome::Refused } else { Outcome::Success };
                    self.limit.exit(token, outcome);
                    if refused {
                        self.model.give_back(call);
                    }
                }
            }
            Op::Look => self.look(),
        }
    }

    /// Waits for at most so many thousandths of the longest wait.
    fn wait(&mut self, part: Option<u32>) {
        let (at, scale) = (self.model.scale.units(self.now), self.model.scale);
        let time = part.map(|part| self.max_wait * part / 1_000);
        // The units that pass within that time.
        let ticks = time.map(|time| scale.units(self.now + ticks_up(time, HZ.into())) - at);
        let reach = ticks.unwrap_or(i128::MAX).min(self.model.max_wait);
        let left = self.model.left(at);
        let mut future = Box::pin(match time {
            None => self.limit.acquire(self.clock),
            Some(time) => self.limit.acquire_timeout(self.clock, time),
        });
        match poll(future.as_mut()) {
            Poll::Ready(Ok(())) => {
                // Limiters take a clock that wraps; a timer's instants do not.
                let turn = self.now + scale.ticks_until(left, self.now);
                assert!(left == 0 || turn >> 64 != self.now >> 64, "a call too early");
                self.model.take(self.now);
            }
            Poll::Ready(Err(refused)) => self.refused(refused, reach),
            Poll::Pending => {
                assert!(left > 0 && left <= reach, "waits although it is too far, or has come");
                let call = self.model.take(self.now);
                self.waiting.push((future, call));
            }
        }
    }

    /// Nothing within so many units.
    fn refused(&mut self, refused: Rejection, reach: i128) {
        let (at, scale) = (self.model.scale.units(self.now), self.model.scale);
        let left = self.model.left(at);
        assert!(left > reach, "refused although the turn comes in time");
        assert_eq!(refused.reason(), Reason::RateLimited);
        self.come_back = Self::ticks(refused.retry_after().unwrap());
        let exact = scale.ticks_until(left - reach, self.now);
        assert_eq!(self.come_back, exact, "not when to come back");
    }

    fn look(&self) {
        let (at, scale) = (self.model.scale.units(self.now), self.model.scale);
        let wait = Self::ticks(self.limit.time_until());
        assert_eq!(wait, scale.ticks_until(self.model.left(at), self.now));
        let level = scale.units_up(Self::ticks(self.limit.level()));
        // A level is told in ticks, rounded up.
        let error = level - self.model.cooled(at);
        assert!((0..=1 << scale.left).contains(&error), "{error}");
    }

    /// Those whose turn has come are let in, and nobody else.
    fn settle(&mut self) {
        let (scale, now) = (self.model.scale, self.now);
        self.waiting.retain_mut(|(future, call)| {
            let answer = poll(future.as_mut());
            if let Poll::Ready(answer) = answer {
                assert_eq!(answer, Ok(()));
                let early = scale.units(now) < call.at;
                // As in `wait`; what is beyond the last instant is slept for until then.
                let wrapped = (now + 1) >> 64 != call.begun >> 64;
                assert!(!early || wrapped, "it sleeps too short");
            }
            answer.is_pending()
        });
    }
}

/// Whether the configuration fits, and the run could be made.
fn agrees<const HZ: u64>(setup: &Setup, steps: &[(Step, Op)]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let Ok(limit) = WarmUp::try_new(setup.config(), &clock) else { return false };
    let mut both = Both {
        limit: &limit,
        clock: &clock,
        model: Model::new(&limit, setup, HZ.into()),
        max_wait: setup.max_wait,
        held: Vec::new(),
        waiting: Vec::new(),
        now: setup.start.into(),
        come_back: 0,
    };
    let lateness = ticks_up(setup.lateness, HZ.into());
    for (step, op) in steps {
        both.step(step, lateness);
        both.settle();
        both.op(op);
    }
    true
}

/// Of calls that come in order, any so many take as long as they should at the stable rate,
/// however long nobody came before.
fn keeps_the_law<const HZ: u64>(setup: &Setup, steps: &[Step]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let Ok(limit) = WarmUp::try_new(setup.config(), &clock) else { return false };
    let scale = Scale::of(&limit);
    let (mut now, mut calls, mut come_back) = (i128::from(setup.start), Vec::<i128>::new(), 0);
    for step in steps {
        now += match *step {
            Step::Interval(part) => scale.ticks(scale.interval * i128::from(part) / 1_000),
            Step::Wrap(n, part) => scale
                .ticks((i128::from(n) << BITS) + scale.interval * i128::from(part) / 1_000)
                .max(0),
            _ => come_back,
        };
        match limit.try_acquire_at(Ticks(now.rem_euclid(1 << 64) as u64)) {
            Ok(()) => calls.push(now),
            Err(refused) => {
                let nanos = refused.retry_after().unwrap().as_nanos();
                come_back = (nanos * u128::from(HZ) / 1_000_000_000) as i128;
            }
        }
    }
    for (first, from) in calls.iter().enumerate() {
        for (more, at) in calls[first..].iter().enumerate() {
            // A reading is rounded down to a unit where that is longer than a tick.
            let took = (at - from) * i128::from(setup.rate);
            let least = more as i128 * i128::from(HZ) - (i128::from(setup.rate) << scale.right);
            assert!(took >= least, "{more} calls in {} ticks", at - from);
        }
    }
    true
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn the_limiter_agrees_with_the_model(
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
    fn never_faster_than_the_rate(
        setup in setups(),
        clock in 0..3u8,
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let fits = match clock {
            0 => keeps_the_law::<1_000_000_000>(&setup, &steps),
            1 => keeps_the_law::<1_000_000>(&setup, &steps),
            _ => keeps_the_law::<32_768>(&setup, &steps),
        };
        prop_assume!(fits);
    }
}
