//! Bugs of other circuit breakers, and why this one does not have them.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Clock, ConfigError, Event, FailureIf, Gate, LastCalls, LastTime,
    ManualClock, Meter, Observer, Outcome, Permit, Rates, Ratio, Reason, State, Ticks, WORD_BITS,
};

/// Milliseconds.
type Millis = ManualClock<1_000>;

const OPEN: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn config() -> BreakerConfig {
    BreakerConfig::standard()
        .consecutive_failures(1)
        .open_for(OPEN)
        .half_open_timeout(PROBE_TIMEOUT)
        .max_lateness(ms(50))
}

/// A breaker that a probe may enter now.
fn ripe(clock: &Millis) -> CircuitBreaker<&Millis> {
    let breaker = CircuitBreaker::new(config(), clock);
    breaker.trip();
    clock.advance(OPEN);
    breaker
}

/// Bug 5. Cause: a clock that steps back made durations negative, or the time that had passed zero
/// for ever (aws-smithy, retry-policies, quanta#111). Here a step back within the supported
/// lateness delays, and a longer one makes what is open read as stale: the breaker lets a probe in.
/// Neither wedges, and neither lets two in.
#[test]
pub(crate) fn a_clock_that_steps_back_neither_wedges_nor_lets_two_probes_in() {
    for back in [1, 50, 51, 100, 149, 150, 151, 300, 1_000, 1_000_000, 1_000_000_000] {
        let clock = Millis::new();
        clock.set(Ticks(1_000_000_000));
        let breaker = CircuitBreaker::new(config(), &clock);
        breaker.trip();
        clock.rewind(ms(back));
        let mut waited = 0;
        let probe = loop {
            match breaker.permit() {
                Ok(probe) => break probe,
                Err(refused) => {
                    let wait = refused.retry_after().expect("open");
                    assert!(wait <= OPEN + ms(50), "{wait:?} after {back} ms back");
                    clock.advance(wait);
                    waited += 1;
                    assert!(waited <= 1, "told to come back, and refused again");
                }
            }
        };
        assert_eq!(breaker.permit().unwrap_err().reason(), Reason::ProbesBusy);
        clock.rewind(ms(10));
        probe.success();
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// Bug 5, for a window of time: what it holds neither stays for ever nor makes it panic.
#[test]
pub(crate) fn a_window_of_time_survives_a_step_back() {
    for back in [1, 500, 1_000, 1_050, 5_000, 500_000] {
        let clock = Millis::new();
        clock.set(Ticks(1_000_000));
        let rates = Rates::failures(Ratio::percent(50)).minimum_calls(4);
        let window: LastTime<_, 10> = LastTime::try_new(ms(1_000), rates, ms(50)).unwrap();
        let config = config().without_consecutive_failures();
        let breaker = CircuitBreaker::with_window(config, window, &clock);
        breaker.permit().unwrap().failure();
        clock.rewind(ms(back));
        breaker.permit().unwrap().failure();
        assert!(breaker.snapshot().counts.failures <= 2);
        // At the latest a window and the lateness after the latest reading, all is forgotten.
        clock.advance(ms(back + 1_050));
        assert_eq!(breaker.snapshot().counts.requests, 0, "{back} ms back");
        for _ in 0..3 {
            breaker.permit().unwrap().failure();
        }
        assert_eq!(breaker.state(), State::Closed);
        breaker.permit().unwrap().failure();
        assert_eq!(breaker.state(), State::Open);
    }
}

/// Bug 8. Cause: the slot of a probe was not given back after a drop, an early return, a panic or
/// an ignored error, and the breaker stayed half-open for days (resilience4j #935 #1389 #2324,
/// OmniRoute#13836, cockatiel#112).
#[test]
pub(crate) fn a_probe_comes_back_whatever_happens_to_its_call() {
    type Breaker<'a> = CircuitBreaker<&'a Millis>;
    fn early_return(breaker: &Breaker<'_>) -> Option<()> {
        let permit = breaker.permit().ok()?;
        None::<()>?;
        permit.success();
        Some(())
    }
    type Way = (&'static str, fn(&Breaker<'_>));
    let ways: [Way; 5] = [
        ("a drop", |breaker| drop(breaker.permit().unwrap())),
        ("an early return", |breaker| assert_eq!(early_return(breaker), None)),
        ("an ignored error", |breaker| {
            let never = FailureIf(|_: &()| false);
            assert!(breaker.call_with(never, || Err::<(), _>(())).is_err());
        }),
        ("a cancelled future", |breaker| {
            let mut call = pin!(breaker.guard(pending::<Result<(), ()>>()));
            let mut context = Context::from_waker(Waker::noop());
            assert!(call.as_mut().poll(&mut context).is_pending());
        }),
        ("a later gate that refuses", |breaker| {
            let shut = CircuitBreaker::new(config(), Box::leak(Box::new(Millis::new())) as &Millis);
            shut.force_open();
            assert!((breaker, &shut).permit().is_err());
        }),
    ];
    for (what, way) in ways {
        let clock = Millis::new();
        let breaker = ripe(&clock);
        way(&breaker);
        assert_eq!(breaker.state(), State::HalfOpen, "{what}");
        breaker.permit().expect(what).success();
        assert_eq!(breaker.state(), State::Closed, "{what}");
    }
}

/// Bug 8, a panic: it is a failure, so the breaker reopens, and lets a probe in again after the
/// open time.
#[test]
pub(crate) fn a_probe_that_panics_reopens() {
    let clock = Millis::new();
    let breaker = ripe(&clock);
    let call = || breaker.call(|| -> Result<(), ()> { panic!("in the probe") });
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(breaker.state(), State::Open);
    clock.advance(OPEN);
    assert!(breaker.permit().is_ok());
}

/// Bug 8, a probe that hangs for good: it times out, also where everybody waits until the breaker
/// is ready.
#[test]
pub(crate) fn a_probe_that_never_reports_times_out() {
    let clock = Millis::new();
    let breaker = ripe(&clock);
    let hung = breaker.permit().unwrap();
    clock.advance(PROBE_TIMEOUT - ms(1));
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::ProbesBusy);
    // Late by two parts in 2^4 of the timeout and the lateness at most.
    clock.advance(ms(33));
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::CircuitOpen);
    clock.advance(OPEN);
    breaker.permit().unwrap().success();
    hung.failure();
    assert_eq!(breaker.state(), State::Closed, "and its result, should it come, is late");
}

