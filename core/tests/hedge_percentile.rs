//! A hedge that waits for a percentile: what it measures, and what that does to the tail of the
//! latencies and to the load.
//!
//! Time is virtual and goes from one event to the next. The calls are made one after the other, and
//! how long an attempt takes is drawn at random, by a seed that is always the same: so the figures
//! are the same in each run.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    AfterPercentile, Attempt, BudgetConfig, Clock, Deadline, Hedge, HedgeDelay, Histogram,
    HistogramConfig, ManualClock, PercentileConfig, Random, Ratio, RetryBudget, Rng, Ticks, Timer,
    WindowedHistogram,
};

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A clock of microseconds that moves to the next instant that somebody waits for.
#[derive(Default)]
struct Sim {
    clock: ManualClock<1_000_000>,
    wakes: RefCell<BinaryHeap<Reverse<Ticks>>>,
}

impl Sim {
    fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                self.wakes.borrow_mut().clear();
                return output;
            }
            let Reverse(next) = self.wakes.borrow_mut().pop().expect("somebody waits");
            if next > self.clock.now() {
                self.clock.set(next);
            }
        }
    }
}

impl Clock for Sim {
    const TICKS_PER_SECOND: u64 = 1_000_000;

    fn now(&self) -> Ticks {
        self.clock.now()
    }
}

impl<'a> Timer for &'a Sim {
    type Sleep = Sleep<'a>;

    fn sleep_until(&self, at: Ticks) -> Sleep<'a> {
        self.wakes.borrow_mut().push(Reverse(at));
        Sleep { sim: self, at }
    }
}

