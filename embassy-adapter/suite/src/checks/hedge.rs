//! Hedged calls.

use core::cell::Cell;
use core::future::{Future, poll_fn, ready};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{
    AfterPercentile, Attempt, BudgetConfig, Error, Hedge, HistogramConfig, ManualClock,
    PercentileConfig, Ratio, RetryBudget, WindowedHistogram,
};

use super::support::{EIGHTH, SECOND, finish};
use crate::{Checked, ensure, ensure_eq, poll_once};

/// Counts how many there are; ends with its number when `ends` says so.
struct Running<'a>(&'a Cell<u32>);

impl<'a> Running<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn until<'a>(
    running: &'a Cell<u32>,
    attempt: Attempt,
    ends: impl Fn(u32) -> bool + 'a,
) -> impl Future<Output = Result<u32, u32>> + 'a {
    let number = attempt.number;
    let mut one = None;
    poll_fn(move |_| {
        one.get_or_insert_with(|| Running::new(running));
        if ends(number) {
            return Poll::Ready(Ok(number));
        }
        Poll::Pending
    })
}

pub(super) fn the_first_to_succeed_is_the_answer<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let (running, winner) = (Cell::new(0), Cell::new(0));
    let hedge = Hedge::idempotent(EIGHTH).max_attempts::<3>();
    for number in 1..=3 {
        winner.set(0);
        let ends = |one| winner.get() == one;
        let mut call = pin!(hedge.call(&clock, |attempt| until(&running, attempt, ends)));
        for attempts in 1..=3 {
            ensure!(poll_once(call.as_mut()).is_pending());
            ensure_eq!(running.get(), attempts);
            clock.advance(EIGHTH);
        }
        ensure!(poll_once(call.as_mut()).is_pending());
        ensure_eq!(running.get(), 3, "no more than told");
        winner.set(number);
        ensure!(poll_once(call.as_mut()) == Poll::Ready(Ok(number)));
        ensure_eq!(running.get(), 0, "the others are dropped at once");
    }
    Ok(())
}

pub(super) fn a_fast_call_makes_one_attempt<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let hedge = Hedge::idempotent(EIGHTH);
    let answer = finish(hedge.call(&clock, |attempt: Attempt| ready(Ok::<_, ()>(attempt.number))));
    ensure!(answer == Poll::Ready(Ok(1)));
    let all_fail = |attempt: Attempt| ready(Err::<u32, _>(attempt.number));
    ensure!(finish(hedge.call(&clock, all_fail)) == Poll::Ready(Err(Error::Inner(2))));
    Ok(())
}

pub(super) fn it_is_paid_from_the_budget<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let budget = RetryBudget::new(
        BudgetConfig::new(Ratio::percent(20)).floor_per_second(1).reserve(1),
        &clock,
    );
    let hedge = Hedge::idempotent(EIGHTH).budget(&budget);
    for (attempts, what) in [(2, "the reserve"), (1, "nothing is left")] {
        let running = Cell::new(0);
        let mut call = pin!(hedge.call(&clock, |attempt| until(&running, attempt, |_| false)));
        ensure!(poll_once(call.as_mut()).is_pending());
        clock.advance(EIGHTH);
        ensure!(poll_once(call.as_mut()).is_pending());
        ensure_eq!(running.get(), attempts, what);
    }
    Ok(())
}

pub(super) fn it_waits_for_a_percentile<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let latencies: WindowedHistogram<_, 2, 6, 8> =
        WindowedHistogram::new(SECOND * 600, HistogramConfig::up_to(SECOND), &clock);
    let config = PercentileConfig::new(Ratio::percent(95), SECOND).minimum_calls(20);
    let slow = AfterPercentile::new(config, latencies);
    ensure!(slow.delay() == SECOND, "before anything is known");
    let hedge = Hedge::idempotent(&slow);
    for _ in 0..100 {
        let read = |_| {
            clock.advance(EIGHTH);
            ready(Ok::<_, ()>(()))
        };
        ensure!(finish(hedge.call(&clock, read)).is_ready());
    }
    ensure!(slow.delay().abs_diff(EIGHTH) <= Duration::from_millis(12), "what most calls take");
    Ok(())
}