#[test]
pub(crate) fn callers_that_wait_until_ready_do_not_wait_for_a_hung_probe_for_ever() {
    let clock = Millis::new();
    let breaker = ripe(&clock);
    let _hung = breaker.permit().unwrap();
    let mut ready = pin!(breaker.until_ready(&clock));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if ready.as_mut().poll(&mut context).is_ready() {
            return;
        }
        clock.advance(ms(1));
    }
    panic!("still waiting in {breaker:?}");
}

/// Bug 9. Cause: the number of probes was checked and counted in two steps, so that many callers
/// passed at the same moment (tower-resilience#382, tower#855). Here one compare-and-swap does
/// both; `loom-tests` has the proof, this is the real thing.
#[test]
pub(crate) fn never_more_probes_than_allowed() {
    const CALLERS: usize = 4;
    for round in 0..200 {
        let clock = Millis::new();
        let allowed = 1 + round % 3;
        let breaker = CircuitBreaker::new(config().max_probes(allowed as u32), &clock);
        breaker.trip();
        clock.advance(OPEN);
        let start = Barrier::new(CALLERS);
        let let_in = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        breaker.permit().ok()
                    })
                })
                .collect();
            // The permits are kept until all have asked.
            let permits: Vec<_> =
                callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            permits.iter().flatten().count()
        });
        assert_eq!(let_in, allowed);
    }
}

/// Bug 10. Cause: a result was applied to whatever state the breaker was in when it came, so that a
/// call of before the outage closed, opened or decided a half-open (tower-resilience 0.13, seatbelt
/// 0.11; gobreaker has it right).
#[test]
pub(crate) fn a_result_of_an_older_generation_changes_nothing() {
    use Outcome::{Abandoned, Failure, Ignored, Refused, Success};
    for (outcome, abandoned_fails) in [
        (Success, false),
        (Failure, false),
        (Abandoned, true),
        (Abandoned, false),
        (Ignored, false),
        (Refused, false),
    ] {
        let clock = Millis::new();
        let config = config().abandoned_is_failure(abandoned_fails);
        let breaker = CircuitBreaker::new(config, &clock).metered(Meter::new());
        let mut old: Vec<_> = (0..4).map(|_| breaker.permit().unwrap()).collect();
        let mut finish = || old.pop().unwrap().finish(outcome);
        breaker.permit().unwrap().failure();
        assert_eq!(breaker.state(), State::Open);
        finish();
        assert_eq!(breaker.state(), State::Open);
        clock.advance(OPEN);
        finish();
        let probe = breaker.permit().unwrap();
        finish();
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(breaker.permit().is_err(), "no place of a probe was freed");
        probe.success();
        finish();
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.snapshot().counts.consecutive_failures, 0);
        assert_eq!(breaker.snapshot().running, Some(0), "yet each was counted out");
    }
}

