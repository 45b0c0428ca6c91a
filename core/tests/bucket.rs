//! The token bucket as its users see it: configurations, gates, reservations, futures, live
//! changes.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    BucketConfig, Clock, ConfigError, Deadline, Gate, ManualClock, Outcome, Rate, Reason, Ticks,
    TokenBucket, WORD_BITS, WaitGate,
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Every configuration in a coarse grid, on clocks of several speeds.
fn for_each_config(mut check: impl FnMut(BucketConfig, Rate)) {
    let counts = [1, 3, 7, 10, 999, 1_000, 44_100, 700_000_000, 999_999_999, 1_000_000_000];
    let rates = counts.into_iter().flat_map(|n| {
        [Rate::per_second(n), Rate::per_minute(n), Rate::per_hour(n), Rate::per_day(n)]
    });
    for rate in rates {
        for burst in [1, 2, 1_000, 10_000, 4_000_000_000] {
            for (wait, lateness) in [(0, 0), (0, 1_000), (1_000, 1_000), (60_000, 10), (0, 1)] {
                let (wait, lateness) = (MS * wait, MS * lateness);
                let config = BucketConfig::new(rate).burst(burst);
                check(config.max_wait(wait).max_lateness(lateness), rate);
            }
        }
    }
}

fn what_would_fit_fits<const HZ: u64>() {
    let (mut fit, mut told) = (0, 0);
    let made = |config| TokenBucket::try_new(config, ManualClock::<HZ>::new());
    for_each_config(|config, rate| match made(config) {
        Ok(bucket) => {
            let limit = if WORD_BITS == 64 { 1_000 } else { 1_000_000 };
            let error = bucket.rate_error(rate);
            let (short, of) = error.fraction();
            assert!(short * (1_000_000_000 / limit) < of, "{config:?}: {error:?}");
            assert!(u128::from(error.parts_per_billion()) <= limit);
            fit += 1;
        }
        Err(ConfigError::RateNeedsMoreBits {
            fitting_burst: burst,
            fitting_lateness: lateness,
            fitting_wait: wait,
            ..
        }) => {
            let others = [
                burst.map(|burst| config.burst(burst)),
                lateness.map(|lateness| config.max_lateness(lateness)),
                wait.map(|wait| config.max_wait(wait)),
            ];
            for other in others.into_iter().flatten() {
                assert!(made(other).is_ok(), "{config:?}: {other:?} should fit");
                told += 1;
            }
            // And they are the most that fits, but for the rounding of a unit; where none is told,
            // not even zero does.
            let more = |most: Option<Duration>| match most {
                Some(most) => most * 101 / 100 + Duration::from_micros(10 * 1_000_000 / HZ + 10),
                None => Duration::ZERO,
            };
            assert!(made(config.burst(burst.map_or(1, |burst| burst + 1))).is_err());
            assert!(made(config.max_lateness(more(lateness))).is_err(), "{config:?}");
            assert!(made(config.max_wait(more(wait))).is_err(), "{config:?}");
        }
        Err(error) => panic!("{config:?}: {error}"),
    });
    assert!(fit > 100 && told > 10, "{fit} fit, {told} were told what would");
}

#[test]
fn what_is_said_to_fit_fits() {
    what_would_fit_fits::<1_000_000_000>();
    what_would_fit_fits::<1_000_000>();
    what_would_fit_fits::<32_768>();
    what_would_fit_fits::<10_000_000_000>();
}

#[test]
fn defaults_fit_what_services_use() {
    let widest = if WORD_BITS == 64 { 1_000_000_000 } else { 500 };
    for n in [1, 2, 5, 10, 50, 100, 300, 500, 10_000, 44_100, 999_999_999, 1_000_000_000] {
        if n <= widest {
            let bucket = TokenBucket::try_new(
                BucketConfig::per_second(n),
                ManualClock::<1_000_000_000>::new(),
            );
            assert!(bucket.is_ok(), "{n} per second: {}", bucket.unwrap_err());
        }
    }
}

