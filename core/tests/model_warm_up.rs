//! The warm-up limiter against a reference model: Guava's curve as trapezoids, in 128 bits.

mod modelling;

use std::time::Duration;

use fusebox_core::{
    Gate, ManualClock, Outcome, Rate, Reason, Ticks, WORD_BITS, WarmUp, WarmUpConfig, WarmedUp,
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
    Exit(bool),
    Look,
}

#[derive(Clone, Debug)]
struct Setup {
    rate: u32,
    warm_up: Duration,
    lateness: Duration,
    start: u64,
}

fn setups() -> impl Strategy<Value = Setup> {
    let rate = prop_oneof![4 => 1..=20u32, 2 => 1..=2_000u32, 1 => 1..=1_000_000u32];
    let warm_up = prop_oneof![4 => 100..20_000u64, 1 => 1..100u64].prop_map(Duration::from_millis);
    let lateness = prop_oneof![Just(1_000), 0..1_000u64].prop_map(Duration::from_millis);
    let start = prop_oneof![0..1u64 << 40, any::<u64>(), u64::MAX - 5_000_000_000..=u64::MAX];
    (rate, warm_up, lateness, start).prop_map(|(rate, warm_up, lateness, start)| Setup {
        rate,
        warm_up,
        lateness,
        start,
    })
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

struct Model {
    scale: Scale,
    horizon: i128,
    next: i128,
    level: i128,
}

impl Model {
    fn left(&self, next: i128, at: i128) -> i128 {
        let left = (next - at).rem_euclid(1 << BITS);
        if left <= self.horizon { left } else { 0 }
    }

    fn cooled(&self, at: i128) -> i128 {
        let idle = if self.left(self.next, at) > 0 { 0 } else { at - self.next };
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
}

/// Whether the configuration fits, and the run could be made.
fn agrees<const HZ: u64>(setup: &Setup, steps: &[(Step, Op)]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let config = WarmUpConfig::new(Rate::per_second(setup.rate), setup.warm_up);
    let config = config.max_lateness(setup.lateness);
    let Ok(limit) = WarmUp::try_new(config, &clock) else { return false };
    let scale = Scale::of(&limit);
    let hz = i128::from(HZ);
    let lateness = (setup.lateness.as_nanos() as i128 * hz + 999_999_999) / 1_000_000_000;
    let horizon = 3 * scale.interval + 1 + scale.units_up(lateness);
    let mut model = Model { scale, horizon, next: 0, level: 0 };
    model.set(0, scale.warm_up);
    // The rate is never above what was asked, and hardly below.
    let exact = scale.interval * i128::from(setup.rate) - ((hz << scale.left) >> scale.right);
    assert!(exact >= 0 && exact < 2 * i128::from(setup.rate), "not the rate asked for");
    let ticks = |wait: Duration| (wait.as_nanos() * u128::from(HZ) / 1_000_000_000) as i128;
    let mut held: Vec<(WarmedUp, (i128, i128, i128))> = Vec::new();
    let (mut now, mut come_back) = (i128::from(setup.start), 0);
    for (step, op) in steps {
        now += match *step {
            Step::Interval(part) => scale.ticks(scale.interval * i128::from(part) / 1_000),
            Step::Ticks(ticks) => ticks.into(),
            Step::ComeBack(more) => come_back + i128::from(more),
            Step::Late(part) => -(lateness * i128::from(part) / 1_000),
            Step::Wrap(n, part) => {
                scale.ticks((i128::from(n) << BITS) + scale.interval * i128::from(part) / 1_000)
            }
        };
        clock.set(Ticks(now.rem_euclid(1 << 64) as u64));
        let at = scale.units(now);
        come_back = 0;
        let left = model.left(model.next, at);
        match *op {
            Op::Try | Op::Enter => match limit.enter() {
                Ok(token) => {
                    assert_eq!(left, 0, "a call too early");
                    let level = model.cooled(at);
                    let (pause, spent) = (model.pause(level), level.min(scale.interval));
                    assert!((scale.interval..=3 * scale.interval + 1).contains(&pause));
                    model.set(at + pause, level - spent);
                    if matches!(op, Op::Enter) {
                        held.push((token, (model.next, pause, spent)));
                    }
                }
                Err(refused) => {
                    assert!(left > 0, "refused although the pause is over");
                    assert_eq!(refused.reason(), Reason::RateLimited);
                    come_back = ticks(refused.retry_after().unwrap());
                    assert_eq!(come_back, scale.ticks_until(left, now), "not when to come back");
                }
            },
            Op::Exit(refused) => {
                if !held.is_empty() {
                    let (token, (until, pause, spent)) = held.remove(held.len() / 2);
                    limit.exit(token, if refused { Outcome::Refused } else { Outcome::Success });
                    let units = model.left(until, at).min(pause).min(left);
                    if refused && units > 0 {
                        let level = (model.level + spent).min(scale.warm_up);
                        model.set(model.next - units, level);
                    }
                }
            }
            Op::Look => {
                let wait = ticks(limit.time_until());
                assert_eq!(wait, scale.ticks_until(left, now));
                let level = scale.units_up(ticks(limit.level()));
                // A level is told in ticks, rounded up.
                let error = level - model.cooled(at);
                assert!((0..=1 << scale.left).contains(&error), "{error}");
            }
        }
    }
    true
}

/// Of calls that come in order, any so many take as long as they should at the stable rate,
/// however long nobody came before.
fn keeps_the_law<const HZ: u64>(setup: &Setup, steps: &[Step]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let config = WarmUpConfig::new(Rate::per_second(setup.rate), setup.warm_up);
    let Ok(limit) = WarmUp::try_new(config.max_lateness(setup.lateness), &clock) else {
        return false;
    };
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
