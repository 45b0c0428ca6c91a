//! The algebra of gates.

use core::future::{pending, ready};
use core::pin::pin;
use core::task::Poll;

use fusebox_core::{
    BucketConfig, Deadline, Error, FailureIf, Gate, Guard, Immediate, ManualClock, Outcome, Permit,
    Queue, Reason, Semaphore, TokenBucket, WaitGate,
};

use super::support::{EIGHTH, Journal, Note, SECOND, Scribe, reason};
use crate::{Checked, Failure, advance_until, ensure, ensure_eq, poll_once};

pub(super) fn a_tuple_lets_in_all_or_nothing<const HZ: u64>() -> Checked {
    let journal = Journal::new();
    let scribe = |name| Scribe::new(name, &journal);
    let (a, b, c) = (scribe("a"), scribe("b"), scribe("c"));
    let gates = (&a, &b, &c);
    ensure!(gates.call(|| Ok::<_, ()>(7)) == Ok(7));
    let ended = Note::Ended(Outcome::Success);
    ensure!(
        journal.took(&[
            ("a", Note::Entered),
            ("b", Note::Entered),
            ("c", Note::Entered),
            ("c", ended),
            ("b", ended),
            ("a", ended),
        ]),
        "in this order"
    );
    c.refusing.set(Some(Reason::SwitchedOff));
    ensure!(reason(gates.permit()) == Some(Reason::SwitchedOff));
    let rolled_back = Note::Ended(Outcome::Refused);
    ensure!(
        journal.took(&[
            ("a", Note::Entered),
            ("b", Note::Entered),
            ("c", Note::Refused),
            ("b", rolled_back),
            ("a", rolled_back),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn a_permit_is_given_back_once<const HZ: u64>() -> Checked {
    let journal = Journal::new();
    let gate = Scribe::new("a", &journal);
    let permit = || gate.permit().map_err(|_| Failure::new("it lets in"));
    permit()?.success();
    permit()?.failure();
    permit()?.ignore();
    permit()?.finish(Outcome::Refused);
    drop(permit()?);
    for outcome in
        [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Refused, Outcome::Abandoned]
    {
        gate.enter().map_err(|_| Failure::new("it lets in"))?;
        Permit::adopt(&gate, ()).finish(outcome);
    }
    let entered = ("a", Note::Entered);
    let ended = |outcome| ("a", Note::Ended(outcome));
    let each = [
        entered,
        ended(Outcome::Success),
        entered,
        ended(Outcome::Failure),
        entered,
        ended(Outcome::Ignored),
        entered,
        ended(Outcome::Refused),
        entered,
        ended(Outcome::Abandoned),
    ];
    let mut twice = [entered; 20];
    for (place, note) in twice.iter_mut().zip(each.iter().cycle()) {
        *place = *note;
    }
    ensure!(journal.took(&twice));
    Ok(())
}

pub(super) fn a_call_says_what_its_result_means<const HZ: u64>() -> Checked {
    let journal = Journal::new();
    let gate = Scribe::new("a", &journal);
    ensure!(gate.call(|| Err::<(), _>(404)) == Err(Error::Inner(404)));
    let by_status = FailureIf(|status: &u32| *status >= 500);
    ensure!(gate.call_with(by_status, || Err::<(), _>(404)).is_err());
    ensure!(gate.call_with(by_status, || Err::<(), _>(503)).is_err());
    ensure!(
        journal.took(&[
            ("a", Note::Entered),
            ("a", Note::Ended(Outcome::Failure)),
            ("a", Note::Entered),
            ("a", Note::Ended(Outcome::Ignored)),
            ("a", Note::Entered),
            ("a", Note::Ended(Outcome::Failure)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn a_guard_takes_nothing_before_its_first_poll<const HZ: u64>() -> Checked {
    let journal = Journal::new();
    let gate = Scribe::new("a", &journal);
    drop(gate.guard(ready(Ok::<_, ()>(7))));
    ensure!(journal.took(&[]));
    {
        let mut guarded = pin!(gate.guard(pending::<Result<(), ()>>()));
        ensure!(poll_once(guarded.as_mut()).is_pending());
        ensure!(journal.took(&[("a", Note::Entered)]));
    }
    ensure!(journal.took(&[("a", Note::Ended(Outcome::Abandoned))]));
    let by_status = FailureIf(|status: &u32| *status >= 500);
    let mut guarded = pin!(Guard::new(&gate, ready(Err::<(), _>(404))).classify(by_status));
    ensure!(poll_once(guarded.as_mut()) == Poll::Ready(Err(Error::Inner(404))));
    ensure!(journal.took(&[("a", Note::Entered), ("a", Note::Ended(Outcome::Ignored))]));
    ensure!(poll_once(guarded).is_pending(), "an answer is given once");
    ensure!(journal.took(&[]));
    Ok(())
}

pub(super) fn a_refused_guard_runs_nothing<const HZ: u64>() -> Checked {
    let journal = Journal::new();
    let gate = Scribe::new("a", &journal);
    gate.refusing.set(Some(Reason::Overloaded));
    let guarded = pin!(gate.guard(async {
        journal.note("operation", Note::Ran(1));
        Ok::<_, ()>(7)
    }));
    let Poll::Ready(Err(Error::Rejected(refused))) = poll_once(guarded) else {
        return Err(Failure::new("it is refused at once"));
    };
    ensure!(refused.reason() == Reason::Overloaded);
    ensure!(refused.reason().is_transient());
    ensure!(journal.took(&[("a", Note::Refused)]));
    Ok(())
}

pub(super) fn a_gate_may_be_left_out<const HZ: u64>() -> Checked {
    let one: Semaphore = Semaphore::new(1);
    let all: (Option<&Semaphore>, Option<&Semaphore>) = (Some(&one), None);
    let held = all.permit().map_err(|_| Failure::new("one is free"))?;
    ensure!(all.permit().is_err());
    drop(held);
    ensure!((None::<&Semaphore>,).call(|| Ok::<_, ()>(7)) == Ok(7));
    let eight = (&one, (), (), (), (), (), (), ());
    ensure!(eight.call(|| Ok::<_, ()>(one.available())) == Ok(0));
    ensure_eq!(one.available(), 1);
    Ok(())
}

pub(super) fn refusals_are_observed<const HZ: u64>() -> Checked {
    let journal = Journal::new();
    let one: Semaphore = Semaphore::new(1);
    let watched = (&one).observed("permits", &journal);
    let held = watched.permit().map_err(|_| Failure::new("one is free"))?;
    ensure!(journal.took(&[]));
    ensure!(watched.permit().is_err());
    ensure!(journal.took(&[("event", Note::Refused)]));
    drop(held);
    ensure_eq!(watched.inner().available(), 1);
    Ok(())
}

pub(super) fn a_tuple_waits_from_left_to_right<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let bucket = TokenBucket::new(BucketConfig::per_second(8).burst(1), &clock);
    let gates = (&permits, &bucket);
    let timer = &clock;
    let enter = |until| gates.wait_enter(&timer, until);
    let Poll::Ready(Ok(first)) = poll_once(pin!(enter(Deadline::NEVER))) else {
        return Err(Failure::new("both are free"));
    };
    {
        let mut waits = pin!(enter(Deadline::NEVER));
        ensure!(poll_once(waits.as_mut()).is_pending());
        ensure_eq!(permits.waiting(), 1);
        gates.exit(first, Outcome::Success);
        ensure!(poll_once(waits.as_mut()).is_pending(), "now it waits for a token");
        ensure_eq!(permits.available(), 0);
    }
    ensure_eq!(permits.available(), 1, "cancelled, it gives back what it held");
    let soon = Deadline::after(&clock, EIGHTH / 2);
    let Poll::Ready(Err(refused)) = poll_once(pin!(enter(soon))) else {
        return Err(Failure::new("it does not wait in vain"));
    };
    ensure!(refused.reason() == Reason::DeadlineExceeded);
    let second = advance_until(&clock, EIGHTH / 8, 20, enter(Deadline::after(&clock, SECOND)));
    let Some(Ok(second)) = second else { return Err(Failure::new("in time")) };
    gates.exit(second, Outcome::Success);
    ensure_eq!(permits.available(), 1);
    let at_once = (Immediate(&permits), &bucket);
    let _held = permits.try_acquire().map_err(|_| Failure::new("one is free"))?;
    let refused = poll_once(pin!(at_once.wait_enter(&timer, Deadline::NEVER)));
    ensure!(matches!(refused, Poll::Ready(Err(_))), "without a wait");
    Ok(())
}
