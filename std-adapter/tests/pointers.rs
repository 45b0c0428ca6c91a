//! What a program gets that reads its configuration: parts behind pointers, some of them of any
//! kind. Each trait is passed on through each pointer.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{
    AttemptPolicy, Budget, Delays, HedgeDelay, HedgePolicy, Latencies, Percentiles,
    PipelineMetering, Random, RetryPolicy, Rng, SideBySide, blocking,
};

#[derive(Default)]
struct Count(AtomicU32);

impl Observer for Count {
    fn on_event(&self, _event: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_trait_goes_through_every_pointer() {
    fn gate<G: Gate>() {}
    fn timer<T: Timer>() {}
    fn observer<O: Observer + ?Sized>() {}
    fn budget<B: Budget>() {}
    fn random<R: Random>() {}
    fn delays<D: Delays>() {}
    fn policy<R: RetryPolicy<u8, u8>>() {}
    fn hedge<H: HedgePolicy<ManualClock, u8, u8>>() {}
    fn attempts<P: AttemptPolicy<Kind = SideBySide>>() {}
    macro_rules! through {
        ($($pointer:ident)+) => {$(
            gate::<$pointer<Bulkhead>>();
            gate::<$pointer<dyn Gate<Token = ()>>>();
            timer::<$pointer<blocking::ThreadTimer>>();
            observer::<$pointer<dyn Observer + Send + Sync>>();
            budget::<$pointer<dyn Budget>>();
            random::<$pointer<dyn Random>>();
            delays::<$pointer<dyn Delays>>();
            policy::<$pointer<Retry>>();
            hedge::<$pointer<Hedge<3, $pointer<dyn HedgeDelay<ManualClock>>>>>();
            attempts::<$pointer<Hedge>>();
        )+};
    }
    through!(Box Rc Arc);
}

#[test]
fn meters_and_histograms_go_through_every_pointer() {
    fn latencies<L: Latencies<ManualClock>>() {}
    fn percentiles<H: Percentiles<ManualClock>>() {}
    fn metering<M: PipelineMetering<ManualClock>>() {}
    macro_rules! through {
        ($($pointer:ident)+) => {$(
            latencies::<$pointer<Histogram<ManualClock>>>();
            latencies::<$pointer<WindowedHistogram<ManualClock>>>();
            percentiles::<$pointer<Histogram<ManualClock>>>();
            percentiles::<$pointer<WindowedHistogram<ManualClock>>>();
            metering::<$pointer<PipelineMeter<ManualClock, $pointer<Histogram<ManualClock>>>>>();
        )+};
    }
    through!(Box Rc Arc);
    let clock: ManualClock = ManualClock::new();
    let all: Arc<Histogram<_>> = Arc::new(Histogram::new(HistogramConfig::standard()));
    let breaker: CircuitBreaker<_, _, _> = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        .metered(Meter::new().latencies(Arc::clone(&all)));
    breaker.permit().unwrap().success();
    assert_eq!((breaker.snapshot().latency.unwrap().count, all.snapshot().count()), (1, 1));
}

#[test]
fn an_observer_in_a_box_is_told_and_may_be_idle() {
    let count = Arc::new(Count::default());
    let told: Box<dyn Observer + Send + Sync> = Box::new(Arc::clone(&count));
    assert!(told.is_active());
    let breaker = fusebox_std::CircuitBreaker::new(BreakerConfig::standard(), StdClock)
        .observed_by("db", told);
    breaker.force_open();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    let idle: Box<dyn Observer + Send + Sync> = Box::new(());
    assert!(!idle.is_active());
}

#[test]
fn a_named_observer_keeps_its_name_behind_a_pointer() {
    struct Expect(&'static str);
    impl Observer for Expect {
        fn on_event(&self, event: &Event<'_>) {
            let Event::StateChanged { name, .. } = event else { panic!("{event:?}") };
            assert_eq!(*name, self.0);
        }
    }
    let named: Arc<dyn Observer> = Arc::new(Named::new("db", Expect("db")));
    let breaker: fusebox_std::CircuitBreaker<_, _, _, _> = fusebox_std::CircuitBreaker::with_parts(
        BreakerConfig::standard(),
        fusebox_std::Consecutive,
        (),
        named,
        StdClock,
    );
    breaker.force_open();
}

#[test]
fn policies_and_their_parts_work_behind_pointers() {
    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0);
    let budget = Rc::new(RetryBudget::new(config, StdClock));
    let rng = Arc::new(Rng::from_seed(1));
    let backoff = Backoff::constant(Duration::from_nanos(1)).jitter(Jitter::Full, &rng);
    let retry = Retry::new(backoff).budget(Rc::clone(&budget));
    let answer = blocking::retry(Rc::new(retry), |attempt| {
        if attempt.is_retry() { Ok(attempt.number) } else { Err("once") }
    });
    assert_eq!(answer, Ok(2));
    assert_eq!(budget.balance(), 0);
}
