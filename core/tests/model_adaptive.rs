//! Adaptive limits against a model that keeps every call of a window, and against the published
//! formulas in floating point.

#[path = "model_adaptive/model.rs"]
mod model;
mod modelling;

use std::time::Duration;

use fusebox_core::{
    AdaptiveLimit, Gate, LimitAlgorithm, LimitConfig, ManualClock, MeasuresLatency, Outcome,
    Permit, Ratio, Reason, Ticks, duration_from_ticks,
};
use model::{Algorithm, Model, Settings, by_width};
use modelling::Hz;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Enter,
    /// End a call at a reading that is late by so many thousandths of the supported lateness.
    Exit {
        index: usize,
        outcome: Outcome,
        late: u16,
    },
    /// So many percent of the limit at once, for so many thousandths of the window.
    Burst {
        percent: u32,
        latency: u32,
        failures: u32,
    },
    /// By so many thousandths of the window.
    Advance(u32),
    /// By so many horizons, up to far past the wrap.
    Jump(u64),
}

struct Run<'a, const HZ: u64, A> {
    limit: &'a AdaptiveLimit<Hz<HZ>, A>,
    model: Model,
    settings: Settings,
    now: i128,
    held: Vec<i128>,
}

impl<const HZ: u64, A: LimitAlgorithm> Run<'_, HZ, A> {
    fn enter(&mut self) -> Result<(), TestCaseError> {
        let answer = self.limit.enter_at(Ticks(self.now as u64));
        prop_assert_eq!(answer.is_ok(), self.model.enter(100));
        match answer {
            Ok(_) => self.held.push(self.now),
            Err(refused) => prop_assert_eq!(refused.reason(), Reason::Overloaded),
        }
        Ok(())
    }

    fn exit(&mut self, index: usize, outcome: Outcome, now: i128) {
        let began = self.held.remove(index);
        self.limit.exit_at(Ticks(began as u64), outcome, Ticks(now as u64));
        self.model.exit(began, outcome, now);
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        let Settings { window, lateness, .. } = self.settings;
        match op {
            Op::Enter => self.enter()?,
            Op::Exit { index, outcome, late } if index < self.held.len() => {
                let late = lateness * i128::from(late) / 1_000;
                self.exit(index, outcome, (self.now - late).max(0));
            }
            Op::Exit { .. } => {}
            Op::Burst { percent, latency, failures } => {
                // Not all of a limit in the millions.
                let calls = (self.limit.limit() * percent).div_ceil(100).min(8);
                for _ in 0..calls {
                    self.enter()?;
                }
                self.now += window * i128::from(latency) / 1_000;
                for call in 0..self.held.len() as u32 {
                    let failed = call * 100 < failures * calls;
                    let outcome = if failed { Outcome::Failure } else { Outcome::Success };
                    self.exit(0, outcome, self.now);
                }
            }
            Op::Advance(thousandths) => self.now += window * i128::from(thousandths) / 1_000,
            Op::Jump(horizons) => self.now += self.model.horizon() * i128::from(horizons),
        }
        Ok(())
    }

    fn compare(&self, step: usize) -> Result<(), TestCaseError> {
        let (seen, model) = (self.limit.snapshot(), &self.model);
        prop_assert_eq!(seen.in_flight(), model.in_flight, "step {}", step);
        prop_assert_eq!(seen.limit(), model.limit(), "step {}: {:?}", step, model);
        prop_assert_eq!(seen.is_probing(), model.is_probing(), "step {}: {:?}", step, model);
        let base = model.base().map(|ticks| duration_from_ticks(ticks as u64, HZ));
        prop_assert_eq!(seen.base_latency(), base, "step {}: {:?}", step, model);
        Ok(())
    }
}

fn duration<const HZ: u64>(ticks: i128) -> Duration {
    Duration::from_nanos((ticks as u128 * 1_000_000_000 / u128::from(HZ)) as u64)
}

fn common<const HZ: u64, A>(config: LimitConfig<A>, settings: Settings) -> LimitConfig<A> {
    config
        .initial(settings.initial)
        .min(settings.min)
        .max(settings.max)
        .window(duration::<HZ>(settings.window))
        .min_samples(settings.min_samples)
        .max_latency(duration::<HZ>(settings.max_latency))
        .max_lateness(duration::<HZ>(settings.lateness))
        .drop_share(Ratio::percent(settings.drops))
}

fn probing<const HZ: u64, A: MeasuresLatency>(
    config: LimitConfig<A>,
    settings: Settings,
) -> LimitConfig<A> {
    let config = common::<HZ, A>(config, settings)
        .probe_interval(duration::<HZ>(settings.window * i128::from(settings.probe_windows)))
        .probe_samples(settings.probe_samples);
    match settings.base {
        Some(base) => config.base_latency(duration::<HZ>(base)),
        None => config,
    }
}

