//! Circuit breakers: closed around a call that succeeds, and open.
//!
//! All of them trip after 5 failures in a row, or at half of 100 calls, or at half of the calls of
//! 10 seconds, of which there must be 100; and they stay open for an hour, so that none is
//! half-open here. tower-resilience looks at every call of the 10 seconds at each call, so what it
//! takes grows with how many there are. What cannot do a job is not in its group: recloser judges
//! by its last calls only, seatbelt by time only, failsafe has no window of calls. failsafe
//! estimates the rate of 10 seconds by a moving average, the others count.
//!
//! The peers' synchronous forms are measured where there are some; tower-resilience is a tower
//! service, and seatbelt one of its own kind, so futures around a ready result are measured against
//! our guard around the same.

use std::fmt;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use failsafe::{CircuitBreaker as _, backoff, failure_policy};
use fusebox_std::{
    BreakerConfig, CircuitBreaker, Clock, Gate, LastCalls, LastTime, Rates, Ratio, StdClock,
};
use layered::{Execute, Service as _, Stack};
use recloser::Recloser;
use seatbelt::breaker::Breaker;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tower::Service;
use tower_resilience_circuitbreaker::{
    CircuitBreakerConfigBuilder, CircuitBreakerLayer, DefaultClassifier, SlidingWindowType,
};

use crate::rows::{Rows, limit, output_of};

pub(crate) const AN_HOUR: Duration = Duration::from_secs(3600);
const SPAN: Duration = Duration::from_secs(10);
const CALLS: u32 = 100;
pub(crate) const IN_A_ROW: u32 = 5;
const RATES: Rates = Rates::failures(Ratio::percent(50)).minimum_calls(CALLS);

pub(crate) const CONFIG: BreakerConfig =
    BreakerConfig::standard().consecutive_failures(IN_A_ROW).open_for(AN_HOUR);
const WINDOWED: BreakerConfig = CONFIG.without_consecutive_failures();

pub(crate) fn rows(rows: &mut impl Rows) {
    closed(rows);
    closed_future(rows);
    open(rows);
    last_calls(rows);
    last_time(rows);
}

/// The operation that is guarded: it succeeds, and the optimiser does not know it.
fn work() -> Result<u32, ()> {
    black_box(Ok(1))
}

fn in_a_row() -> impl failsafe::CircuitBreaker + Sync {
    let policy = failure_policy::consecutive_failures(IN_A_ROW, backoff::constant(AN_HOUR));
    failsafe::Config::new().failure_policy(policy).build()
}

fn closed(rows: &mut impl Rows) {
    rows.group("breaker closed, failures in a row");
    let breaker = CircuitBreaker::<StdClock>::new(CONFIG, StdClock);
    rows.row("us, call", true, || || black_box(&breaker).call(work).is_ok());
    rows.row("us, permit and success", true, || {
        || black_box(&breaker).permit().map(|permit| permit.success()).is_ok()
    });
    let peer = in_a_row();
    rows.row("failsafe", true, || || black_box(&peer).call(work).is_ok());
    let word = AtomicU64::new(0);
    limit(rows, "two loads", || {
        || {
            let _ = black_box(black_box(&word).load(Ordering::Acquire));
            black_box(&word).load(Ordering::Acquire)
        }
    });
}

fn closed_future(rows: &mut impl Rows) {
    rows.group("breaker closed, failures in a row, around a future");
    let breaker = CircuitBreaker::<StdClock>::new(CONFIG, StdClock);
    rows.row("us", true, || || output_of(black_box(&breaker).guard(async { work() })).is_ok());
    let peer =
        tower_breaker(CircuitBreakerLayer::builder().consecutive_failures(IN_A_ROW as usize));
    rows.row("tower-resilience", true, || service_call(&peer, false));
    let word = AtomicU64::new(0);
    limit(rows, "two loads", || {
        || {
            let _ = black_box(black_box(&word).load(Ordering::Acquire));
            black_box(&word).load(Ordering::Acquire)
        }
    });
}

fn open(rows: &mut impl Rows) {
    rows.group("breaker open, refused");
    let breaker = CircuitBreaker::<StdClock>::new(CONFIG, StdClock);
    breaker.trip();
    rows.row("us", false, || || black_box(&breaker).call(work).is_ok());

    let failing = || black_box(Err::<u32, ()>(()));
    let peer = in_a_row();
    while !matches!(peer.call(failing), Err(failsafe::Error::Rejected)) {}
    rows.row("failsafe", false, || || black_box(&peer).call(work).is_ok());

    let peer = Recloser::custom().open_wait(AN_HOUR).build();
    while !matches!(peer.call(failing), Err(recloser::Error::Rejected)) {}
    rows.row("recloser", false, || || black_box(&peer).call(work).is_ok());

    // Where two of its callers meet while it is open, one sleeps for a millisecond: no throughput
    // to compare.
    if rows.is_alone() {
        let config = CircuitBreakerLayer::builder().consecutive_failures(IN_A_ROW as usize);
        let peer = tower_breaker(config);
        let mut fail = service_call(&peer, true);
        (0..IN_A_ROW).for_each(|_| assert!(!fail()));
        rows.row("tower-resilience", false, || service_call(&peer, false));
    }

    let word = AtomicU64::new(0);
    limit(rows, "clock reading and load", || {
        || StdClock.now().0 ^ black_box(&word).load(Ordering::Acquire)
    });
}

