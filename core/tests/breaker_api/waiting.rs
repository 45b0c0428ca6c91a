//! `until_ready`, polled by hand and by an executor.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, ManualClock, Reason, State};

use super::{Millis, ms};

fn config() -> BreakerConfig {
    BreakerConfig::standard().open_for(ms(32)).half_open_timeout(ms(100)).max_lateness(ms(0))
}

fn polled<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn it_is_ready_at_once_unless_open_or_busy() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    let ready = || polled(pin!(breaker.until_ready(&clock)));
    assert_eq!(ready(), Poll::Ready(Ok(())));
    breaker.disable();
    assert_eq!(ready(), Poll::Ready(Ok(())));
    breaker.metrics_only();
    assert_eq!(ready(), Poll::Ready(Ok(())));
    breaker.force_open();
    let Poll::Ready(Err(refused)) = ready() else { panic!("nobody knows when") };
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::CircuitOpen, None));
}

#[test]
fn it_waits_exactly_for_the_end_of_the_open_time_and_takes_nothing() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    breaker.trip();
    let mut ready = pin!(breaker.until_ready(&clock));
    assert!(polled(ready.as_mut()).is_pending());
    clock.advance(ms(31));
    assert!(polled(ready.as_mut()).is_pending());
    clock.advance(ms(1));
    assert_eq!(polled(ready.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(breaker.state(), State::Open, "looking changes nothing");
    assert!(breaker.permit().is_ok());
}

#[test]
fn it_waits_on_where_the_breaker_reopened_meanwhile() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    breaker.trip();
    let mut ready = pin!(breaker.until_ready(&clock));
    assert!(polled(ready.as_mut()).is_pending());
    clock.advance(ms(32));
    breaker.permit().unwrap().failure();
    assert!(polled(ready.as_mut()).is_pending());
    clock.advance(ms(32));
    assert_eq!(polled(ready.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn it_looks_again_while_the_probes_are_out() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    breaker.trip();
    clock.advance(ms(32));
    let probe = breaker.permit().unwrap();
    let mut ready = pin!(breaker.until_ready(&clock));
    assert!(polled(ready.as_mut()).is_pending());
    probe.success();
    // A sixteenth of the open time, and the tick that rounds it up.
    clock.advance(ms(3));
    assert_eq!(polled(ready.as_mut()), Poll::Ready(Ok(())));
}

/// Where all callers wait before they call, nobody else is left to find out that the probes never
/// report.
#[test]
fn it_does_not_wait_for_ever_for_probes_that_never_report() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    breaker.trip();
    clock.advance(ms(32));
    let _hung = breaker.permit().unwrap();
    let mut ready = pin!(breaker.until_ready(&clock));
    let mut waited = 0;
    while polled(ready.as_mut()).is_pending() {
        clock.advance(ms(1));
        waited += 1;
        assert!(waited < 200, "the timeout, the open time, and what they are late");
    }
    assert!(waited >= 132, "{waited}");
    assert!(breaker.permit().is_ok());
}

#[test]
fn the_timer_may_count_otherwise_than_the_clock() {
    let (clock, timer) = (Millis::new(), ManualClock::<3>::new());
    let breaker = CircuitBreaker::new(config().open_for(ms(1_000)), &clock);
    breaker.trip();
    let mut ready = pin!(breaker.until_ready(&timer));
    assert!(polled(ready.as_mut()).is_pending());
    clock.advance(ms(1_100));
    timer.advance_ticks(2);
    assert!(polled(ready.as_mut()).is_pending(), "a third of a second is left");
    timer.advance_ticks(1);
    assert_eq!(polled(ready.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn an_executor_waits_until_another_thread_moves_the_clock() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    breaker.trip();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                clock.advance(ms(1));
                std::thread::yield_now();
            }
        });
        let ready = pollster::block_on(breaker.until_ready(&clock));
        done.store(true, Ordering::Relaxed);
        assert!(ready.is_ok());
    });
    assert!(clock.elapsed() >= ms(32));
    assert!(breaker.permit().is_ok());
}