#[test]
fn bad_configurations_say_what_would_be_right() {
    let said = |config| {
        TokenBucket::try_new(config, ManualClock::<1_000>::new()).map(drop).unwrap_err().to_string()
    };
    for tokens in [0, 2_000_000_000] {
        assert_eq!(
            said(BucketConfig::per_second(tokens)),
            format!("the rate's `per_second` must be from 1 to 1000000000, but is {tokens}")
        );
    }
    for (config, name) in [
        (BucketConfig::per_minute(0), "per_minute"),
        (BucketConfig::per_hour(0), "per_hour"),
        (BucketConfig::per_day(0), "per_day"),
    ] {
        assert_eq!(said(config), format!("the rate's `{name}` must be at least 1, but is 0"));
    }
    for interval in [Duration::ZERO, Duration::from_secs(86_401)] {
        assert_eq!(
            said(BucketConfig::every(interval)),
            format!("the rate's `every` must be from 1ns to 86400s, but is {interval:?}")
        );
    }
    let burst = BucketConfig::per_second(1).burst(0);
    assert_eq!(said(burst), "the bucket's `burst` must be at least 1, but is 0");
    let initially = BucketConfig::per_second(1).burst(5).initially(6);
    assert_eq!(said(initially), "the bucket's `initially` must be at most 5, but is 6");
    let endless = BucketConfig::per_second(1).burst(5).max_wait(Duration::MAX);
    let start = "a word cannot hold the bucket's `burst` of 5, `max_wait` and `max_lateness` \
                 together at its rate: lower ";
    let text = said(endless);
    assert!(text.starts_with(&format!("{start}`max_wait` to ")), "{text}");
    assert!(!text.contains(", or"), "{text}");
    assert_eq!(said(endless.max_lateness(Duration::MAX)), format!("{start}more than one of them"));
}

/// An instance with its configuration and a clock of no size. The state is one word of it.
#[test]
fn an_instance_is_small() {
    struct Unit;
    impl Clock for Unit {
        const TICKS_PER_SECOND: u64 = 1_000;
        fn now(&self) -> Ticks {
            Ticks(0)
        }
    }
    let most = if WORD_BITS == 64 { 80 } else { 48 };
    assert!(size_of::<TokenBucket<Unit>>() <= most, "{}", size_of::<TokenBucket<Unit>>());
}

#[test]
fn a_static_bucket_is_full_whatever_the_clock_reads() {
    static BUCKET: TokenBucket<ManualClock> =
        TokenBucket::new(BucketConfig::per_second(10).burst(5), ManualClock::new());
    for now in [Ticks(0), Ticks(1 << 31), Ticks(1 << 63), Ticks::MAX] {
        assert_eq!(BUCKET.peek_at(now), 5);
    }
    assert!(BUCKET.try_acquire_at(5, Ticks(1 << 63)).is_ok());
    assert!(BUCKET.try_acquire_at(1, Ticks(1 << 63)).is_err());
}

#[test]
fn an_initially_empty_bucket_fills_from_its_first_use() {
    let clock: ManualClock = ManualClock::new();
    let config = BucketConfig::per_second(10).burst(5);
    let empty = TokenBucket::new(config.initially(0), &clock);
    clock.advance(SECOND);
    let refused = empty.try_acquire(1).unwrap_err();
    assert!(refused.retry_after().unwrap() >= 100 * MS);
    clock.advance(refused.retry_after().unwrap());
    assert!(empty.try_acquire(1).is_ok());
    let half = TokenBucket::new(config.initially(2), &clock);
    assert!(half.try_acquire(2).is_ok());
    assert!(half.try_acquire(1).is_err());
}

#[test]
fn several_buckets_are_all_or_nothing() {
    let clock: ManualClock = ManualClock::new();
    let calls = TokenBucket::new(BucketConfig::per_second(10).burst(10), &clock);
    let bytes = TokenBucket::new(BucketConfig::per_second(100).burst(100), &clock);
    let both = (&calls, bytes.of(60));
    assert_eq!(both.call(|| Ok::<_, ()>(1)), Ok(1));
    assert_eq!((calls.peek(), bytes.peek()), (9, 40));
    for _ in 0..20 {
        let refused = both.permit().unwrap_err();
        assert_eq!(refused.reason(), Reason::RateLimited);
    }
    assert_eq!((calls.peek(), bytes.peek()), (9, 40), "what was refused took nothing");
    let never = (&calls, bytes.of(101)).permit().unwrap_err();
    assert_eq!((never.reason(), never.retry_after()), (Reason::ExceedsBurst, None));
    assert_eq!(calls.peek(), 9);
}