/// Bug 10, a probe of an earlier half-open that decides a later one.
#[test]
pub(crate) fn a_probe_of_an_earlier_half_open_decides_nothing() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config().max_probes(2), &clock);
    breaker.trip();
    clock.advance(OPEN);
    let (late, bad) = (breaker.permit().unwrap(), breaker.permit().unwrap());
    bad.failure();
    clock.advance(OPEN);
    let _current = breaker.permit().unwrap();
    late.success();
    assert_eq!(breaker.state(), State::HalfOpen);
}

/// Bug 11. Cause: a count "window" that never forgot, so that after 10 000 successes it took 10 000
/// failures to open (tower-resilience 0.13).
#[test]
pub(crate) fn a_window_of_calls_slides() {
    let clock = Millis::new();
    let window: LastCalls<_, 10> =
        LastCalls::new(20, Rates::failures(Ratio::percent(50)).minimum_calls(10));
    let breaker = CircuitBreaker::with_window(config().consecutive_failures(100), window, &clock);
    for _ in 0..10_000 {
        breaker.permit().unwrap().success();
    }
    let mut failures = 0;
    while !breaker.is_open() {
        breaker.permit().unwrap().failure();
        failures += 1;
        assert!(failures <= 10, "half of the window is enough");
    }
    assert!(failures >= 9, "{failures}");
}

/// Bug 12. Cause: the results of probes were kept in the time window, slid out of it when probes
/// were rare, and half-open waited for ever for enough of them (tower-resilience 0.13). Here they
/// are in the state word.
#[test]
pub(crate) fn probes_do_not_age() {
    let clock = Millis::new();
    let window: LastTime<_, 10> =
        LastTime::new(ms(1_000), Rates::failures(Ratio::percent(50)).minimum_calls(3));
    let breaker = CircuitBreaker::with_window(config().success_threshold(3), window, &clock);
    breaker.trip();
    for probe in 0..3 {
        clock.advance(Duration::from_secs(3_600));
        breaker.permit().unwrap_or_else(|refused| panic!("{probe}: {refused}")).success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

/// Bug 13. Cause: the rate was judged only when a call failed, or only when the next one came, so
/// that a trip was late or missed (recloser PR#10).
#[test]
pub(crate) fn a_success_can_be_the_call_that_trips_and_no_further_call_is_needed() {
    let clock = Millis::new();
    let config = config().without_consecutive_failures();
    let rates = Rates::failures(Ratio::percent(50)).minimum_calls(4);
    let calls: LastCalls<_, 4> = LastCalls::new(4, rates);
    let time: LastTime<_, 4> = LastTime::new(ms(1_000), rates);
    let by_calls = CircuitBreaker::with_window(config, calls, &clock);
    let by_time = CircuitBreaker::with_window(config, time, &clock);
    for outcome in [Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Success] {
        assert!(!by_calls.is_open() && !by_time.is_open());
        by_calls.permit().unwrap().finish(outcome);
        by_time.permit().unwrap().finish(outcome);
    }
    assert!(by_calls.is_open() && by_time.is_open());
}

/// Bug 14. Cause: cloning a breaker, or applying a layer twice, made a second breaker with a state
/// of its own, and neither saw enough failures (acton-service#44). This one is not `Clone`: it is
/// shared by reference or `Arc`.
#[test]
pub(crate) fn a_breaker_is_shared_and_never_copied() {
    /// Implemented twice for what is `Clone`, so that the call below would be ambiguous.
    trait NotClone<Which> {
        fn holds() -> bool {
            true
        }
    }
    struct ItIsClone;
    impl<T: ?Sized> NotClone<()> for T {}
    impl<T: Clone> NotClone<ItIsClone> for T {}
    assert!(<CircuitBreaker<&Millis> as NotClone<_>>::holds());

    let clock = Millis::new();
    let breaker = Arc::new(CircuitBreaker::new(config().consecutive_failures(2), &clock));
    let (one, other) = (Arc::clone(&breaker), &*breaker);
    one.permit().unwrap().failure();
    other.permit().unwrap().failure();
    assert!(breaker.is_open() && one.is_open() && other.is_open());
    clock.advance(OPEN);
    // A permit may own its share, for a call that outlives the caller.
    let probe = Permit::enter(Arc::clone(&breaker)).unwrap();
    probe.success();
    assert_eq!(one.state(), State::Closed);
}

/// Bug 15. Cause: each open/close cycle leaked 302 bytes (recloser 1.4). Nothing here allocates,
/// which the allocation audit shows with a counting allocator; what a cycle could still exhaust is
/// the word's generation, and that comes round.
#[test]
pub(crate) fn a_cycle_leaves_nothing_behind() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(config(), &clock);
    for _ in 0..100_000 {
        breaker.permit().unwrap().failure();
        assert!(breaker.is_open());
        clock.advance(OPEN);
        breaker.permit().unwrap().success();
        assert_eq!(breaker.state(), State::Closed);
    }
}

/// Bug 16. Cause: the callback for a state change ran under the lock of the breaker, and deadlocked
/// when it asked the breaker anything (gobreaker#37). Here it runs after the change, under no lock:
/// it may do whatever a caller may.
#[test]
pub(crate) fn a_callback_may_use_the_breaker() {
    type Observed<'a> = CircuitBreaker<&'a Millis, fusebox_core::Consecutive, Meter, Named<'a>>;
    type Named<'a> = fusebox_core::Named<&'a Reentrant<'a>>;

    #[derive(Default)]
    struct Reentrant<'a> {
        breaker: RefCell<Option<&'a Observed<'a>>>,
        seen: RefCell<Vec<State>>,
        depth: Cell<u32>,
    }

    impl Observer for &Reentrant<'_> {
        fn on_event(&self, _: &Event<'_>) {
            let breaker = self.breaker.borrow().expect("set before the first event");
            // What it does itself causes events, too.
            if self.depth.get() > 0 {
                return;
            }
            self.depth.set(1);
            self.seen.borrow_mut().push(breaker.state());
            assert_eq!(breaker.snapshot().state, breaker.state());
            if let Ok(permit) = breaker.permit() {
                permit.ignore();
            }
            if breaker.state() == State::Open {
                breaker.reset();
            }
            self.depth.set(0);
        }
    }

    let clock = Box::leak(Box::new(Millis::new()));
    let observer: &Reentrant<'_> = Box::leak(Box::default());
    let breaker: &Observed<'_> = Box::leak(Box::new(
        CircuitBreaker::new(config(), &*clock).metered(Meter::new()).observed_by("db", observer),
    ));
    *observer.breaker.borrow_mut() = Some(breaker);
    breaker.permit().unwrap().failure();
    assert_eq!(*observer.seen.borrow(), [State::Open]);
    assert_eq!(breaker.state(), State::Closed, "the callback reset it");
    breaker.force_open();
    assert!(breaker.permit().is_err());
    assert_eq!(*observer.seen.borrow(), [State::Open, State::ForcedOpen, State::ForcedOpen]);
    assert_eq!(breaker.snapshot().running, Some(0));
}

