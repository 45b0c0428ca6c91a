//! The adaptive throttle against a model that keeps every call, and the published formula in exact
//! fractions.

mod modelling;

use std::cell::Cell;
use std::time::Duration;

use fusebox_core::{
    AdaptiveThrottle, Outcome, Random, Ratio, Reason, ThrottleConfig, Ticks, WORD_BITS,
    ticks_from_duration,
};
use modelling::Hz;
use proptest::prelude::*;

/// Chance, as the test wants it.
#[derive(Default)]
struct Chosen(Cell<u64>);

impl Random for &Chosen {
    fn next_u64(&self) -> u64 {
        self.0.get()
    }
}

const BUCKETS: i128 = 4;

type Throttle<'a, const HZ: u64> = AdaptiveThrottle<Hz<HZ>, &'a Chosen, { BUCKETS as usize }>;

#[derive(Clone, Copy, Debug)]
struct Settings {
    multiplier: (u32, u32),
    max_rejection: (u32, u32),
    window: Duration,
    lateness: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A call, which draws this number and ends in one of several ways.
    Call(u64, Outcome),
    /// At a reading that is late by so many thousandths of the supported lateness.
    Late(u16, Outcome),
    /// By so many thousandths of the window.
    Advance(u32),
}

/// The bits that `value` needs.
fn bits(value: i128) -> i32 {
    (i128::BITS - value.leading_zeros()) as i32
}

/// `ticks` in units of 2 to the power of `exponent` ticks, rounded down.
fn units(ticks: i128, exponent: i32) -> i128 {
    if exponent < 0 { ticks << -exponent } else { ticks >> exponent }
}

struct Model {
    settings: Settings,
    exponent: i32,
    /// Of a bucket, in units.
    step: i128,
    horizon: i128,
    /// The number of the current bucket and when it began.
    current: Option<(i128, i128)>,
    /// Every call: the bucket it is in, and whether it was accepted.
    calls: Vec<(i128, bool)>,
}

impl Model {
    fn new(settings: Settings, hz: u64) -> Self {
        let window = i128::from(ticks_from_duration(settings.window, hz));
        let late = i128::from(ticks_from_duration(settings.lateness, hz));
        // As documented of a window of time: as fine as the wrap allows, at most a 2^10th of a
        // tick.
        let room = if WORD_BITS == 64 { 36 - 16 } else { 20 - 10 };
        let exponent = (bits(window + late) - room).max(-10);
        Self {
            settings,
            exponent,
            step: units(window, exponent) / BUCKETS,
            horizon: -units(-(window + late), exponent),
            current: None,
            calls: Vec::new(),
        }
    }

    /// How many buckets ago the current one was, and when the one of `now` began.
    fn age(&self, begin: i128, now: i128) -> (i128, i128) {
        if now < begin && begin - now <= self.horizon {
            return (0, begin);
        }
        let steps = (now - begin) / self.step;
        if steps >= BUCKETS { (BUCKETS, now) } else { (steps, begin + steps * self.step) }
    }

    fn count(&mut self, now: i128, accepted: bool) {
        let now = units(now, self.exponent);
        let (number, begin) = self.current.unwrap_or((0, now));
        let (steps, begin) = self.age(begin, now);
        self.current = Some((number + steps, begin));
        self.calls.push((number + steps, accepted));
    }

    /// Requests and accepts in the window.
    fn sums(&self, now: i128) -> (i128, i128) {
        let Some((number, begin)) = self.current else { return (0, 0) };
        let (gone, _) = self.age(begin, units(now, self.exponent));
        let oldest = number - (BUCKETS - 1 - gone);
        let inside = self.calls.iter().filter(|call| call.0 >= oldest && gone < BUCKETS);
        let accepts = inside.clone().filter(|call| call.1).count();
        (inside.count() as i128, accepts as i128)
    }

    /// Whether the draw refuses a call.
    fn refuses(&self, now: i128, draw: u64) -> bool {
        let (requests, accepts) = self.sums(now);
        let (k, d) = self.settings.multiplier;
        // max(0, (requests - k / d * accepts) / (requests + 1)), at most the largest.
        let mut part = requests * i128::from(d) - i128::from(k) * accepts;
        let mut whole = (requests + 1) * i128::from(d);
        let (n, m) = self.settings.max_rejection;
        if part * i128::from(m) >= i128::from(n) * whole {
            (part, whole) = (n.into(), m.into());
        }
        part > 0 && (i128::from(draw) * whole) >> 64 < part
    }
}