fn run<const HZ: u64>(settings: Settings, origin: u64, ops: &[Op]) -> Result<(), TestCaseError> {
    match settings.algorithm {
        Algorithm::Aimd { increase, backoff } => {
            let config = LimitConfig::aimd().increase(increase).backoff(Ratio::percent(backoff));
            drive::<HZ, _>(common::<HZ, _>(config, settings), settings, origin, ops)
        }
        Algorithm::Vegas { alpha, beta } => {
            let config = LimitConfig::vegas().beta(u32::from(u16::MAX)).alpha(alpha).beta(beta);
            drive::<HZ, _>(probing::<HZ, _>(config, settings), settings, origin, ops)
        }
        Algorithm::Gradient2 { smoothing, tolerance, queue, long } => {
            let config = LimitConfig::gradient2()
                .smoothing(Ratio::percent(smoothing))
                .tolerance(Ratio::percent(tolerance))
                .queue(queue)
                .long_window(long);
            drive::<HZ, _>(probing::<HZ, _>(config, settings), settings, origin, ops)
        }
        Algorithm::Envoy { buffer, percentile } => {
            let config =
                LimitConfig::envoy_gradient().buffer(Ratio::percent(buffer)).percentile(percentile);
            drive::<HZ, _>(probing::<HZ, _>(config, settings), settings, origin, ops)
        }
    }
}

fn drive<const HZ: u64, A: LimitAlgorithm>(
    config: LimitConfig<A>,
    settings: Settings,
    origin: u64,
    ops: &[Op],
) -> Result<(), TestCaseError> {
    let limit = AdaptiveLimit::try_new(config, Hz::<HZ>)
        .map_err(|error| TestCaseError::fail(format!("{error}")))?;
    let model = Model::new(settings);
    let mut run = Run { limit: &limit, model, settings, now: origin.into(), held: Vec::new() };
    for (step, &op) in ops.iter().enumerate() {
        run.apply(op)?;
        run.compare(step)?;
    }
    while !run.held.is_empty() {
        run.exit(0, Outcome::Abandoned, run.now);
    }
    prop_assert_eq!(limit.in_flight(), 0, "all is given back");
    Ok(())
}

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![
        (1..4_u32, 50..100_u32)
            .prop_map(|(increase, backoff)| Algorithm::Aimd { increase, backoff }),
        (1..6_u32, 1..6_u32)
            .prop_map(|(alpha, more)| Algorithm::Vegas { alpha, beta: alpha + more }),
        (1..=100_u32, 100..200_u32, 1..9_u32, 1..800_u32).prop_map(
            |(smoothing, tolerance, queue, long)| Algorithm::Gradient2 {
                smoothing,
                tolerance,
                queue,
                long,
            }
        ),
        (0..=300_u32, 1..=99_u32)
            .prop_map(|(buffer, percentile)| Algorithm::Envoy { buffer, percentile }),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let limits = prop_oneof![
        4 => prop::array::uniform3(1..60_u32),
        1 => prop::array::uniform3(1..=by_width(0xff_ffff, 4_095) as u32),
    ];
    let times = (2..200_i128, 1..30_u32, 1..60_i128, prop_oneof![Just(0_i128), 1..400_i128]);
    let samples = (1..5_u32, 1..5_u32);
    (any_algorithm(), limits, times, samples, prop::option::weighted(0.2, 1..100_i128), 1..=100_u32)
        .prop_map(|(algorithm, mut limits, times, samples, base, drops)| {
            limits.sort_unstable();
            let [min, initial, max] = limits;
            let (window, probe_windows, longest, lateness) = times;
            let max_latency = (window * longest / 10).max(2);
            Settings {
                algorithm,
                initial,
                min,
                max,
                window,
                min_samples: samples.0,
                probe_windows,
                probe_samples: samples.1,
                // The first algorithm does without.
                base: base
                    .filter(|_| !matches!(algorithm, Algorithm::Aimd { .. }))
                    .map(|percent| (max_latency * percent / 100).clamp(1, max_latency - 1)),
                max_latency,
                lateness,
                drops,
            }
        })
}

fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    use Outcome::{Abandoned, Failure, Ignored, Refused, Success};
    let outcome = prop_oneof![
        5 => Just(Success),
        2 => Just(Failure),
        1 => prop::sample::select(vec![Ignored, Abandoned, Refused]),
    ];
    let late = prop_oneof![4 => Just(0), 1 => 0..=1_000_u16];
    let failures = prop_oneof![3 => Just(0), 1 => 0..=100_u32];
    let op = prop_oneof![
        5 => Just(Op::Enter),
        4 => (0..6_usize, outcome, late)
            .prop_map(|(index, outcome, late)| Op::Exit { index, outcome, late }),
        8 => (1..=120_u32, prop_oneof![0..900_u32, 300..5_000_u32], failures).prop_map(
            |(percent, latency, failures)| Op::Burst { percent, latency, failures }
        ),
        3 => prop_oneof![0..300_u32, 0..4_000_u32].prop_map(Op::Advance),
        1 => prop_oneof![0..4_u64, 0..2_000_u64, 0..300_000_u64].prop_map(Op::Jump),
    ];
    prop::collection::vec(op, 1..40)
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn adapts_as_the_model_does(
        settings in any_settings(),
        origin in prop_oneof![0..1_000_u64, 0..1_u64 << 60],
        ops in any_ops(),
        clock in 0..3,
    ) {
        // Times are in ticks of the slowest clock, and the same for the faster ones.
        let faster = |times: i128| Settings {
            window: settings.window * times,
            base: settings.base.map(|base| base * times),
            max_latency: settings.max_latency * times,
            lateness: settings.lateness * times,
            ..settings
        };
        match clock {
            0 => run::<1_000>(settings, origin, &ops)?,
            1 => run::<1_000_000>(faster(1_000), origin, &ops)?,
            _ => run::<1_000_000_000>(faster(1_000_000), origin, &ops)?,
        }
    }

    /// One window at a known latency without load moves the limit as the formula says, to within
    /// what the documented rounding can make of it.
    #[test]
    fn one_window_follows_the_published_formula(
        limit in 5..4_000_u32,
        base in 1_000..1_000_000_u32,
        percent in 50..400_u32,
    ) {
        let latency = u64::from(base) * u64::from(percent) / 100;
        let (ratio, before) = (f64::from(base) / latency as f64, f64::from(limit));
        let log = before.log10().floor().max(1.0);
        let max = by_width(1_000_000, 4_095) as u32;
        let near = |after: u32, exact: f64| {
            let exact = exact.clamp(1.0, f64::from(max));
            (f64::from(after) - exact).abs() <= 1.0 + exact / 1_000.0
        };

        let after = one_window(LimitConfig::aimd().initial(limit).max(max), base, latency);
        prop_assert_eq!(after, limit + 1);

        let config = LimitConfig::vegas().initial(limit).max(max).base_latency(micros(base));
        let after = one_window(config, base, latency);
        // Where the queue is at the edge between two steps, either will do.
        let step = |queue: f64| {
            if queue <= log {
                before + 6.0 * log
            } else if queue < (3.0 * log).max((before / 10.0).floor()) {
                before + log
            } else if queue > (6.0 * log).max((before / 5.0).floor()) {
                before - log
            } else {
                before
            }
        };
        let queue = before * (1.0 - ratio);
        let steps = [queue - before / 1_000.0, queue + before / 1_000.0].map(|q| step(q.ceil()));
        prop_assert!(steps.iter().any(|&step| near(after, step)), "{} after {}", after, limit);

        let config = LimitConfig::gradient2().min(1).initial(limit).max(max);
        let after = one_window(config.base_latency(micros(base)), base, latency);
        // The long mean has moved by 2/601 of the way, and is not above the base.
        let long = (1.0 + (1.0 / ratio - 1.0) * 2.0 / 601.0).min(1.0);
        let gradient = (1.5 * ratio * long).clamp(0.5, 1.0);
        let exact = before * 0.8 + (before * gradient + 4.0) * 0.2;
        prop_assert!(near(after, exact), "{} after {}, not {}", after, limit, exact);

        let config = LimitConfig::envoy_gradient().min(1).initial(limit).max(max);
        let after = one_window(config.base_latency(micros(base)), base, latency);
        let multiplied = before * (1.25 * ratio).clamp(0.5, 2.0);
        let exact = multiplied + multiplied.sqrt();
        prop_assert!(near(after, exact), "{} after {}, not {}", after, limit, exact);
    }
}

fn micros(micros: u32) -> Duration {
    Duration::from_micros(micros.into())
}

/// The limit after one window, all of whose calls took `latency` microseconds.
fn one_window<A: LimitAlgorithm>(config: LimitConfig<A>, base: u32, latency: u64) -> u32 {
    let clock: ManualClock = ManualClock::new();
    let config = config.window(Duration::from_nanos(1)).max_latency(5 * micros(base));
    let limit = AdaptiveLimit::new(config.min_samples(2), &clock);
    // At least half of it is in use.
    let others: Vec<_> = (0..limit.limit() / 2).map(|_| limit.permit().unwrap()).collect();
    // One after the other, as a window lasts twice as long as its calls; and one more, as times are
    // rounded. The window after that is not over.
    for _ in 0..3 {
        let call = limit.permit().unwrap();
        clock.advance(Duration::from_micros(latency));
        call.success();
    }
    others.into_iter().for_each(Permit::ignore);
    limit.limit()
}
