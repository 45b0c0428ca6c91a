//! The limits on the calls of a window that slides: the log and the counter.

use core::time::Duration;

use fusebox_core::{
    Clock, Gate, ManualClock, Outcome, Reason, SlidingLog, SlidingLogConfig, SlidingWindowConfig,
    SlidingWindowCounter,
};

use super::support::{EIGHTH, SECOND, reason, wait};
use crate::{Checked, Failure, ensure, ensure_eq};

/// Where a window is a little longer than asked: where words are 32 bits wide, by up to a 128th.
const LATER: Duration = Duration::from_millis(8);

type Log<'a, const N: usize, const HZ: u64> = SlidingLog<N, &'a ManualClock<HZ>>;

fn log<const N: usize, const HZ: u64>(clock: &ManualClock<HZ>) -> Result<Log<'_, N, HZ>, Failure> {
    SlidingLog::try_new(SlidingLogConfig::per_second(), clock)
        .map_err(|_| Failure::new("a second fits each clock"))
}

/// Four calls per second.
fn counter<const HZ: u64>(
    clock: &ManualClock<HZ>,
) -> Result<SlidingWindowCounter<&ManualClock<HZ>>, Failure> {
    SlidingWindowCounter::try_new(SlidingWindowConfig::per_second(4), clock)
        .map_err(|_| Failure::new("a second fits each clock"))
}

pub(super) fn no_window_holds_more<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let log = log::<3, HZ>(&clock)?;
    let mut granted = 0;
    for _ in 0..8 * 10 {
        granted += u32::from(log.try_acquire().is_ok());
        clock.advance(EIGHTH);
    }
    // In ten seconds three at a time, each three a second after the last ones or a little later.
    ensure!((27..=30).contains(&granted), "three a second");
    Ok(())
}

pub(super) fn a_place_is_free_when_it_says<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let log = log::<2, HZ>(&clock)?;
    ensure!(log.try_acquire().is_ok());
    clock.advance(EIGHTH);
    ensure!(log.try_acquire().is_ok());
    ensure_eq!(log.snapshot().used, 2);
    ensure!(reason(log.try_acquire()) == Some(Reason::RateLimited));
    let when = wait(log.try_acquire()).ok_or(Failure::new("it knows when"))?;
    ensure!(when == log.time_until());
    ensure!(
        when >= EIGHTH * 7 && when <= EIGHTH * 7 + LATER,
        "as the first call leaves the window"
    );
    clock.advance(when);
    ensure!(log.try_acquire().is_ok());
    ensure!(log.try_acquire().is_err(), "one place and no more");
    Ok(())
}

pub(super) fn a_call_that_never_ran_gives_its_place_back<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let log = log::<2, HZ>(&clock)?;
    for (outcome, left) in [
        (Outcome::Refused, 2),
        (Outcome::Success, 1),
        (Outcome::Refused, 1),
        (Outcome::Abandoned, 0),
    ] {
        let permit = log.permit().map_err(|_| Failure::new("a place is left"))?;
        permit.finish(outcome);
        ensure_eq!(log.snapshot().left(), left);
    }
    ensure!(log.permit().is_err());
    Ok(())
}

pub(super) fn a_late_reading_finds_no_place<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    clock.advance(SECOND * 10);
    let late = clock.now();
    clock.advance(EIGHTH);
    let log = log::<2, HZ>(&clock)?;
    ensure!(log.try_acquire().is_ok() && log.try_acquire().is_ok());
    for _ in 0..10 {
        ensure!(log.try_acquire_at(late).is_err(), "it sees all places taken");
    }
    clock.advance(SECOND + LATER);
    ensure!(log.try_acquire().is_ok(), "and keeps none longer");
    Ok(())
}

pub(super) fn what_is_past_counts_less_and_less<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let counter = counter(&clock)?;
    ensure!(counter.try_acquire(4).is_ok());
    ensure!(reason(counter.try_acquire(1)) == Some(Reason::RateLimited));
    ensure!(reason(counter.try_acquire(5)) == Some(Reason::ExceedsBurst));
    ensure!(counter.time_until(5).is_none());
    ensure!(counter.try_acquire(0).is_ok(), "nothing is always to be had");
    // Half way through the next window half of them count. Where words are 32 bits wide, a window
    // is longer by up to a 32nd.
    clock.advance(SECOND + EIGHTH * 4 + SECOND / 16);
    ensure_eq!(counter.snapshot().used, 2);
    ensure!(counter.try_acquire(2).is_ok());
    ensure!(counter.try_acquire(1).is_err());
    clock.advance(SECOND * 3);
    ensure_eq!(counter.snapshot().left(), 4);
    Ok(())
}

pub(super) fn the_estimate_says_when<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let counter = counter(&clock)?;
    ensure!(counter.try_acquire(4).is_ok());
    for calls in [1, 3, 2, 4] {
        let when = wait(counter.try_acquire(calls)).ok_or(Failure::new("it knows when"))?;
        ensure!(Some(when) == counter.time_until(calls));
        clock.advance(when);
        ensure!(counter.try_acquire(calls).is_ok());
    }
    Ok(())
}

pub(super) fn a_call_that_never_ran_is_not_counted<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let counter = counter(&clock)?;
    let early = counter.enter().map_err(|_| Failure::new("of four"))?;
    for _ in 0..10 {
        let permit = counter.permit().map_err(|_| Failure::new("of three"))?;
        permit.finish(Outcome::Refused);
    }
    ensure_eq!(counter.snapshot().used, 1);
    // In the window after its own, it still is one of those before.
    clock.advance(SECOND + EIGHTH);
    ensure_eq!(counter.snapshot().used, 1);
    counter.exit(early, Outcome::Refused);
    ensure_eq!(counter.snapshot().used, 0);
    Ok(())
}
