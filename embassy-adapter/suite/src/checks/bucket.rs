//! The token bucket.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{
    BucketConfig, Clock, Deadline, Gate, LeakyBucket, ManualClock, Outcome, Rate, Reason,
    Reservation, TokenBucket,
};

use super::support::{EIGHTH, SECOND, is_about, reason, wait};
use crate::{Checked, Failure, advance_until, ensure, ensure_eq, poll_once};

/// A token every eighth of a second, and three at once.
const CONFIG: BucketConfig = BucketConfig::per_second(8).burst(3);

/// A little more than an eighth: the interval is rounded up.
const LATER: Duration = Duration::from_millis(126);

/// A bucket that has just become empty.
fn empty<const HZ: u64>(clock: &ManualClock<HZ>) -> Result<TokenBucket<&ManualClock<HZ>>, Failure> {
    let bucket = TokenBucket::new(CONFIG, clock);
    bucket.try_acquire(3).map_err(|_| Failure::new("the burst"))?;
    Ok(bucket)
}

pub(super) fn a_burst_and_then_the_rate<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = TokenBucket::new(CONFIG, &clock);
    for left in [2, 1, 0] {
        ensure!(bucket.try_acquire(1).is_ok());
        ensure_eq!(bucket.peek(), left);
    }
    ensure!(reason(bucket.try_acquire(1)) == Some(Reason::RateLimited));
    ensure!(is_about(wait(bucket.try_acquire(1)), EIGHTH));
    ensure!(is_about(bucket.time_until(3), EIGHTH * 3));
    clock.advance(EIGHTH - Duration::from_millis(1));
    ensure!(bucket.try_acquire(1).is_err(), "a moment early");
    clock.advance(Duration::from_millis(2));
    ensure!(bucket.try_acquire(1).is_ok());
    ensure!(bucket.try_acquire(1).is_err(), "one and no more");
    clock.advance(SECOND * 100);
    ensure_eq!(bucket.peek(), 3, "never more than the burst");
    Ok(())
}

pub(super) fn what_it_says_is_when<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    for tokens in [1, 3, 2] {
        let when = wait(bucket.try_acquire(tokens)).ok_or(Failure::new("it knows when"))?;
        clock.advance(when);
        ensure!(bucket.try_acquire(tokens).is_ok());
    }
    Ok(())
}

pub(super) fn polling_often_loses_nothing<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    let mut granted = 0;
    for _ in 0..1_000 {
        clock.advance(Duration::from_millis(7));
        granted += u32::from(bucket.try_acquire(1).is_ok());
    }
    // Seven seconds at eight per second; short by less than a thousandth, and by what is not a
    // whole token yet.
    ensure!((55..=56).contains(&granted), "exactly the rate");
    Ok(())
}

pub(super) fn more_than_it_ever_holds_is_refused_for_good<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = TokenBucket::new(CONFIG, &clock);
    ensure!(reason(bucket.try_acquire(4)) == Some(Reason::ExceedsBurst));
    ensure!(wait(bucket.try_acquire(4)).is_none());
    ensure!(bucket.time_until(4).is_none());
    ensure!(bucket.try_acquire(0).is_ok(), "nothing is always to be had");
    ensure_eq!(bucket.peek(), 3);
    Ok(())
}

pub(super) fn it_may_begin_with_less<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    clock.advance(SECOND * 50);
    let bucket = TokenBucket::new(CONFIG.initially(1), &clock);
    ensure!(bucket.try_acquire(2).is_err());
    ensure!(bucket.try_acquire(1).is_ok());
    ensure!(bucket.try_acquire(1).is_err());
    clock.advance(LATER);
    ensure!(bucket.try_acquire(1).is_ok());
    Ok(())
}

pub(super) fn a_refund_fills_it_no_further_than_full<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    bucket.refund(2);
    ensure_eq!(bucket.peek(), 2);
    bucket.refund(100);
    ensure_eq!(bucket.peek(), 3);
    ensure_eq!(bucket.burst(), 3);
    Ok(())
}

