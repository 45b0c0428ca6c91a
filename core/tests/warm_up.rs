//! The warm-up limiter as its users see it: the curve, configurations, what is given back.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    ConfigError, Deadline, Gate, ManualClock, Outcome, Rate, Reason, Ticks, WORD_BITS, WaitGate,
    WarmUp, WarmUpConfig,
};

const SECOND: Duration = Duration::from_secs(1);

/// 10 per second, 5 seconds to warm up.
const CONFIG: WarmUpConfig = WarmUpConfig::new(Rate::per_second(10), Duration::from_secs(5));

/// Calls as soon as it is let in, for so long; when each one came.
fn work(limit: &WarmUp<&ManualClock>, clock: &ManualClock, time: Duration) -> Vec<Duration> {
    let (start, mut calls) = (clock.elapsed(), Vec::new());
    while clock.elapsed() - start < time {
        limit.try_acquire().unwrap();
        calls.push(clock.elapsed() - start);
        clock.advance(limit.time_until());
    }
    calls
}

/// Guava's documentation, on the same settings: from cold to warm takes the time to warm up, in
/// which half as many permits are given out as at the stable rate; at first one for three.
#[test]
fn it_warms_up_in_the_time_it_says() {
    let clock: ManualClock = ManualClock::new();
    let limit = WarmUp::new(CONFIG, &clock);
    let calls = work(&limit, &clock, 20 * SECOND);
    let between = |from: u32, to: u32| {
        calls.iter().filter(|at| (from * SECOND..to * SECOND).contains(*at)).count()
    };
    // Where words are 32 bits wide, it warms up more slowly by up to 1 in 16.
    let few = if WORD_BITS == 64 { 25..=26 } else { 23..=26 };
    assert!(few.contains(&between(0, 5)), "{}", between(0, 5));
    assert!((99..=100).contains(&between(10, 20)), "{}", between(10, 20));
    let first = calls[1] - calls[0];
    assert!(first > 285 * SECOND / 1_000 && first <= 300 * SECOND / 1_000, "{first:?}");
    let pauses: Vec<Duration> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slack = Duration::from_millis(4);
    assert!(pauses.windows(2).all(|pair| pair[1] <= pair[0] + slack), "{pauses:?}");
}

#[test]
fn it_cools_down_as_fast_as_it_warms_up() {
    let clock: ManualClock = ManualClock::new();
    let limit = WarmUp::new(CONFIG, &clock);
    assert_eq!(limit.level().as_secs(), 5);
    work(&limit, &clock, 20 * SECOND);
    assert!(limit.level() < SECOND / 10);
    clock.advance(2 * SECOND);
    let level = limit.level();
    assert!(level > 19 * SECOND / 10 && level < 21 * SECOND / 10, "{level:?}");
    // Half of it is as good as warm.
    limit.try_acquire().unwrap();
    assert!(limit.time_until() <= Duration::from_millis(102));
    clock.advance(60 * SECOND);
    assert_eq!(limit.level().as_secs(), 5);
}

#[test]
fn only_a_call_that_never_ran_is_given_back() {
    let clock: ManualClock = ManualClock::new();
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let limit = WarmUp::new(CONFIG, &clock);
        limit.exit(limit.enter().unwrap(), outcome);
        assert_eq!(limit.enter().unwrap_err().reason(), Reason::RateLimited);
    }
    let limit = WarmUp::new(CONFIG, &clock);
    let cold = limit.level();
    for _ in 0..100 {
        limit.exit(limit.enter().unwrap(), Outcome::Refused);
    }
    assert!(limit.level() >= cold, "calls that never ran have warmed it up");
    // Held until its pause is over, it has cost what it has cost.
    let token = limit.enter().unwrap();
    clock.advance(limit.time_until());
    limit.try_acquire().unwrap();
    limit.exit(token, Outcome::Refused);
    assert!(limit.try_acquire().is_err());
}

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Warm, with nobody waiting and the last pause just over.
fn warm(config: WarmUpConfig, clock: &ManualClock) -> WarmUp<&ManualClock> {
    let limit = WarmUp::new(config, clock);
    work(&limit, clock, 20 * SECOND);
    limit
}