#[test]
fn only_a_call_that_never_ran_gets_its_tokens_back() {
    let clock: ManualClock = ManualClock::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(1).burst(5), &clock);
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let token = bucket.enter().unwrap();
        bucket.exit(token, outcome);
    }
    assert_eq!(bucket.peek(), 1);
    let token = bucket.enter().unwrap();
    bucket.exit(token, Outcome::Refused);
    assert_eq!(bucket.peek(), 1);
}

#[test]
fn giving_back_never_makes_a_burst_and_a_half() {
    let clock: ManualClock = ManualClock::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(10), &clock);
    let held = bucket.reserve(10).unwrap();
    clock.advance(500 * MS);
    let taken = bucket.peek();
    assert!((4..=5).contains(&taken) && bucket.try_acquire(taken).is_ok());
    // Five tokens came while ten were out. Had those not been taken, five would have had no room.
    held.cancel();
    assert!(bucket.peek() + taken <= 10, "{} on top of {taken} at one instant", bucket.peek());
    let waiting = bucket.reserve(bucket.peek() + 3).unwrap();
    let before = bucket.time_until(1);
    let exact = bucket.reserve(2).unwrap();
    clock.advance(100 * MS);
    exact.cancel();
    assert_eq!(bucket.time_until(1), before.map(|wait| wait - 100 * MS), "before it is ready: all");
    waiting.commit();
}

#[test]
fn a_refund_fills_no_further_than_full() {
    let clock: ManualClock = ManualClock::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(10), &clock);
    bucket.refund(1);
    assert_eq!(bucket.peek(), 10);
    bucket.try_acquire(4).unwrap();
    bucket.refund(3);
    assert_eq!(bucket.peek(), 9);
    bucket.refund(u32::MAX);
    assert_eq!(bucket.peek(), 10);
}

#[test]
fn a_refund_across_a_change_of_rate_mints_nothing() {
    let clock: ManualClock = ManualClock::new();
    for (from, to) in [(10, 100), (100, 10)] {
        let bucket = TokenBucket::new(BucketConfig::per_second(from).burst(10), &clock);
        let held = bucket.reserve(4).unwrap();
        bucket.try_acquire(6).unwrap();
        bucket.set_rate(Rate::per_second(to)).unwrap();
        assert_eq!(bucket.peek(), 0);
        held.cancel();
        assert!(bucket.peek() <= 4);
    }
}

#[test]
fn live_changes_keep_the_tokens() {
    let clock: ManualClock = ManualClock::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(10), &clock);
    bucket.try_acquire(10).unwrap();
    bucket.set_rate(Rate::per_second(5)).unwrap();
    assert_eq!(bucket.peek(), 0, "no burst out of a lower rate");
    bucket.set_burst(15).unwrap();
    assert_eq!((bucket.peek(), bucket.burst()), (0, 15), "nor out of a larger burst");
    clock.advance(2 * SECOND);
    assert!((9..=10).contains(&bucket.peek()));
    bucket.set_burst(4).unwrap();
    assert_eq!(bucket.peek(), 4);
    assert_eq!(bucket.try_acquire(5).unwrap_err().reason(), Reason::ExceedsBurst);
    assert!(matches!(bucket.set_burst(0), Err(ConfigError::OutOfRange { .. })));
    assert!(matches!(bucket.set_rate(Rate::per_second(0)), Err(ConfigError::OutOfRange { .. })));
    let needs = bucket.set_rate(Rate::per_day(1)).and_then(|()| bucket.set_burst(u32::MAX));
    assert!(needs.is_err());
}

