//! The retry budget against a slow and obvious model, in whole numbers that neither wrap nor round.
//!
//! Two things are compared. That the balance is what the documented rules make it, exactly: time in
//! the documented units, whole intervals, the cap, and what a late reading or an idle wrap does.
//! And that the rules keep the promise: all that was ever granted is covered by what was deposited
//! and by the floor, in exact fractions of exact time.

mod modelling;

use std::time::Duration;

use fusebox_core::{
    BudgetConfig, ConfigError, Ratio, RetryBudget, Ticks, WORD_BITS, ticks_from_duration,
};
use modelling::Hz;
use proptest::prelude::*;

/// The floor's interval has at least this many units of time, as documented.
const STEPS: i128 = if WORD_BITS == 64 { 1_024 } else { 16 };

/// The wrap is 2 to the power of this times the longest interval and lateness, as documented.
const HEADROOM: i32 = if WORD_BITS == 64 { 16 } else { 10 };

#[derive(Clone, Copy, Debug)]
struct Settings {
    ratio: (u32, u32),
    floor: u32,
    reserve: u32,
    lateness: Duration,
}

impl Settings {
    fn config(self) -> BudgetConfig {
        BudgetConfig::new(Ratio::new(self.ratio.0, self.ratio.1))
            .floor_per_second(self.floor)
            .reserve(self.reserve)
            .max_lateness(self.lateness)
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Deposit(u32),
    /// At a reading that is late by so many thousandths of the supported lateness.
    Withdraw {
        late: u16,
    },
    Refund,
    /// By so many thousandths of the floor's interval.
    Advance(u32),
    /// By so many horizons (interval + lateness), up to far past the wrap.
    Jump(u64),
}

struct Model {
    numerator: i128,
    cost: i128,
    full: i128,
    floor: i128,
    per_second: i128,
    /// A unit of time is 2 to the power of this ticks.
    exponent: i32,
    /// In units of time, as the next three.
    interval: i128,
    lateness: i128,
    wrap: i128,
    /// Up to when the floor has paid, once started.
    since: Option<i128>,
    balance: i128,
    /// All that was paid in, in balance units, and by when the floor began, in ticks.
    deposited: i128,
    granted: i128,
    began: i128,
}

/// The bits that `value` needs.
fn bits(value: i128) -> i32 {
    (i128::BITS - value.leading_zeros()) as i32
}

/// `ticks` in units of 2 to the power of `exponent` ticks, rounded down.
fn units(ticks: i128, exponent: i32) -> i128 {
    if exponent < 0 { ticks << -exponent } else { ticks >> exponent }
}

impl Model {
    fn new(settings: Settings, per_second: u64, units_per_retry: u32) -> Self {
        let cost = i128::from(units_per_retry);
        let full = i128::from(settings.reserve) * cost;
        let lateness = i128::from(ticks_from_duration(settings.lateness, per_second));
        let (floor, per_second) = (i128::from(settings.floor), i128::from(per_second));
        // The finest units in which a wrap of the bits that the balance leaves is far enough away.
        let time_bits = WORD_BITS as i32 - 1 - bits(full);
        let horizon = lateness + (per_second + floor.max(1) - 1) / floor.max(1);
        let finest = (63 - bits(per_second)).min(32);
        let exponent = (bits(horizon) - (time_bits - HEADROOM)).max(-finest);
        let up = |ticks: i128| -units(-ticks, exponent);
        // The interval, rounded up from an exact fraction of a tick.
        let exact = units(per_second << 40, exponent) / floor.max(1);
        let interval = (exact + (1 << 40) - 1) >> 40;
        if floor > 0 {
            assert!(interval >= STEPS, "rounded by more than documented");
        }
        let start = floor.min(settings.reserve.into()) * cost;
        Self {
            numerator: i128::from(settings.ratio.0) * cost / i128::from(settings.ratio.1),
            cost,
            full,
            floor,
            per_second,
            exponent,
            interval,
            lateness: up(lateness),
            wrap: 1 << time_bits,
            since: None,
            balance: start,
            deposited: start,
            granted: 0,
            began: 0,
        }
    }

    /// The longest that an instant can be ahead, in ticks.
    fn horizon(&self) -> i128 {
        units(self.lateness + self.interval, -self.exponent).max(1)
    }

    /// How far a reading is behind the time in the word, if it is late rather than idle for long.
    fn late(&self, now: i128) -> Option<i128> {
        let ahead = (self.since? - now).rem_euclid(self.wrap);
        (ahead > 0 && ahead <= self.lateness).then_some(ahead)
    }