fn run<const HZ: u64>(settings: Settings, origin: u64, ops: &[Op]) -> Result<(), TestCaseError> {
    let ratio = |(numerator, denominator)| Ratio::new(numerator, denominator);
    let config = ThrottleConfig::new()
        .multiplier(ratio(settings.multiplier))
        .max_rejection(ratio(settings.max_rejection))
        .window(settings.window)
        .max_lateness(settings.lateness);
    let chosen = Chosen::default();
    let Ok(throttle) = Throttle::try_new(config, Hz::<HZ>, &chosen) else {
        let model = Model::new(settings, HZ);
        prop_assert!(model.step == 0, "{:?} should do", settings);
        return Ok(());
    };
    // The formula is that of the ratio in lowest terms.
    let lowest = |pair| (ratio(pair).numerator(), ratio(pair).denominator());
    let multiplier = lowest(settings.multiplier);
    let max_rejection = lowest(settings.max_rejection);
    let mut model = Model::new(Settings { multiplier, max_rejection, ..settings }, HZ);
    let window = i128::from(ticks_from_duration(settings.window, HZ));
    let late = i128::from(ticks_from_duration(settings.lateness, HZ));
    let mut now = i128::from(origin);
    for (step, op) in ops.iter().enumerate() {
        match *op {
            Op::Advance(thousandths) => now += window * i128::from(thousandths) / 1_000,
            Op::Late(thousandths, outcome) => {
                // Not before the first call: that one begins the time.
                if model.current.is_some() {
                    let reading = now - late * i128::from(thousandths) / 1_000;
                    throttle.exit_at(outcome, Ticks(reading as u64));
                    if let Outcome::Success | Outcome::Failure = outcome {
                        model.count(reading, outcome == Outcome::Success);
                    }
                }
            }
            Op::Call(draw, outcome) => {
                chosen.0.set(draw);
                let answer = throttle.enter_at(Ticks(now as u64));
                let refused = model.refuses(now, draw);
                prop_assert_eq!(answer.is_err(), refused, "step {}: {:?}", step, model.sums(now));
                if let Err(refused) = answer {
                    prop_assert_eq!(refused.reason(), Reason::Overloaded);
                    model.count(now, false);
                } else {
                    throttle.exit_at(outcome, Ticks(now as u64));
                    if let Outcome::Success | Outcome::Failure = outcome {
                        model.count(now, outcome == Outcome::Success);
                    }
                }
            }
        }
        let snapshot = throttle.snapshot_at(Ticks(now as u64));
        let seen = (i128::from(snapshot.requests()), i128::from(snapshot.accepts()));
        prop_assert_eq!(seen, model.sums(now), "step {}", step);
    }
    Ok(())
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let multiplier = (1..5_u32, 1..4_u32).prop_map(|(more, d)| (d + more - 1, d));
    let max_rejection = prop_oneof![Just((1, 1)), (1..=20_u32).prop_map(|part| (part, 20))];
    let window = prop_oneof![Just(120_000), 1..500_u64, 1..100_000_u64];
    let lateness = prop_oneof![Just(1_000), Just(0), 1..50_u64];
    let millis = Duration::from_millis;
    (multiplier, max_rejection, window, lateness).prop_map(
        move |(multiplier, max_rejection, window, lateness)| Settings {
            multiplier,
            max_rejection,
            window: millis(window),
            lateness: millis(lateness),
        },
    )
}

fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    use Outcome::{Abandoned, Failure, Ignored, Refused, Success};
    let outcome = || {
        prop_oneof![
            4 => Just(Failure),
            3 => Just(Success),
            1 => prop::sample::select(vec![Ignored, Abandoned, Refused]),
        ]
    };
    let draw = prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)];
    let op = prop_oneof![
        10 => (draw, outcome()).prop_map(|(draw, outcome)| Op::Call(draw, outcome)),
        1 => (0..=1_000_u16, outcome()).prop_map(|(late, outcome)| Op::Late(late, outcome)),
        2 => prop_oneof![0..300_u32, 0..3_000_u32].prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 1..50)
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn refuses_what_the_model_refuses(
        settings in any_settings(),
        origin in prop_oneof![0..1_000_000_u64, 0..1_u64 << 50],
        ops in any_ops(),
        fast in any::<bool>(),
    ) {
        if fast {
            run::<1_000_000_000>(settings, origin, &ops)?;
        } else {
            run::<1_000>(settings, origin, &ops)?;
        }
    }
}

/// The promise of the formula: where the server accepts less than one call in K, it is sent K times
/// what it accepts, and all the rest is refused here.
#[test]
fn sends_k_times_what_is_accepted() {
    let random = fusebox_core::Rng::from_seed(1);
    let config = ThrottleConfig::new();
    let throttle: AdaptiveThrottle<_, _> = AdaptiveThrottle::new(config, Hz::<1_000>, &random);
    // 1000 calls per second for ten minutes; the server accepts 50 of each second.
    let (mut sent, mut refused) = (0_u32, 0_u32);
    for second in 0..600_u64 {
        let mut accepted = 0;
        for milli in 0..1_000 {
            let now = Ticks(second * 1_000 + milli);
            if throttle.enter_at(now).is_err() {
                refused += u32::from(second >= 300);
                continue;
            }
            accepted += 1;
            sent += u32::from(second >= 300);
            let outcome = if accepted <= 50 { Outcome::Success } else { Outcome::Failure };
            throttle.exit_at(outcome, now);
        }
    }
    assert_eq!(sent + refused, 300_000);
    // Buckets of 32-bit words are halved at 511 calls, which makes the last one count for less.
    let expected = 300 * 50 * 2;
    assert!(sent.abs_diff(expected) < expected / 10, "sent {sent} of {expected}");
    let odds = throttle.snapshot_at(Ticks(600_000)).rejection_ppm();
    assert!((890_000..=910_000).contains(&odds), "{odds}");
}