#[test]
fn an_acquire_waits_for_its_turn_and_gives_it_up_when_dropped() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(1), &clock);
    let unpolled = bucket.acquire(timer, 1);
    assert_eq!(bucket.peek(), 1, "nothing is taken before the first poll");
    drop(unpolled);
    assert!(pollster::block_on(bucket.acquire(timer, 1)).is_ok());
    let mut first = pin!(bucket.acquire(timer, 1));
    assert!(poll(first.as_mut()).is_pending());
    {
        let mut second = pin!(bucket.acquire(timer, 1));
        assert!(poll(second.as_mut()).is_pending());
        assert!(bucket.time_until(1).unwrap() > 299 * MS);
    }
    let wait = bucket.time_until(1).unwrap();
    assert!(wait >= 200 * MS && wait < 201 * MS, "the second turn is free again");
    clock.advance(101 * MS);
    assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn a_wait_that_would_be_in_vain_fails_at_once_and_takes_nothing() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let config = BucketConfig::per_second(10).burst(1).max_wait(250 * MS);
    let bucket = TokenBucket::new(config, &clock);
    bucket.try_acquire(1).unwrap();
    let before = bucket.time_until(1);
    let now = |future| pollster::block_on(future);
    let soon = Deadline::after(&clock, 50 * MS);
    let refused = now(bucket.acquire_before(timer, 1, soon)).unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::DeadlineExceeded, None));
    let passed = now(bucket.acquire_before(timer, 1, Deadline::at(Ticks(0)))).unwrap_err();
    assert_eq!(passed.reason(), Reason::DeadlineExceeded);
    assert_eq!(now(bucket.acquire(timer, 2)).unwrap_err().reason(), Reason::ExceedsBurst);
    assert_eq!(bucket.time_until(1), before);
    let (a, b) = (bucket.reserve(1).unwrap(), bucket.reserve(1).unwrap());
    let far = now(bucket.acquire_before(timer, 1, Deadline::after(&clock, 280 * MS))).unwrap_err();
    assert_eq!(far.reason(), Reason::RateLimited);
    let come_back = far.retry_after().unwrap();
    assert!(
        come_back > 40 * MS && come_back < 60 * MS,
        "{come_back:?}: when a turn can be reserved"
    );
    clock.advance(come_back);
    drop((a, b));
    assert!(bucket.reserve(1).is_ok());
}