    fn pay(&mut self, now: i128) {
        if self.floor == 0 || self.late(now).is_some() {
            return;
        }
        let since = *self.since.get_or_insert(now);
        let elapsed = (now - since).rem_euclid(self.wrap);
        self.balance = (self.balance + elapsed / self.interval * self.cost).min(self.full);
        self.since = Some(now - elapsed % self.interval);
    }

    fn withdraw(&mut self, ticks: i128) -> bool {
        self.pay(units(ticks, self.exponent));
        let granted = self.balance >= self.cost;
        if granted {
            self.balance -= self.cost;
            self.granted += self.cost;
        }
        granted
    }

    fn add(&mut self, units: i128) {
        self.balance = (self.balance + units).min(self.full);
        self.deposited += units;
    }

    /// Whether all that was granted by `latest` was paid in, with the floor counted in exact time:
    /// `floor` retries per second since it began, which may read as up to a unit of time, at most
    /// 1/15 of its interval, too early.
    fn is_covered(&self, latest: i128) -> bool {
        let time = (latest - self.began) * self.floor * (STEPS - 1) + self.per_second;
        (self.granted - self.deposited) * self.per_second * (STEPS - 1) <= time * self.cost
    }
}

/// Runs `ops` on a budget and the model, with a clock that reads `origin` at first.
fn run<const PER_SECOND: u64>(
    settings: Settings,
    origin: u64,
    ops: &[Op],
) -> Result<(), TestCaseError> {
    let budget = match RetryBudget::try_new(settings.config(), Hz::<PER_SECOND>) {
        Ok(budget) => budget,
        Err(error) => return check_advice::<PER_SECOND>(settings, error),
    };
    let reduced = budget.snapshot_at(Ticks(origin)).units_per_retry();
    let mut model = Model::new(settings, PER_SECOND, reduced);
    let mut latest = i128::from(origin);
    for (step, op) in ops.iter().enumerate() {
        match *op {
            Op::Deposit(calls) => {
                budget.deposit_many(calls);
                model.add(model.numerator * i128::from(calls));
            }
            Op::Refund => {
                budget.refund();
                model.add(model.cost);
            }
            Op::Advance(thousandths) => {
                let interval = model.per_second * i128::from(thousandths);
                latest += interval / model.floor.max(1) / 1_000;
            }
            Op::Jump(horizons) => latest += i128::from(horizons) * model.horizon(),
            Op::Withdraw { late } => {
                let lateness = i128::from(ticks_from_duration(settings.lateness, PER_SECOND));
                let late =
                    if model.since.is_some() { lateness * i128::from(late) / 1_000 } else { 0 };
                let now = latest - late;
                if model.since.is_none() {
                    model.began = now;
                }
                let reading = Ticks(now as u64);
                let answer = budget.try_withdraw_at(reading);
                prop_assert_eq!(answer.is_ok(), model.withdraw(now), "step {}", step);
                prop_assert!(model.is_covered(latest), "granted too many by step {}", step);
                if let Err(refused) = answer {
                    prop_assert_eq!(refused.retry_after().is_some(), settings.floor > 0);
                    let Some(wait) = refused.retry_after() else { continue };
                    let wait = ticks_from_duration(wait, PER_SECOND);
                    let at = |wait| Ticks(reading.0.wrapping_add(wait));
                    prop_assert!(budget.balance_at(at(wait)) >= 1, "{} is early: {}", wait, step);
                    // No longer than it must be, but for a unit, and a tick or nanosecond on the
                    // way.
                    let slack = (1 << model.exponent.max(0)) + 1 + PER_SECOND / 1_000_000_000;
                    let earlier = wait.saturating_sub(slack);
                    prop_assert_eq!(
                        budget.balance_at(at(earlier)),
                        0,
                        "{} is late: {}",
                        wait,
                        step
                    );
                }
            }
        }
        let stored = Ticks(latest as u64);
        let snapshot = budget.snapshot_at(stored);
        prop_assert!(snapshot.retries() <= settings.reserve);
        if settings.floor == 0 {
            prop_assert_eq!(i128::from(snapshot.units()), model.balance, "step {}", step);
        }
    }
    Ok(())
}

/// What a refused configuration is told must be true: the value named fits, and one more does not.
fn check_advice<const PER_SECOND: u64>(
    settings: Settings,
    error: ConfigError,
) -> Result<(), TestCaseError> {
    let made = |settings: Settings| RetryBudget::try_new(settings.config(), Hz::<PER_SECOND>);
    match error {
        ConfigError::BudgetNeedsMoreBits {
            reserve,
            floor,
            fitting_reserve,
            fitting_floor,
            fitting_lateness,
        } => {
            prop_assert_eq!((reserve, floor), (settings.reserve, settings.floor));
            let with = |reserve| Settings { reserve, ..settings };
            let least = settings.ratio.0.div_ceil(settings.ratio.1).max(1);
            let more = fitting_reserve.map_or(least, |most| most + 1);
            prop_assert!(fitting_reserve.is_none_or(|most| made(with(most)).is_ok()), "{}", error);
            prop_assert!(made(with(more)).is_err(), "{}", error);

            let with = |floor| Settings { floor, ..settings };
            let more = fitting_floor.map_or(0, |most| most + 1);
            prop_assert!(fitting_floor.is_none_or(|most| made(with(most)).is_ok()), "{}", error);
            prop_assert!(made(with(more)).is_err(), "{}", error);

            let with = |lateness| Settings { lateness, ..settings };
            let more =
                fitting_lateness.map_or(Duration::ZERO, |most| most + Duration::from_micros(1));
            prop_assert!(fitting_lateness.is_none_or(|most| made(with(most)).is_ok()), "{}", error);
            prop_assert!(made(with(more)).is_err(), "{}", error);
        }
        ConfigError::OutOfRange { what: "the budget's `reserve`", value, min, .. } => {
            prop_assert!(value < min);
            let reserve = u32::try_from(min).unwrap();
            let enough = made(Settings { reserve, ..settings });
            let still = matches!(enough, Err(ConfigError::OutOfRange { .. }));
            prop_assert!(!still, "{}", error);
            let reserve = reserve - 1;
            prop_assert!(made(Settings { reserve, ..settings }).is_err(), "{}", error);
        }
        other => return Err(TestCaseError::fail(format!("{other}"))),
    }
    Ok(())
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let ratio = prop_oneof![
        (0_u32..=150).prop_map(|percent| (percent, 100)),
        (0_u32..=30, 1_u32..=30),
        (0_u32..=1_000, 1_u32..=1_000),
        (0_u32..=10).prop_map(|tenths| (tenths, 10)),
    ];
    let floor = prop_oneof![2 => Just(0_u32), 4 => 1_u32..=12, 1 => 1_u32..=5_000];
    let reserve = prop_oneof![4 => 1_u32..=20, 2 => 1_u32..=1_000, 1 => any::<u32>()];
    let lateness = prop::sample::select(vec![0, 1_000, 10_000_000, 1_000_000_000, 60_000_000_000])
        .prop_map(Duration::from_nanos);
    (ratio, floor, reserve, lateness).prop_map(|(ratio, floor, reserve, lateness)| Settings {
        ratio,
        floor: if ratio.0 == 0 { floor.max(1) } else { floor },
        reserve,
        lateness,
    })
}

fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => prop_oneof![0_u32..20, any::<u32>()].prop_map(Op::Deposit),
        6 => prop_oneof![2 => Just(0), 1 => 0_u16..=1_000].prop_map(|late| Op::Withdraw { late }),
        1 => Just(Op::Refund),
        4 => prop_oneof![0_u32..1_100, 0_u32..20_000].prop_map(Op::Advance),
        1 => prop_oneof![0_u64..40, 0_u64..2_000, 0_u64..300_000].prop_map(Op::Jump),
    ];
    prop::collection::vec(op, 1..40)
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn grants_what_the_model_grants(
        settings in any_settings(),
        origin in prop_oneof![Just(0), any::<u64>(), u64::MAX - 5_000..=u64::MAX],
        ops in any_ops(),
        clock in 0..5,
    ) {
        match clock {
            0 => run::<1_000_000_000>(settings, origin, &ops)?,
            1 => run::<32_768>(settings, origin, &ops)?,
            2 => run::<1_000>(settings, origin, &ops)?,
            3 => run::<1>(settings, origin, &ops)?,
            _ => run::<10_000_000_000>(settings, origin, &ops)?,
        }
    }
}

#[test]
fn a_polled_floor_loses_nothing() {
    let settings = BudgetConfig::new(Ratio::percent(0)).floor_per_second(10).reserve(10);
    for poll in [1_000_003, 7_000_000, 99_999_999, 100_000_001, 333_333_333] {
        let budget = RetryBudget::new(settings, Hz::<1_000_000_000>);
        let (mut now, mut granted) = (0_u64, 0_u64);
        while now < 100_000_000_000 {
            while budget.try_withdraw_at(Ticks(now)).is_ok() {
                granted += 1;
            }
            now += poll;
        }
        let most = 10 + 10 * 100;
        let least = most - 2 - most / if WORD_BITS == 64 { 1_024 } else { 16 };
        assert!((least..=most).contains(&granted), "{granted} when polled each {poll} ns");
    }
}