struct Sleep<'a> {
    sim: &'a Sim,
    at: Ticks,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if self.sim.now() >= self.at { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What became of a number of calls.
#[derive(Debug)]
struct Figures {
    p50: Duration,
    p99: Duration,
    /// Attempts for 1000 calls.
    load: u32,
}

const CALLS: u32 = 20_000;

/// Makes calls whose attempts take as long as `takes` draws, in microseconds.
fn simulate<'a, D>(sim: &'a Sim, hedge: Option<Hedge<2, D>>, takes: impl Fn(&Rng) -> u64) -> Figures
where
    D: HedgeDelay<&'a Sim> + Copy,
{
    let budget = BudgetConfig::new(Ratio::percent(10)).floor_per_second(0);
    let budget = RetryBudget::new(budget, sim);
    let (random, attempts) = (Rng::from_seed(7), Cell::new(0));
    let operation = |_: Attempt| {
        attempts.set(attempts.get() + 1);
        let sleep = sim.sleep_until(sim.now().saturating_add(takes(&random)));
        async {
            sleep.await;
            Ok::<_, ()>(())
        }
    };
    let mut latencies = Vec::new();
    for _ in 0..CALLS {
        let begun = sim.now();
        match hedge {
            Some(hedge) => sim.run(hedge.budget(&budget).call(sim, operation)).unwrap(),
            None => sim.run(operation(Attempt::first(Deadline::NEVER))).unwrap(),
        }
        latencies.push(Duration::from_micros(sim.now().saturating_since(begun)));
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[latencies.len() * percent / 100];
    Figures { p50: at(50), p99: at(99), load: attempts.get() / (CALLS / 1000) }
}

/// 95 % take 5 to 15 ms, the others up to a second.
fn with_a_tail(random: &Rng) -> u64 {
    if random.below(100) < 95 { 5_000 + random.below(10_000) } else { random.below(1_000_000) }
}

fn p95_of_the_last(span: Duration, sim: &Sim) -> AfterPercentile<&Sim> {
    AfterPercentile::new(
        PercentileConfig::new(Ratio::percent(95), ms(500)),
        WindowedHistogram::new(span, HistogramConfig::standard(), sim),
    )
}

#[test]
fn the_tail_is_cut_for_a_few_percent_of_load() {
    let sim = Sim::default();
    let without = simulate::<Duration>(&sim, None, with_a_tail);
    let delay = p95_of_the_last(30 * SECOND, &sim);
    let with = simulate(&sim, Some(Hedge::idempotent(&delay)), with_a_tail);
    println!("alone: {without:?}\nhedged after the 95th percentile: {with:?}");
    assert!(without.p99 > ms(700) && without.load == 1000, "{without:?}");
    assert!(with.p99 < ms(50) && with.load <= 1060, "{with:?}");
    assert!(with.p50 <= without.p50 + ms(1), "{with:?}");
}

/// What a hedge must not do: double the load of a service that is slow because of its load.
#[test]
fn a_service_that_is_slow_for_everybody_gets_the_budget_more_and_no_more() {
    let sim = Sim::default();
    let slow = |_: &Rng| 1_000_000;
    let figures = simulate(&sim, Some(Hedge::idempotent(ms(50))), slow);
    println!("hedged after 50 ms: {figures:?}");
    assert_eq!((figures.p50, figures.load), (SECOND, 1100));
}

/// Were attempts that lost left out, the percentile would sink from reading to reading.
#[test]
fn what_is_measured_is_not_what_hedging_makes_of_it() {
    let sim = Sim::default();
    let delay = p95_of_the_last(300 * SECOND, &sim);
    // 95 % take 500 ms at most, and most attempts are much faster than the rest of that.
    let uneven = |random: &Rng| random.below(if random.below(10) > 0 { 10_000 } else { 1_000_000 });
    let figures = simulate(&sim, Some(Hedge::idempotent(&delay)), uneven);
    println!("hedged: {figures:?}, {delay:?}");
    assert!(delay.delay().abs_diff(ms(500)) < ms(150), "{delay:?}");
    assert!((1045..=1060).contains(&figures.load), "{figures:?}");
}

#[test]
fn too_few_calls_have_no_percentile_and_a_reading_is_used_for_a_while() {
    let sim = Sim::default();
    let config = PercentileConfig::new(Ratio::percent(50), ms(500)).minimum_calls(3);
    let delay = AfterPercentile::new(
        config.every(ms(10)),
        Histogram::<&Sim>::new(HistogramConfig::standard()),
    );
    let at = |at: Duration| {
        sim.clock.set(Ticks(0));
        sim.clock.advance(at);
        Duration::from_micros(HedgeDelay::delay(&delay, sim.now()))
    };
    // The clock's origin looks like a reading that has just been made.
    assert_eq!(at(SECOND), ms(500));
    delay.learn(20_000, sim.now());
    delay.learn(20_000, sim.now());
    assert_eq!(at(SECOND + ms(10)), ms(500), "too few");
    delay.learn(20_000, sim.now());
    assert_eq!(at(SECOND + ms(19)), ms(500), "not yet");
    let near = |one: Duration, other: Duration| one.abs_diff(other) <= other / 64;
    assert!(near(at(SECOND + ms(20)), ms(20)));
    assert!(near(delay.delay(), ms(20)));
    assert_eq!(delay.latencies().snapshot().count(), 3);
    // A late reader changes nothing, and forgotten calls bring the first delay back.
    delay.latencies().reset();
    assert!(near(at(SECOND + ms(15)), ms(20)));
    assert!(near(at(SECOND + ms(29)), ms(20)));
    assert_eq!(at(SECOND + ms(30)), ms(500));
}

#[test]
fn the_delay_stays_within_its_bounds() {
    let sim = Sim::default();
    let config = PercentileConfig::new(Ratio::percent(50), ms(10))
        .minimum_calls(1)
        .at_least(ms(5))
        .at_most(ms(50))
        .every(ms(1));
    let delay = AfterPercentile::new(config, Histogram::<&Sim>::new(HistogramConfig::standard()));
    for (takes, expected) in [(1, 5), (30, 30), (900, 50)] {
        delay.latencies().reset();
        delay.learn(takes * 1_000, sim.now());
        sim.clock.advance(SECOND);
        let got = Duration::from_micros(HedgeDelay::delay(&delay, sim.now()));
        assert!(got.abs_diff(ms(expected)) <= ms(expected) / 64, "{got:?}, not {expected} ms");
        assert!((ms(5)..=ms(50)).contains(&got));
    }
}

/// First attempts that ended by themselves, or that lost, count; those that failed, and those of
/// calls that were cancelled, do not.
#[test]
fn only_what_says_something_is_measured() {
    let sim = Sim::default();
    let delay = AfterPercentile::new(
        PercentileConfig::new(Ratio::percent(95), ms(10)),
        Histogram::<&Sim>::new(HistogramConfig::standard()),
    );
    let hedge = Hedge::idempotent(&delay);
    let measured = || {
        let counted = delay.latencies().drain();
        let longest = counted.max().unwrap_or_default();
        (counted.count(), (longest + ms(1) / 2).as_millis())
    };
    let takes = |ms: u64| {
        let sleep = (&sim).sleep_until(sim.now().saturating_add(ms * 1_000));
        async {
            sleep.await;
            Ok::<_, ()>(())
        }
    };

    sim.run(hedge.call(&sim, |_| takes(3))).unwrap();
    assert_eq!(measured(), (1, 3));

    // The second one wins after 30.
    let slow = |attempt: Attempt| takes(if attempt.is_hedge() { 20 } else { 100 });
    sim.run(hedge.call(&sim, slow)).unwrap();
    assert_eq!(measured(), (1, 30));

    let fails = |attempt: Attempt| async move { if attempt.is_retry() { Ok(()) } else { Err(()) } };
    sim.run(hedge.call(&sim, fails)).unwrap();
    assert_eq!(measured(), (0, 0));

    let poor = hedge.when_value(|(): &()| Some(fusebox_core::Decision::Retry));
    sim.run(poor.call(&sim, |_| takes(3))).unwrap();
    assert_eq!(measured(), (0, 0), "the same goes for answers that are not good enough");

    let mut cancelled = Box::pin(hedge.call(&sim, |_| takes(50)));
    assert!(cancelled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    sim.clock.advance(ms(5));
    drop(cancelled);
    assert_eq!(measured(), (0, 0));

    let hangs = |_| std::future::pending::<Result<(), ()>>();
    assert!(sim.run(hedge.deadline(ms(60)).call(&sim, hangs)).is_err());
    assert_eq!(measured(), (1, 60), "cut off");
}

/// The settings wanted a delay that is `Copy`: with a percentile in an `Arc` there were none.
#[cfg(feature = "alloc")]
#[test]
fn a_percentile_in_an_arc_has_all_settings() {
    use std::sync::Arc;

    type Ms = ManualClock<1000>;

    let clock = Ms::new();
    let latencies = Histogram::new(HistogramConfig::standard());
    let config = PercentileConfig::new(Ratio::percent(95), ms(50));
    let slow: Arc<AfterPercentile<&Ms, Histogram<&Ms>>> =
        Arc::new(AfterPercentile::new(config, latencies));
    let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(10)), Ms::new());
    let hedge = Hedge::idempotent(Arc::clone(&slow))
        .max_attempts::<3>()
        .when(fusebox_core::RetryAll)
        .budget(&budget)
        .observed_by("db", ())
        .deadline(ms(500));
    assert_eq!(Arc::strong_count(&slow), 2, "moved from one to the next");
    assert!(format!("{hedge:?}").contains("delay: AfterPercentile"), "{hedge:?}");
    let copied = hedge.clone();
    assert_eq!(Arc::strong_count(&slow), 3);
    let answer = pollster::block_on(hedge.call(&clock, |_| async { Ok::<_, ()>(7) }));
    assert_eq!(answer, Ok(7));
    drop(copied);
    assert_eq!((Arc::strong_count(&slow), slow.latencies().snapshot().count()), (1, 1));
}

/// Calls that have no time to wait for an answer were taken for answers that came as fast.
#[test]
fn what_is_cut_off_early_does_not_count_as_fast() {
    let sim = Sim::default();
    let delay: AfterPercentile<&Sim> = AfterPercentile::new(
        PercentileConfig::new(Ratio::percent(50), ms(100)).every(ms(1)),
        WindowedHistogram::new(60 * SECOND, HistogramConfig::standard(), &sim),
    );
    let hedge = Hedge::idempotent(&delay);
    for number in 0..400 {
        let deadline = match number % 3 {
            0 => Deadline::NEVER,
            _ => Deadline::after(&&sim, ms(2)),
        };
        let answer = sim.run(hedge.call_before(&sim, deadline, |_| {
            let sleep = (&sim).sleep_until(sim.now().saturating_add(50_000));
            async {
                sleep.await;
                Ok::<_, ()>(())
            }
        }));
        assert_eq!(answer.is_ok(), number % 3 == 0);
    }
    assert!(
        delay.delay().abs_diff(ms(50)) < ms(1),
        "each takes 50 ms, it waits {:?}",
        delay.delay()
    );
}