#[test]
fn a_limit_of_the_wait_refuses_as_the_buckets_own_does() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let config = BucketConfig::per_second(10).burst(1).max_wait(250 * MS);
    let bucket = TokenBucket::new(config, &clock);
    let now = |future| pollster::block_on(future);
    assert!(now(bucket.acquire_timeout(timer, 1, Duration::ZERO)).is_ok(), "what is there");
    let before = bucket.time_until(1);
    for limit in [Duration::ZERO, 30 * MS, 90 * MS] {
        let refused = now(bucket.acquire_timeout(timer, 1, limit)).unwrap_err();
        let come_back = refused.retry_after().unwrap();
        assert_eq!(refused.reason(), Reason::RateLimited);
        assert!(come_back >= 99 * MS - limit && come_back <= 101 * MS - limit, "{come_back:?}");
    }
    assert_eq!(
        now(bucket.acquire_timeout(timer, 2, MS)).unwrap_err().reason(),
        Reason::ExceedsBurst
    );
    assert_eq!(bucket.time_until(1), before, "refusals take nothing");

    let mut turn = pin!(bucket.acquire_timeout(timer, 1, 110 * MS));
    clock.advance(60 * MS); // The limit counts from the first poll, as the tokens do.
    assert!(poll(turn.as_mut()).is_pending());
    let mut next = pin!(bucket.acquire_timeout(timer, 1, 160 * MS));
    assert!(poll(next.as_mut()).is_pending());
    let mut last = pin!(bucket.acquire_timeout(timer, 1, Duration::MAX));
    assert!(poll(last.as_mut()).is_pending());
    let beyond_max_wait = now(bucket.acquire_timeout(timer, 1, Duration::MAX)).unwrap_err();
    assert_eq!(beyond_max_wait.reason(), Reason::RateLimited);
    clock.advance(41 * MS);
    assert_eq!(poll(turn.as_mut()), Poll::Ready(Ok(())));
    clock.advance(100 * MS);
    assert_eq!(poll(next.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn the_timer_may_run_on_another_clock() {
    let clock = ManualClock::<32_768>::new();
    let millis = ManualClock::<1_000>::new();
    let timer = &millis;
    let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(1), &clock);
    bucket.try_acquire(1).unwrap();
    let mut turn = pin!(bucket.acquire_before(timer, 1, Deadline::at(Ticks(102))));
    assert!(poll(turn.as_mut()).is_pending());
    millis.set(Ticks(100));
    assert!(poll(turn.as_mut()).is_pending(), "100 ms are 3277 ticks, and those are 101 ms");
    millis.set(Ticks(102));
    assert_eq!(poll(turn.as_mut()), Poll::Ready(Ok(())));
    let limited = bucket.acquire_timeout(timer, 1, 210 * MS);
    let mut limited = pin!(limited);
    assert!(poll(limited.as_mut()).is_pending(), "the limit is a time, whatever the clocks' ticks");
    let soon = bucket.acquire_before(timer, 1, Deadline::at(Ticks(150)));
    assert_eq!(pollster::block_on(soon).unwrap_err().reason(), Reason::DeadlineExceeded);
}

/// A timer of longer ticks than the clock's reads up to one of them behind it. A wait that was
/// counted from such a reading, though rounded up, ended before the token was there.
#[test]
fn a_coarse_timer_is_not_early() {
    let clock = ManualClock::<10_000>::new();
    let millis = ManualClock::<1_000>::new();
    let timer = &millis;
    let bucket = TokenBucket::new(BucketConfig::per_second(1_000).burst(1), &clock);
    // 10.9 ms, of which the timer shows 10: the token is due at 11.9.
    clock.set(Ticks(109));
    millis.set(Ticks(10));
    bucket.try_acquire(1).unwrap();
    let mut turn = pin!(bucket.acquire(&timer, 1));
    assert!(poll(turn.as_mut()).is_pending());
    clock.set(Ticks(110));
    millis.set(Ticks(11));
    assert!(poll(turn.as_mut()).is_pending(), "0.9 ms early");
    clock.set(Ticks(120));
    millis.set(Ticks(12));
    assert_eq!(poll(turn.as_mut()), Poll::Ready(Ok(())));
}

#[test]
fn waiting_at_several_buckets_gives_back_what_the_others_refused() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let calls = TokenBucket::new(BucketConfig::per_second(10).burst(2), &clock);
    let config = BucketConfig::per_second(1).burst(1).max_wait(Duration::ZERO);
    let jobs = TokenBucket::new(config, &clock);
    let both = (&calls, jobs.of(1));
    assert!(pollster::block_on(both.wait_enter(timer, Deadline::NEVER)).is_ok());
    assert_eq!((calls.peek(), jobs.peek()), (1, 0));
    assert!(pollster::block_on(both.wait_enter(timer, Deadline::NEVER)).is_err());
    assert_eq!(calls.peek(), 1);
}

#[test]
fn no_input_overflows() {
    let extremes = [0, 1, u64::from(u32::MAX), 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX];
    for_each_config(|config, rate| {
        let Ok(bucket) = TokenBucket::try_new(config, ManualClock::<1_000_000_000>::new()) else {
            return;
        };
        for now in extremes.map(Ticks) {
            for n in [0, 1, 2, u32::MAX - 1, u32::MAX] {
                let _ = bucket.try_acquire_at(n, now);
                if let Ok(turn) = bucket.reserve_at(n, now) {
                    let _ = (turn.wait(), turn.ready_at());
                    turn.cancel_at(Ticks(now.0 ^ u64::MAX));
                }
                let _ = (bucket.peek_at(now), bucket.time_until_at(n, now));
                let _ = (bucket.set_rate_at(rate, now), bucket.set_burst_at(n, now));
                bucket.refund_at(n, now);
                assert!(bucket.try_acquire_at(0, now).is_ok());
            }
        }
    });
}
