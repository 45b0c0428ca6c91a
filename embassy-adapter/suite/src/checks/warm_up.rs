//! The warm-up limiter.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{
    Clock, Deadline, Gate, ManualClock, Outcome, Rate, Reason, WarmUp, WarmUpConfig,
};

use super::support::{EIGHTH, SECOND, reason, wait};
use crate::{Checked, Failure, ensure, poll_once};

/// Eight per second, warm after four seconds.
const CONFIG: WarmUpConfig = WarmUpConfig::new(Rate::per_second(8), Duration::from_secs(4));

/// An interval; where words are 32 bits wide, up to a 64th longer than an eighth, and a tick.
const LATER: Duration = Duration::from_millis(128);

type Limit<'a, const HZ: u64> = WarmUp<&'a ManualClock<HZ>>;

fn limit<const HZ: u64>(clock: &ManualClock<HZ>) -> Limit<'_, HZ> {
    WarmUp::new(CONFIG, clock)
}

/// Calls as soon as they may come, so many.
fn work<const HZ: u64>(limit: &Limit<'_, HZ>, clock: &ManualClock<HZ>, calls: u32) -> Checked {
    for _ in 0..calls {
        clock.advance(limit.time_until());
        ensure!(limit.try_acquire().is_ok());
    }
    Ok(())
}

pub(super) fn it_is_slow_at_first_and_warms_up<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = limit(&clock);
    ensure!(limit.level() >= SECOND * 4 - EIGHTH / 8, "cold");
    ensure!(limit.try_acquire().is_ok());
    ensure!(reason(limit.try_acquire()) == Some(Reason::RateLimited));
    let cold = wait(limit.try_acquire()).ok_or(Failure::new("it knows when"))?;
    ensure!(cold > EIGHTH * 2 && cold < LATER * 3, "almost three intervals");
    work(&limit, &clock, 50)?;
    let warm = limit.time_until();
    ensure!(warm >= EIGHTH - EIGHTH / 8 && warm <= LATER, "an interval");
    ensure!(limit.level() < EIGHTH);
    Ok(())
}

pub(super) fn a_pause_cools_it_down<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = limit(&clock);
    work(&limit, &clock, 50)?;
    clock.advance(SECOND * 10);
    ensure!(limit.level() >= SECOND * 4 - EIGHTH / 8, "cold again");
    ensure!(limit.try_acquire().is_ok());
    ensure!(limit.try_acquire().is_err(), "and no burst");
    ensure!(limit.time_until() > EIGHTH * 2);
    Ok(())
}

pub(super) fn a_call_that_never_ran_warms_nothing_up<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = limit(&clock);
    let level = limit.level();
    for _ in 0..50 {
        let permit = limit.permit().map_err(|_| Failure::new("as if nobody had come"))?;
        permit.finish(Outcome::Refused);
    }
    ensure!(limit.level() >= level);
    let permit = limit.permit().map_err(|_| Failure::new("as if nobody had come"))?;
    permit.finish(Outcome::Abandoned);
    ensure!(limit.permit().is_err());
    Ok(())
}

pub(super) fn tasks_take_turns<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = limit(&clock);
    work(&limit, &clock, 50)?;
    let (mut first, mut second) = (pin!(limit.acquire(&clock)), pin!(limit.acquire(&clock)));
    ensure!(poll_once(first.as_mut()).is_pending());
    ensure!(poll_once(second.as_mut()).is_pending());
    clock.advance(LATER);
    ensure!(poll_once(second.as_mut()).is_pending(), "the first comes first");
    ensure!(poll_once(first.as_mut()) == Poll::Ready(Ok(())));
    clock.advance(LATER);
    ensure!(poll_once(second.as_mut()) == Poll::Ready(Ok(())));
    Ok(())
}

pub(super) fn a_turn_given_up_makes_no_burst<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = limit(&clock);
    work(&limit, &clock, 50)?;
    let before = limit.time_until();
    {
        let mut last = pin!(limit.acquire(&clock));
        ensure!(poll_once(last.as_mut()).is_pending());
        ensure!(limit.time_until() > before);
    }
    ensure!(limit.time_until() == before, "the last turn is as if it had not been taken");
    let mut second = pin!(limit.acquire(&clock));
    let after = {
        let mut first = pin!(limit.acquire(&clock));
        ensure!(poll_once(first.as_mut()).is_pending());
        ensure!(poll_once(second.as_mut()).is_pending());
        limit.time_until()
    };
    ensure!(limit.time_until() == after, "nobody comes together with the second");
    Ok(())
}

pub(super) fn a_wait_in_vain_is_refused_at_once<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = limit(&clock);
    ensure!(limit.try_acquire().is_ok());
    let before = limit.time_until();
    let deadline = Deadline::after(&clock, EIGHTH);
    let Poll::Ready(refused) = poll_once(pin!(limit.acquire_before(&clock, deadline))) else {
        return Err(Failure::new("it does not wait in vain"));
    };
    ensure!(reason(refused) == Some(Reason::DeadlineExceeded));
    let soon = pin!(limit.acquire_timeout(&clock, EIGHTH));
    ensure!(matches!(poll_once(soon), Poll::Ready(Err(_))));
    ensure!(limit.time_until() == before, "and nothing is taken");
    Ok(())
}

pub(super) fn a_late_reading_loses<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    clock.advance(SECOND * 10);
    let late = clock.now();
    clock.advance(SECOND);
    let limit = limit(&clock);
    ensure!(limit.try_acquire().is_ok());
    let before = limit.time_until();
    for _ in 0..10 {
        ensure!(limit.try_acquire_at(late).is_err());
    }
    ensure!(limit.time_until() == before, "and changes nothing");
    Ok(())
}
