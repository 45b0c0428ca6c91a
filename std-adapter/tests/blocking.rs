//! Retries, waits and futures on plain threads.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread;
use std::time::{Duration, Instant};

use fusebox_std::blocking::{self, ThreadTimer, block_on};
use fusebox_std::prelude::*;
use fusebox_std::{BudgetConfig, Ratio, RetryBudget, Retrying};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_retry_sleeps_at_least_its_delays() {
    let begun = Instant::now();
    let at = RefCell::new(Vec::new());
    let retry = Retry::new(Backoff::exponential(ms(10)));
    let result = blocking::retry(retry, |attempt| {
        at.borrow_mut().push(begun.elapsed());
        Err::<(), _>(attempt.number)
    });
    assert_eq!(result, Err(Error::Inner(3)));
    let at = at.into_inner();
    assert!(at[1] - at[0] >= ms(10) && at[2] - at[1] >= ms(20), "{at:?}");
}

#[test]
fn a_retry_gives_up_before_a_sleep_past_its_deadline() {
    let begun = Instant::now();
    let retry = Retry::new(Backoff::constant(Duration::from_secs(60))).deadline(ms(500));
    let result = blocking::retry(retry, |attempt| {
        assert!(attempt.deadline.remaining(&StdClock) <= ms(500));
        Err::<(), _>("down")
    });
    assert_eq!(result, Err(Error::Inner("down")));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_earlier_deadline_holds_and_one_that_has_passed_lets_nothing_run() {
    let retry = Retry::new(Backoff::constant(Duration::from_secs(60))).deadline(ms(500));
    for (outer, limit) in [(ms(100), ms(100)), (Duration::from_secs(60), ms(500))] {
        let outer = Deadline::after(&StdClock, outer);
        let result = blocking::retry_before(retry, outer, |attempt| {
            assert!(attempt.deadline.remaining(&StdClock) <= limit);
            Err::<(), _>("down")
        });
        assert_eq!(result, Err(Error::Inner("down")));
    }
    let past = Deadline::at(fusebox_std::Ticks::ZERO);
    let late = |result: Result<(), Error<()>>| {
        assert_eq!(result.unwrap_err().rejection().unwrap().reason(), Reason::DeadlineExceeded);
    };
    late(blocking::retry_before(retry, past, |_| unreachable!("it is too late")));
    late(blocking::retry_gated_before((), past, |_| unreachable!("it is too late")));
}

#[test]
fn the_same_policy_parts_work_as_in_futures() {
    let budget =
        RetryBudget::new(BudgetConfig::new(Ratio::percent(50)).floor_per_second(0), StdClock);
    let retries = Cell::new(0);
    let retry = Retry::new(Backoff::none())
        .max_attempts(10)
        .when(RetryIf(|error: &&str| *error == "busy"))
        .budget(&budget)
        .on_retry(|_: &Retrying<'_, &str>| retries.set(retries.get() + 1));
    for _ in 0..10 {
        assert_eq!(blocking::retry(retry, |_| Err::<(), _>("busy")), Err(Error::Inner("busy")));
    }
    assert_eq!(retries.get(), 5);
    assert_eq!(blocking::retry(retry, |_| Err::<(), _>("gone")), Err(Error::Inner("gone")));
}

#[test]
fn an_answer_that_is_not_good_enough_is_tried_again() {
    let busy = |status: &u16| (*status == 503).then_some(Decision::Retry);
    let retry = Retry::new(Backoff::none()).when_value(busy);
    let status = |attempt: Attempt| Ok::<_, ()>(if attempt.number < 3 { 503 } else { 200 });
    assert_eq!(blocking::retry(retry, status), Ok(200));
    assert_eq!(blocking::retry(retry.max_attempts(2), status), Ok(503), "the last one");
    let slow = Retry::new(Backoff::constant(Duration::from_secs(60))).when_value(busy);
    let soon = Deadline::after(&StdClock, Duration::from_secs(1));
    assert_eq!(blocking::retry_before(slow, soon, status), Ok(503), "there is no time to wait");
}

#[test]
fn a_gated_retry_leaves_a_lasting_refusal_alone() {
    let calls = Cell::new(0);
    let past = Deadline::at(fusebox_std::Ticks::ZERO).on(StdClock);
    let result = blocking::retry_gated(Retry::new(Backoff::none()), |_| {
        calls.set(calls.get() + 1);
        past.call(|| Ok::<(), ()>(()))
    });
    assert_eq!(result.unwrap_err().rejection().unwrap().reason(), Reason::DeadlineExceeded);
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_thread_waits_for_a_wake_from_another_or_for_its_timer() {
    let flag = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let woken = block_on(Timeout::SLOW.run(ThreadTimer, {
        let (flag, mut helper) = (Arc::clone(&flag), None);
        poll_fn(move |cx| {
            if flag.load(Ordering::SeqCst) {
                return Poll::Ready(Ok::<_, ()>("woken"));
            }
            let (flag, waker) = (Arc::clone(&flag), cx.waker().clone());
            helper.get_or_insert_with(|| {
                thread::spawn(move || {
                    thread::sleep(ms(20));
                    flag.store(true, Ordering::SeqCst);
                    waker.wake();
                })
            });
            Poll::Pending
        })
    }));
    assert_eq!(woken, Ok("woken"));
    assert!(begun.elapsed() < Duration::from_secs(60));

    let begun = Instant::now();
    let hangs = std::future::pending::<Result<(), ()>>();
    assert_eq!(block_on(Timeout::new(ms(20)).run(ThreadTimer, hangs)), Err(Error::TimedOut));
    assert!(begun.elapsed() >= ms(20));
}

/// A combinator that polls a child only when the child's own waker was used, like
/// `FuturesUnordered`: a timer that only remembered the thread, or only the sleeps of the last
/// poll, would hang here.
#[test]
fn each_sleep_wakes_the_waker_it_was_polled_with() {
    struct Flag(AtomicBool, Waker);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
            self.1.wake_by_ref();
        }
    }
    let begun = Instant::now();
    let sleeps = (1..=3_u64).map(|n| {
        Box::pin(ThreadTimer.sleep_until(Deadline::after(&ThreadTimer, ms(10 * n)).ticks()))
    });
    let mut sleeps: Vec<_> = sleeps.map(Some).collect();
    let mut flags: Vec<Arc<Flag>> = Vec::new();
    block_on(poll_fn(|cx| {
        if flags.is_empty() {
            flags.extend((0..3).map(|_| Arc::new(Flag(AtomicBool::new(true), cx.waker().clone()))));
        }
        for (sleep, flag) in sleeps.iter_mut().zip(&flags) {
            if !flag.0.swap(false, Ordering::SeqCst) {
                continue;
            }
            let waker = Waker::from(Arc::clone(flag));
            let over = sleep.as_mut().is_some_and(|sleep| {
                sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
            });
            if over {
                *sleep = None;
            }
        }
        if sleeps.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert!(begun.elapsed() >= ms(30));
}

#[test]
fn a_thread_waits_at_a_gate_until_the_deadline() {
    let open = Immediate(Deadline::NEVER.on(StdClock));
    let until = Deadline::after(&StdClock, ms(20));
    blocking::enter(&open, until).expect("open").success();

    /// A gate whose queue never moves.
    struct Stuck;
    impl Gate for Stuck {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            Err(Rejection::new(Reason::BulkheadFull))
        }
        fn exit(&self, (): (), _outcome: Outcome) {}
    }
    impl<T: Timer> WaitGate<T> for Stuck {
        type Waiting = Option<Pin<Box<T::Sleep>>>;
        fn poll_enter(
            &self,
            mut waiting: Pin<&mut Self::Waiting>,
            timer: &T,
            until: Deadline,
            cx: &mut Context<'_>,
        ) -> Poll<Result<(), Rejection>> {
            let sleep = waiting.get_or_insert_with(|| Box::pin(timer.sleep_until(until.ticks())));
            ready!(sleep.as_mut().poll(cx));
            Poll::Ready(Err(Rejection::new(Reason::QueueTimeout)))
        }
        fn cancel_enter(&self, _waiting: Pin<&mut Self::Waiting>, _timer: &T) {}
    }
    let refused = blocking::enter(&Stuck, until).map(drop).unwrap_err();
    assert_eq!(refused.reason(), Reason::QueueTimeout);
    assert!(until.expired(&StdClock));
}

#[test]
fn whatever_the_operation_does_with_the_threads_park_token_no_wake_is_lost() {
    let mut turns = 0;
    block_on(poll_fn(|cx| {
        turns += 1;
        cx.waker().wake_by_ref();
        // Uses up the token that the wake has left, as a channel or a lock might.
        thread::park_timeout(Duration::ZERO);
        if turns == 100 { Poll::Ready(()) } else { Poll::Pending }
    }));
    let mut future = pin!(async { turns });
    assert_eq!(block_on(future.as_mut()), 100);
}

/// A sleep or a park in the destructor of a thread-local value finds the thread's list of sleeps
/// gone. That panicked, and a panic there ends the process.
#[test]
fn a_thread_may_wait_while_it_is_torn_down() {
    /// Waits when its thread ends, and tells whether that panicked, and for how long it waited.
    struct Late(Cell<Option<Sender<(bool, Duration)>>>);

    impl Drop for Late {
        fn drop(&mut self) {
            let begun = Instant::now();
            let waited = catch_unwind(|| {
                block_on(ThreadTimer.sleep_until(Deadline::after(&StdClock, ms(2)).ticks()));
                let mut helper = None;
                block_on(poll_fn(|cx| {
                    if helper.is_some() {
                        return Poll::Ready(());
                    }
                    let waker = cx.waker().clone();
                    helper = Some(thread::spawn(move || {
                        thread::sleep(ms(5));
                        waker.wake();
                    }));
                    Poll::Pending
                }));
            });
            if let Some(sender) = self.0.take() {
                let _ = sender.send((waited.is_ok(), begun.elapsed()));
            }
        }
    }

    // In whichever order they are dropped, the list goes before one of them.
    thread_local! {
        static BEFORE: Late = const { Late(Cell::new(None)) };
        static AFTER: Late = const { Late(Cell::new(None)) };
    }
    let (sender, told) = channel();
    thread::spawn(move || {
        BEFORE.with(|late| late.0.set(Some(sender.clone())));
        block_on(ThreadTimer.sleep_until(Deadline::after(&StdClock, ms(1)).ticks()));
        AFTER.with(|late| late.0.set(Some(sender)));
    })
    .join()
    .unwrap();
    let told: Vec<_> = told.iter().collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(waited, time)| *waited && *time >= ms(2)), "{told:?}");
}

/// A retry that its gate refused was paid for on threads, and free in tasks.
#[test]
fn a_retry_that_its_gate_refuses_costs_nothing() {
    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(5);
    let budget: RetryBudget<StdClock> = RetryBudget::new(config, StdClock);
    (0..5).for_each(|_| budget.deposit());
    let gate: Semaphore = Semaphore::new(1);
    let held = gate.permit().unwrap();
    let retry = Retry::new(Backoff::none()).unlimited().budget(&budget);

    let mut attempts = 0;
    let refused = blocking::retry_gated(retry, |_| {
        attempts += 1;
        gate.call(|| Ok::<_, ()>(()))
    });
    assert!(refused.is_err());
    assert_eq!((attempts, budget.balance()), (6, 5), "it ends, and none took place");

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        blocking::retry_gated(retry, |attempt| {
            assert!(attempt.number < 3, "the third attempt panics");
            gate.call(|| Ok::<_, ()>(()))
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(budget.balance(), 4, "the one that panicked has run");
    held.success();
}

/// The price of a retry was lost where the answer that it was to better panics when it is dropped.
#[test]
fn an_answer_that_panics_in_its_drop_costs_nothing() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }

    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(5);
    let budget: RetryBudget<StdClock> = RetryBudget::new(config, StdClock);
    (0..5).for_each(|_| budget.deposit());
    let retry =
        Retry::new(Backoff::none()).budget(&budget).when_value(|_: &Bomb| Some(Decision::Retry));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = blocking::retry(retry, |_| Ok::<_, ()>(Bomb)).map(std::mem::forget);
    }));
    assert!(panicked.is_err());
    assert_eq!(budget.balance(), 5);
}
