//! Timeouts and deadlines.

use core::future::{pending, ready};
use core::pin::pin;
use core::task::Poll;

use fusebox_core::{Clock, Deadline, Error, Gate, ManualClock, Reason, Ticks, Timeout};

use super::support::{EIGHTH, SECOND, reason};
use crate::{Checked, ensure, ensure_eq, poll_once};

pub(super) fn an_operation_is_cut_off_in_time<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let timeout = Timeout::new(SECOND);
    let mut limited = pin!(timeout.run(&clock, pending::<Result<(), ()>>()));
    clock.advance(SECOND * 5);
    ensure!(poll_once(limited.as_mut()).is_pending(), "the time counts from the first poll");
    clock.advance(EIGHTH * 7);
    ensure!(poll_once(limited.as_mut()).is_pending());
    clock.advance(EIGHTH);
    ensure!(poll_once(limited.as_mut()) == Poll::Ready(Err(Error::TimedOut)));
    ensure!(poll_once(limited).is_pending(), "an answer is given once");
    Ok(())
}

pub(super) fn what_is_done_beats_the_limit<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let none = Timeout::new(core::time::Duration::ZERO);
    ensure!(poll_once(pin!(none.run(&clock, ready(Ok::<_, ()>(7))))) == Poll::Ready(Ok(7)));
    let failed = Timeout::FAST.run(&clock, ready(Err::<(), _>(7)));
    ensure!(poll_once(pin!(failed)) == Poll::Ready(Err(Error::Inner(7))));
    ensure!(Timeout::FAST.or(Some(SECOND)).duration() == SECOND);
    ensure!(Timeout::FAST.or(None) == Timeout::FAST);
    Ok(())
}

pub(super) fn a_deadline_is_an_instant<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let deadline = Deadline::after(&clock, SECOND);
    ensure_eq!(deadline.remaining(&clock), SECOND);
    clock.advance(EIGHTH);
    ensure_eq!(deadline.remaining(&clock), EIGHTH * 7);
    ensure!(!deadline.expired(&clock));
    ensure!(deadline.min(Deadline::NEVER) == deadline);
    clock.advance(EIGHTH * 7);
    ensure!(deadline.expired(&clock), "at its instant it has passed");
    ensure!(deadline.remaining(&clock).is_zero());
    ensure!(!Deadline::NEVER.expired_at(Ticks(u64::MAX - 1)));
    ensure!(Deadline::at(clock.now()).ticks() == clock.now());
    Ok(())
}

pub(super) fn a_deadline_ends_what_runs_and_refuses_what_comes<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let deadline = Deadline::after(&clock, SECOND);
    let gate = deadline.on(&clock);
    ensure!(gate.call(|| Ok::<_, ()>(7)) == Ok(7));
    let mut runs = pin!(deadline.run(&clock, pending::<Result<(), ()>>()));
    ensure!(poll_once(runs.as_mut()).is_pending());
    clock.advance(SECOND);
    ensure!(poll_once(runs) == Poll::Ready(Err(Error::TimedOut)));
    ensure!(reason(gate.permit()) == Some(Reason::DeadlineExceeded));
    Ok(())
}