fn last_calls(rows: &mut impl Rows) {
    rows.group("breaker closed, half of the last 100 calls");
    let window = LastCalls::<StdClock>::new(CALLS, RATES);
    let breaker = CircuitBreaker::with_window(WINDOWED, window, StdClock);
    rows.row("us, call", true, || || black_box(&breaker).call(work).is_ok());
    rows.row("us, around a future", true, || {
        || output_of(black_box(&breaker).guard(async { work() })).is_ok()
    });

    let peer =
        Recloser::custom().error_rate(0.5).closed_len(CALLS as usize).open_wait(AN_HOUR).build();
    rows.row("recloser", true, || || black_box(&peer).call(work).is_ok());

    let peer = tower_breaker(
        CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_size(CALLS as usize),
    );
    rows.row("tower-resilience", true, || service_call(&peer, false));

    let word = AtomicU64::new(0);
    limit(rows, "one read-modify-write", || || black_box(&word).fetch_add(1, Ordering::AcqRel));
}

fn last_time(rows: &mut impl Rows) {
    rows.group("breaker closed, half of the calls of 10 s");
    let window = LastTime::<StdClock>::new(SPAN, RATES);
    let breaker = CircuitBreaker::with_window(WINDOWED, window, StdClock);
    rows.row("us, call", true, || || black_box(&breaker).call(work).is_ok());
    rows.row("us, around a future", true, || {
        || output_of(black_box(&breaker).guard(async { work() })).is_ok()
    });

    let policy =
        failure_policy::success_rate_over_time_window(0.5, CALLS, SPAN, backoff::constant(AN_HOUR));
    let peer = failsafe::Config::new().failure_policy(policy).build();
    rows.row("failsafe", true, || || black_box(&peer).call(work).is_ok());

    let peer = Arc::new(seatbelt_breaker());
    rows.row("seatbelt", true, || || output_of(black_box(&peer).execute(1)).is_ok());

    let peer = tower_breaker(
        CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(SPAN)
            .minimum_number_of_calls(CALLS as usize),
    );
    rows.row("tower-resilience", true, || service_call(&peer, false));

    let word = AtomicU64::new(0);
    limit(rows, "clock reading and one read-modify-write", || {
        || StdClock.now().0 ^ black_box(&word).fetch_add(1, Ordering::AcqRel)
    });
}

/// Its context wants to be told of a clock, which wants a runtime.
fn seatbelt_breaker() -> impl layered::Service<u32, Out = Result<u32, ()>> {
    let context = ResilienceContext::new(crate::tick_clock());
    let layer = Breaker::layer("breaker", &context)
        .recovery_with(|result: &Result<u32, ()>, _| match result {
            Ok(_) => RecoveryInfo::never(),
            Err(()) => RecoveryInfo::retry(),
        })
        .rejected_input_error(|_, _| ())
        .failure_threshold(0.5)
        .min_throughput(CALLS)
        .sampling_duration(SPAN)
        .break_duration(AN_HOUR);
    (layer, Execute::new(|_: u32| async { work() })).into_service()
}

/// Succeeds, or fails where it is told to, with a future that is ready.
#[derive(Clone)]
pub(crate) struct Inner;

impl Service<bool> for Inner {
    type Response = u32;
    type Error = fmt::Error;
    type Future = Ready<Result<u32, fmt::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), fmt::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, fails: bool) -> Self::Future {
        ready(if fails { Err(fmt::Error) } else { black_box(Ok(1)) })
    }
}

type TowerBreaker = tower_resilience_circuitbreaker::CircuitBreaker<Inner, DefaultClassifier>;

fn tower_breaker(config: CircuitBreakerConfigBuilder<DefaultClassifier>) -> TowerBreaker {
    let layer = config.wait_duration_in_open(AN_HOUR).build().expect("good settings");
    layer.layer_fn(Inner)
}

/// One call as hyper makes them: ready, then called. Each thread has its clone, as each connection
/// has.
pub(crate) fn service_call<S>(service: &S, fails: bool) -> impl FnMut() -> bool + use<S>
where
    S: Service<bool> + Clone,
    S::Error: fmt::Debug,
{
    let mut service = service.clone();
    move || {
        output_of(poll_fn(|context| service.poll_ready(context))).expect("never fails");
        output_of(black_box(&mut service).call(fails)).is_ok()
    }
}