#[test]
fn an_acquire_waits_for_its_turn_and_gives_it_up_when_dropped() {
    let clock: ManualClock = ManualClock::new();
    let (limit, timer) = (warm(CONFIG, &clock), &clock);
    let unpolled = limit.acquire(timer);
    assert_eq!(limit.time_until(), Duration::ZERO, "nothing is taken before the first poll");
    drop(unpolled);
    assert!(pollster::block_on(limit.acquire(timer)).is_ok(), "what is there already");
    let (one, level) = (limit.time_until(), limit.level());
    let mut first = pin!(limit.acquire(timer));
    assert!(poll(first.as_mut()).is_pending());
    let two = limit.time_until();
    {
        let mut second = pin!(limit.acquire(timer));
        assert!(poll(second.as_mut()).is_pending());
        assert!(limit.time_until() >= 3 * one);
    }
    assert_eq!(limit.time_until(), two, "the second turn is free again");
    assert_eq!(limit.level(), level);
    clock.advance(one - Duration::from_nanos(1));
    assert!(poll(first.as_mut()).is_pending());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
    assert!(poll(first.as_mut()).is_pending(), "it has had its answer");
}

/// As a call made at its turn would have been: the curve is the same whether callers come back or
/// wait, and however far ahead they take their turns.
#[test]
fn those_who_wait_are_let_in_along_the_same_curve() {
    let clock: ManualClock = ManualClock::new();
    let (asking, waiting) = (ManualClock::new(), &clock);
    let config = CONFIG.max_wait(20 * SECOND);
    let calls = work(&WarmUp::new(config, &asking), &asking, 10 * SECOND);
    let limit = WarmUp::new(config, &clock);
    // All at once, at the beginning.
    let mut turns: Vec<_> = calls.iter().map(|_| Box::pin(limit.acquire(waiting))).collect();
    for (turn, at) in turns.iter_mut().zip(&calls) {
        assert_eq!(poll(turn.as_mut()).is_pending(), !at.is_zero());
    }
    for (turn, at) in turns.iter_mut().zip(&calls).skip(1) {
        waiting.advance(*at - waiting.elapsed() - Duration::from_nanos(1));
        assert!(poll(turn.as_mut()).is_pending(), "{at:?}");
        waiting.advance(Duration::from_nanos(1));
        assert_eq!(poll(turn.as_mut()), Poll::Ready(Ok(())), "{at:?}");
    }
}

/// A turn in the middle goes unused. Would it shorten the queue, the next caller would come at the
/// same instant as the last of those who wait.
#[test]
fn a_turn_that_others_wait_behind_is_lost() {
    let clock: ManualClock = ManualClock::new();
    let (limit, timer) = (warm(CONFIG, &clock), &clock);
    let mut turns: Vec<_> = (0..4).map(|_| Box::pin(limit.acquire(timer))).collect();
    for turn in &mut turns {
        let _ = poll(turn.as_mut());
    }
    let until = limit.time_until();
    drop(turns.remove(2));
    assert_eq!(limit.time_until(), until);
    let mut next = pin!(limit.acquire(timer));
    assert!(poll(next.as_mut()).is_pending());
    clock.advance(until - Duration::from_nanos(1));
    assert!(turns.iter_mut().skip(1).all(|turn| poll(turn.as_mut()).is_ready()));
    assert!(poll(next.as_mut()).is_pending(), "two in one pause");
    clock.advance(Duration::from_nanos(1));
    assert!(poll(next.as_mut()).is_ready());
}

#[test]
fn a_wait_that_would_be_in_vain_fails_at_once_and_takes_nothing() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let ms = Duration::from_millis(1);
    let limit = warm(CONFIG.max_wait(250 * ms), timer);
    let now = |future| pollster::block_on(future);
    limit.try_acquire().unwrap();
    let before = limit.time_until();
    let soon = Deadline::after(timer, 50 * ms);
    let refused = now(limit.acquire_before(timer, soon)).unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::DeadlineExceeded, None));
    let passed = now(limit.acquire_before(timer, Deadline::at(Ticks(0)))).unwrap_err();
    assert_eq!(passed.reason(), Reason::DeadlineExceeded);
    for time in [Duration::ZERO, 30 * ms, 90 * ms] {
        let refused = now(limit.acquire_timeout(timer, time)).unwrap_err();
        assert_eq!(refused.reason(), Reason::RateLimited);
        let come_back = refused.retry_after().unwrap();
        // Where words are 32 bits wide, to a unit of a 64th of an interval.
        assert!(come_back.abs_diff(before - time) <= 2 * ms, "{come_back:?}");
    }
    assert_eq!(limit.time_until(), before, "refusals take nothing");
    let mut turns = [(); 2].map(|()| Box::pin(limit.acquire(timer)));
    assert!(turns.iter_mut().all(|turn| poll(turn.as_mut()).is_pending()));
    let far = now(limit.acquire_before(timer, Deadline::after(timer, 280 * ms))).unwrap_err();
    assert_eq!(far.reason(), Reason::RateLimited, "too far with any deadline");
    clock.advance(far.retry_after().unwrap());
    let entering = limit.wait_enter(timer, Deadline::NEVER);
    assert!(poll(pin!(entering)).is_pending());
}