pub(super) fn as_a_gate_it_gives_back_only_what_never_ran<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = TokenBucket::new(CONFIG, &clock);
    for (outcome, left) in [
        (Outcome::Refused, 3),
        (Outcome::Success, 2),
        (Outcome::Failure, 1),
        (Outcome::Refused, 1),
        (Outcome::Abandoned, 0),
    ] {
        let permit = bucket.permit().map_err(|_| Failure::new("a token is left"))?;
        permit.finish(outcome);
        ensure_eq!(bucket.peek(), left);
    }
    bucket.refund(3);
    let two = bucket.of(2);
    ensure!(two.call(|| Ok::<_, ()>(())).is_ok());
    ensure!(two.call(|| Ok::<_, ()>(())).is_err());
    ensure_eq!(bucket.peek(), 1);
    Ok(())
}

pub(super) fn a_reservation_is_a_promise<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    // Three intervals, which may be a little longer than what was asked for.
    let bucket = TokenBucket::new(CONFIG.max_wait(EIGHTH * 3 + EIGHTH / 8), &clock);
    ensure!(bucket.try_acquire(3).is_ok());
    let reserve = |tokens| bucket.reserve(tokens).map_err(|_| Failure::new("within the wait"));
    let first = reserve(1)?;
    ensure!(is_about(Some(first.wait()), EIGHTH));
    let second = reserve(1)?;
    ensure!(is_about(Some(second.wait()), EIGHTH * 2));
    ensure_eq!(second.tokens(), 1);
    first.commit();
    second.cancel();
    let third = reserve(1)?;
    ensure!(is_about(Some(third.wait()), EIGHTH * 2), "what was cancelled is there for others");
    let ready = third.ready_at();
    third.commit();
    ensure!(ready >= clock.now());
    ensure!(reason(bucket.reserve(3).map(Reservation::commit)) == Some(Reason::RateLimited));
    ensure!(reason(bucket.reserve(4).map(Reservation::commit)) == Some(Reason::ExceedsBurst));
    drop(reserve(1)?);
    ensure!(is_about(bucket.time_until(1), EIGHTH * 3), "as long as the promises, and no longer");
    Ok(())
}

pub(super) fn what_was_held_past_its_time_comes_back_as_nothing<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = TokenBucket::new(CONFIG, &clock);
    let held = bucket.reserve(3).map_err(|_| Failure::new("the burst"))?;
    clock.advance(SECOND);
    ensure!(bucket.try_acquire(3).is_ok(), "time has paid for it");
    held.cancel();
    ensure!(bucket.try_acquire(1).is_err(), "no burst and a half");
    Ok(())
}

pub(super) fn a_task_waits_its_turn<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    let (mut first, mut second) =
        (pin!(bucket.acquire(&clock, 1)), pin!(bucket.acquire(&clock, 1)));
    ensure!(poll_once(first.as_mut()).is_pending());
    ensure!(poll_once(second.as_mut()).is_pending());
    clock.advance(LATER);
    ensure!(poll_once(second.as_mut()).is_pending(), "the first comes first");
    ensure!(poll_once(first.as_mut()) == Poll::Ready(Ok(())));
    clock.advance(LATER);
    ensure!(poll_once(second.as_mut()) == Poll::Ready(Ok(())));
    Ok(())
}

pub(super) fn a_wait_that_is_cancelled_costs_nothing<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    let unpolled = bucket.acquire(&clock, 1);
    ensure!(is_about(bucket.time_until(1), EIGHTH), "nothing is taken before the first poll");
    drop(unpolled);
    {
        let mut waits = pin!(bucket.acquire(&clock, 1));
        ensure!(poll_once(waits.as_mut()).is_pending());
        ensure!(is_about(bucket.time_until(1), EIGHTH * 2));
    }
    ensure!(is_about(bucket.time_until(1), EIGHTH));
    Ok(())
}