/// Bug 16, second part. Cause: a window under 5 ms was divided into buckets of length 0, and the
/// division by it panicked (failsafe 1.3). Here each length either works or is refused with one
/// that does.
#[test]
pub(crate) fn a_window_of_any_length_works_or_is_a_config_error() {
    any_length::<1, 1_000>();
    any_length::<10, 1_000>();
    any_length::<16, 1_000>();
    any_length::<3, 32_768>();
    any_length::<10, 1_000_000>();
    any_length::<16, 1_000_000_000>();
    any_length::<7, 10_000_000_000>();
}

fn any_length<const B: usize, const HZ: u64>() {
    let tick = |ticks: u64| fusebox_core::duration_from_ticks(ticks, HZ);
    let lengths = (1..300).chain((9..50).map(|bits| 1 << bits));
    for lateness in [0, 1, HZ / 1_000, HZ, 3_600 * HZ] {
        for length in lengths.clone() {
            match works::<B, HZ>(tick(length), tick(lateness)) {
                Ok(()) => {}
                Err(ConfigError::DurationOutOfRange { value, min, max, .. }) => {
                    assert!(value < min && min <= max, "{value:?} is from {min:?} to {max:?}");
                    let least = works::<B, HZ>(min, tick(lateness));
                    assert_eq!(least, Ok(()), "{min:?} was said to be enough");
                }
                Err(other) => panic!("{other}"),
            }
        }
        if WORD_BITS == 64 {
            assert_eq!(works::<B, HZ>(tick(5), tick(0)), Ok(()), "a few ticks are enough");
        }
    }
}

/// Whether a window of this length can be made; one that can must count, slide and trip.
fn works<const B: usize, const HZ: u64>(
    span: Duration,
    lateness: Duration,
) -> Result<(), ConfigError> {
    let clock = ManualClock::<HZ>::new();
    let rates = Rates::failures(Ratio::percent(100)).minimum_calls(2);
    let window = LastTime::<&ManualClock<HZ>, B>::try_new(span, rates, lateness)?;
    let config = BreakerConfig::standard().without_consecutive_failures();
    let breaker = CircuitBreaker::with_window(config, window, &clock);
    breaker.permit().unwrap().failure();
    assert_eq!(breaker.snapshot().counts.failures, 1, "{span:?}");
    clock.advance(span);
    assert!(clock.now() > Ticks(0));
    assert_eq!(breaker.snapshot().counts.failures, 0, "{span:?} later");
    breaker.permit().unwrap().failure();
    assert_eq!(breaker.state(), State::Closed, "{span:?}");
    breaker.permit().unwrap().failure();
    assert_eq!(breaker.state(), State::Open, "{span:?}");
    Ok(())
}