#[test]
fn a_panic_of_the_timer_gives_the_turn_back() {
    struct Broken<'a>(&'a ManualClock);
    impl fusebox_core::Clock for Broken<'_> {
        const TICKS_PER_SECOND: u64 = 1_000_000_000;
        fn now(&self) -> Ticks {
            fusebox_core::Clock::now(self.0)
        }
    }
    impl fusebox_core::Timer for Broken<'_> {
        type Sleep = std::future::Ready<()>;
        fn sleep_until(&self, _: Ticks) -> Self::Sleep {
            panic!("out of timers")
        }
    }
    let clock: ManualClock = ManualClock::new();
    let limit = warm(CONFIG, &clock);
    limit.try_acquire().unwrap();
    let before = limit.time_until();
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pollster::block_on(limit.acquire(Broken(&clock)))
    }));
    assert!(broken.is_err());
    assert_eq!(limit.time_until(), before);
}

#[test]
fn bad_configurations_say_what_would_be_right() {
    let made = |config| WarmUp::try_new(config, ManualClock::<1_000_000_000>::new()).map(drop);
    assert_eq!(
        made(WarmUpConfig::new(Rate::per_second(0), SECOND)).unwrap_err().summary(),
        "the rate's `per_second` must be from 1 to 10^9"
    );
    let zero = made(WarmUpConfig::new(Rate::per_second(1), Duration::ZERO)).unwrap_err();
    assert!(zero.summary().starts_with("the time to warm up must be at least a tick"), "{zero}");
    // What is said to fit fits, and much more does not.
    for rate in [1, 50, 1_000] {
        let ms = Duration::from_millis(1);
        let config = |warm_up| {
            WarmUpConfig::new(Rate::per_second(rate), warm_up).max_wait(ms).max_lateness(ms)
        };
        let error = made(config(1_000_000 * SECOND * 100)).unwrap_err();
        let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
        assert!(made(config(max)).is_ok(), "{error}");
        assert!(made(config(2 * max)).is_err(), "{error}");
    }
    let late = WarmUpConfig::new(Rate::per_second(1_000_000), Duration::from_micros(50));
    let late = late.max_wait(Duration::ZERO);
    let error = made(late.max_lateness(3_600 * SECOND)).unwrap_err();
    assert!(error.summary().starts_with("the `max_lateness` of a warm-up must not"), "{error}");
    let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
    assert!(made(late.max_lateness(max)).is_ok(), "{error}");
    let wait = late.max_lateness(Duration::ZERO).max_wait(3_600 * SECOND);
    let error = made(wait).unwrap_err();
    assert!(error.summary().starts_with("the `max_wait` of a warm-up must not"), "{error}");
    let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
    assert!(made(wait.max_wait(max)).is_ok(), "{error}");
    assert!(made(wait.max_wait(2 * max)).is_err(), "{error}");
}

#[test]
fn a_clock_set_back_for_good_is_one_call_more() {
    let clock: ManualClock = ManualClock::new();
    let limit = WarmUp::new(CONFIG, &clock);
    let at = |seconds: u64| Ticks(seconds * 1_000_000_000);
    assert!(limit.try_acquire_at(at(100)).is_ok());
    assert!(limit.try_acquire_at(at(99)).is_err(), "as late as is supported");
    assert!(limit.try_acquire_at(at(10)).is_ok());
    assert!(limit.try_acquire_at(at(10)).is_err());
}