pub(super) fn a_wait_that_would_be_too_long_is_refused_at_once<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    let before = Deadline::after(&clock, EIGHTH / 2);
    let Poll::Ready(refused) = poll_once(pin!(bucket.acquire_before(&clock, 1, before))) else {
        return Err(Failure::new("it does not wait in vain"));
    };
    ensure!(reason(refused) == Some(Reason::DeadlineExceeded));
    let soon = pin!(bucket.acquire_timeout(&clock, 1, EIGHTH / 2));
    ensure!(matches!(poll_once(soon), Poll::Ready(Err(_))));
    ensure!(is_about(bucket.time_until(1), EIGHTH), "and nothing is taken");
    let in_time = bucket.acquire_before(&clock, 1, Deadline::after(&clock, SECOND));
    ensure!(advance_until(&clock, EIGHTH / 8, 20, in_time) == Some(Ok(())));
    Ok(())
}

pub(super) fn a_new_rate_brings_no_token<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = empty(&clock)?;
    ensure!(bucket.set_rate(Rate::per_second(4)).is_ok());
    ensure_eq!(bucket.peek(), 0);
    ensure!(is_about(bucket.time_until(1), EIGHTH * 2));
    ensure!(bucket.set_rate(Rate::per_second(8)).is_ok());
    ensure!(is_about(bucket.time_until(1), EIGHTH));
    clock.advance(LATER * 2);
    ensure!(bucket.set_burst(1).is_ok());
    ensure_eq!(bucket.peek(), 1);
    ensure!(bucket.set_burst(3).is_ok());
    ensure_eq!(bucket.peek(), 1, "a larger burst fills with time");
    ensure!(bucket.set_burst(0).is_err());
    ensure_eq!(bucket.burst(), 3);
    Ok(())
}

pub(super) fn the_rate_is_as_close_as_promised<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    for per_hour in [1, 7, 1_000, 86_399, 360_000] {
        let config = BucketConfig::per_hour(per_hour).burst(1);
        let bucket = TokenBucket::try_new(config, &clock)
            .map_err(|_| Failure::new("from one an hour to a hundred a second"))?;
        ensure!(bucket.rate_error(Rate::per_hour(per_hour)).parts_per_billion() <= 1_000_000);
    }
    ensure!(TokenBucket::try_new(CONFIG.burst(0), &clock).is_err());
    ensure!(TokenBucket::try_new(CONFIG.initially(4), &clock).is_err());
    Ok(())
}

pub(super) fn a_late_reading_loses<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    clock.advance(SECOND * 10);
    let late = clock.now();
    let bucket = TokenBucket::new(CONFIG.max_wait(Duration::ZERO), &clock);
    clock.advance(SECOND);
    ensure!(bucket.try_acquire(3).is_ok());
    for _ in 0..10 {
        ensure!(bucket.try_acquire_at(1, late).is_err(), "it sees a larger debt than there is");
    }
    ensure!(is_about(bucket.time_until(1), EIGHTH), "and changes nothing");
    Ok(())
}

pub(super) fn a_paced_one_has_slack_and_a_queue<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let paced = BucketConfig::paced(Rate::per_second(8));
    let strict = LeakyBucket::new(paced.max_queue(2), &clock);
    let slack = LeakyBucket::new(paced.slack(2), &clock);
    ensure!(strict.try_acquire(1).is_ok() && strict.try_acquire(1).is_err());
    ensure!(slack.try_acquire(3).is_ok() && slack.try_acquire(1).is_err());
    let reserve = || strict.reserve(1).map_err(|_| Failure::new("two may wait"));
    let (first, second) = (reserve()?, reserve()?);
    ensure!(is_about(Some(first.wait()), EIGHTH));
    ensure!(is_about(Some(second.wait()), EIGHTH * 2));
    ensure!(strict.reserve(1).is_err(), "and no third one");
    Ok(())
}
