//! `CoDel` against a model that keeps every delay it has seen.

mod modelling;

use std::time::Duration;

use fusebox_core::{CoDel, CoDelConfig, Reason, Ticks, WORD_BITS, ticks_from_duration};
use modelling::Hz;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Settings {
    target: u64,
    interval: u64,
    lateness: u64,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A call leaves the queue, at a reading that is late by so many thousandths of the supported
    /// lateness, after so many thousandths of the target.
    Dequeue { late: u16, delay: u32 },
    /// By so many thousandths of the interval.
    Advance(u32),
    /// By so many intervals and latenesses, up to far past the wrap.
    Jump(u64),
}

/// The bits that `value` needs.
fn bits(value: i128) -> i32 {
    (i128::BITS - value.leading_zeros()) as i32
}

/// Of the bits for the time, so many are kept for the wrap, as everywhere.
const HEADROOM: i32 = if WORD_BITS == 64 { 16 } else { 10 };

struct Model {
    target: i128,
    interval: i128,
    lateness: i128,
    /// A unit is 2 to the power of this ticks, and the wrap so many units away.
    exponent: i32,
    wrap: i128,
    /// In units.
    since: Option<i128>,
    /// All delays of the interval, in ticks.
    delays: Vec<i128>,
    overloaded: bool,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let Settings { target, interval, lateness } = settings;
        let [target, interval, lateness] = [target, interval, lateness].map(i128::from);
        let time_bits = WORD_BITS as i32 - 3;
        let exponent = (bits(interval + lateness) - (time_bits - HEADROOM)).max(0);
        let up = |ticks: i128| (ticks + (1 << exponent) - 1) >> exponent;
        Self {
            target,
            interval: up(interval),
            lateness: up(lateness),
            exponent,
            wrap: 1 << time_bits,
            since: None,
            delays: Vec::new(),
            overloaded: false,
        }
    }

    /// Whether the call is shed.
    fn dequeue(&mut self, now: i128, delay: i128) -> bool {
        let at = now >> self.exponent;
        self.delays.push(delay);
        match self.since {
            None => self.since = Some(at),
            Some(since) => {
                let ahead = (since - at).rem_euclid(self.wrap);
                let late = ahead > 0 && ahead <= self.lateness;
                if !late && (at - since).rem_euclid(self.wrap) >= self.interval {
                    self.overloaded = self.delays.iter().all(|&delay| delay > self.target);
                    self.since = Some(at);
                    self.delays = vec![delay];
                }
            }
        }
        self.overloaded && delay > 2 * self.target
    }
}

fn run<const PER_SECOND: u64>(
    settings: Settings,
    origin: u64,
    ops: &[Op],
) -> Result<(), TestCaseError> {
    let duration = |ticks: u64| {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(PER_SECOND);
        Duration::from_nanos(nanos as u64)
    };
    let config = CoDelConfig::new()
        .target(duration(settings.target))
        .interval(duration(settings.interval))
        .max_lateness(duration(settings.lateness));
    let codel = CoDel::try_new(config, Hz::<PER_SECOND>).expect("fits");
    let ticks = |ticks| ticks_from_duration(duration(ticks), PER_SECOND);
    let mut model = Model::new(Settings {
        target: ticks(settings.target),
        interval: ticks(settings.interval),
        lateness: ticks(settings.lateness),
    });
    let mut latest = i128::from(origin);
    for (step, op) in ops.iter().enumerate() {
        match *op {
            Op::Advance(thousandths) => {
                latest += i128::from(settings.interval) * i128::from(thousandths) / 1_000;
            }
            Op::Jump(times) => {
                latest += i128::from(settings.interval + settings.lateness) * i128::from(times);
            }
            Op::Dequeue { late, delay } => {
                let now = latest - i128::from(settings.lateness) * i128::from(late) / 1_000;
                let delay = i128::from(settings.target) * i128::from(delay) / 1_000;
                // Readings wrap, and the difference of two of them is taken as one that does not.
                let now = now.rem_euclid(1 << 64);
                let enqueued = now - delay;
                if enqueued < 0 {
                    continue;
                }
                let answer = codel.admit_at(Ticks(enqueued as u64), Ticks(now as u64));
                let shed = model.dequeue(now, delay);
                prop_assert_eq!(answer.is_err(), shed, "step {}: {:?}", step, codel);
                prop_assert_eq!(codel.is_overloaded(), model.overloaded);
                if let Err(refused) = answer {
                    prop_assert_eq!(refused.reason(), Reason::Overloaded);
                    let wait = refused.retry_after().expect("known");
                    let most = duration(settings.interval + settings.lateness)
                        + duration(2 << model.exponent);
                    prop_assert!(wait <= most, "{:?} of {:?}", wait, most);
                }
            }
        }
    }
    Ok(())
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let interval = prop_oneof![4 => 1..200_u64, 1 => 1..1_000_000_u64];
    let lateness = prop_oneof![1 => Just(0), 3 => 1..500_u64, 1 => 1..1_000_000_u64];
    (interval, 1..=1_000_u64, lateness).prop_map(|(interval, part, lateness)| Settings {
        target: (interval * part / 1_000).max(1),
        interval,
        lateness,
    })
}

fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    let delay = prop_oneof![0..=1_000_u32, 1_001..=2_000_u32, 2_001..9_000_u32];
    let late = prop_oneof![3 => Just(0), 1 => 0..=1_000_u16];
    let op = prop_oneof![
        8 => (late, delay).prop_map(|(late, delay)| Op::Dequeue { late, delay }),
        5 => prop_oneof![0..400_u32, 0..1_500_u32].prop_map(Op::Advance),
        1 => prop_oneof![0..9_u64, 0..2_000_u64, 0..300_000_u64].prop_map(Op::Jump),
    ];
    prop::collection::vec(op, 1..60)
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn sheds_what_the_model_sheds(
        settings in any_settings(),
        origin in prop_oneof![0..10_000_u64, any::<u64>(), u64::MAX - 5_000..=u64::MAX],
        ops in any_ops(),
        clock in 0..3,
    ) {
        match clock {
            0 => run::<1_000_000_000>(settings, origin, &ops)?,
            1 => run::<1_000>(settings, origin, &ops)?,
            _ => run::<1_000_000>(settings, origin, &ops)?,
        }
    }
}
