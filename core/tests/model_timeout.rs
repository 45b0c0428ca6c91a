//! `Timeout::run` and `Deadline::run` against what their documentation says, one poll at a time.

mod modelling;

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use fusebox_core::{Clock, Deadline, Error, ManualClock, Ticks, Timeout};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Poll,
    /// The clock jumps, backwards too.
    Step(i64),
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// So many ticks and nanoseconds from the first poll on.
    Timeout(u64, u32),
    Endless,
    /// So many ticks after the start, or before it.
    Deadline(i64),
    Never,
}

/// An operation, and when it is polled.
#[derive(Clone, Debug)]
struct Case {
    start: u64,
    limit: Limit,
    /// When it is done, in ticks from the start.
    ready: Option<u64>,
    result: Result<u8, u8>,
    /// What each of its polls takes, in ticks.
    slow: u64,
    ops: Vec<Op>,
}

fn case() -> impl Strategy<Value = Case> {
    let start = prop_oneof![
        Just(0),
        0..100u64,
        Just(u64::from(u32::MAX) - 5),
        (0..40u64).prop_map(|before| u64::MAX - before),
    ];
    let limit = prop_oneof![
        1 => Just(Limit::Timeout(0, 0)),
        4 => (0..25u64, 0..3u32).prop_map(|(ticks, nanos)| Limit::Timeout(ticks, nanos)),
        1 => Just(Limit::Endless),
        4 => (-3..25i64).prop_map(Limit::Deadline),
        1 => Just(Limit::Never),
    ];
    let ready = prop::option::weighted(0.6, 0..40u64);
    let result = prop_oneof![any::<u8>().prop_map(Ok), any::<u8>().prop_map(Err)];
    let slow = prop_oneof![4 => Just(0), 1 => 0..10u64];
    let step = prop_oneof![
        12 => -6..12i64,
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
    ];
    let op = prop_oneof![3 => Just(Op::Poll), 2 => step.prop_map(Op::Step)];
    let ops = prop::collection::vec(op, 0..25);
    (start, limit, ready, result, slow, ops).prop_map(|(start, limit, ready, result, slow, ops)| {
        Case { start, limit, ready, result, slow, ops }
    })
}

/// What is known of an operation from outside.
#[derive(Default)]
struct Seen {
    polls: Cell<u32>,
    drops: Cell<u32>,
}

struct Operation<'a, const HZ: u64> {
    clock: &'a ManualClock<HZ>,
    seen: &'a Seen,
    ready: Option<u64>,
    result: Result<u8, u8>,
    slow: u64,
}

impl<const HZ: u64> Future for Operation<'_, HZ> {
    type Output = Result<u8, u8>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.seen.polls.set(self.seen.polls.get() + 1);
        self.clock.advance_ticks(self.slow);
        match self.ready {
            Some(ready) if self.clock.now().0 >= ready => Poll::Ready(self.result),
            _ => Poll::Pending,
        }
    }
}

impl<const HZ: u64> Drop for Operation<'_, HZ> {
    fn drop(&mut self) {
        self.seen.drops.set(self.seen.drops.get() + 1);
    }
}

/// What the call should do.
struct Model {
    now: u64,
    limit: Limit,
    ready: Option<u64>,
    result: Result<u8, u8>,
    slow: u64,
    start: u64,
    per_second: u64,
    /// When the time is up, from the first poll on; `u128::MAX`: never.
    end: Option<u128>,
    polls: u32,
    answered: bool,
}

impl Model {
    fn end(&self) -> u128 {
        let at = match self.limit {
            Limit::Timeout(ticks, nanos) => {
                let limit = timeout(ticks, nanos, self.per_second);
                let ticks =
                    (limit.as_nanos() * u128::from(self.per_second)).div_ceil(1_000_000_000);
                u128::from(self.now) + ticks
            }
            Limit::Deadline(ticks) => u128::from(self.start.saturating_add_signed(ticks)),
            Limit::Endless | Limit::Never => u128::MAX,
        };
        // What the clock cannot count up to never comes.
        if at >= u128::from(u64::MAX) { u128::MAX } else { at }
    }

    fn poll(&mut self) -> Poll<Result<u8, Error<u8>>> {
        if self.answered {
            return Poll::Pending;
        }
        let end = self.end.unwrap_or_else(|| self.end());
        self.end = Some(end);
        self.polls += 1;
        self.now = self.now.wrapping_add(self.slow);
        let answer = if self.ready.is_some_and(|ready| self.now >= ready) {
            self.result.map_err(Error::Inner)
        } else if u128::from(self.now) >= end {
            Err(Error::TimedOut)
        } else {
            return Poll::Pending;
        };
        self.answered = true;
        Poll::Ready(answer)
    }

    /// Whether the call has set a timer that it waits for.
    fn sleeps(&self) -> bool {
        !self.answered && self.end.is_some_and(|end| end < u128::MAX)
    }
}

/// `ticks` ticks and `nanos` nanoseconds.
fn timeout(ticks: u64, nanos: u32, per_second: u64) -> Duration {
    Duration::from_nanos(ticks * 1_000_000_000 / per_second + u64::from(nanos))
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn compare_with_model<const HZ: u64>(case: &Case) {
    let Case { start, limit, ready, result, slow, ref ops } = *case;
    let ready = ready.map(|ticks| start.saturating_add(ticks));
    let clock = ManualClock::<HZ>::new();
    clock.set(Ticks(start));
    let seen = Seen::default();
    let operation = Operation { clock: &clock, seen: &seen, ready, result, slow };
    let mut call = Box::pin(match limit {
        Limit::Timeout(ticks, nanos) => {
            Timeout::new(timeout(ticks, nanos, HZ)).run(&clock, operation)
        }
        Limit::Endless => Timeout::new(Duration::MAX).run(&clock, operation),
        Limit::Deadline(ticks) => {
            Deadline::at(Ticks(start.saturating_add_signed(ticks))).run(&clock, operation)
        }
        Limit::Never => Deadline::NEVER.run(&clock, operation),
    });
    let (polls, answered, per_second) = (0, false, HZ);
    let mut model = Model {
        now: start,
        limit,
        ready,
        result,
        slow,
        start,
        per_second,
        end: None,
        polls,
        answered,
    };
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    for op in ops {
        match *op {
            Op::Step(ticks) => {
                clock.advance_ticks(ticks as u64);
                model.now = model.now.wrapping_add(ticks as u64);
            }
            Op::Poll => {
                let answer = call.as_mut().poll(&mut Context::from_waker(&waker));
                assert_eq!(answer, model.poll());
                // The sleep of a manual clock wakes whoever polls it too early.
                let woken = wakes.0.swap(0, Ordering::Relaxed);
                assert_eq!(woken, usize::from(model.sleeps()), "a timer where there is an end");
            }
        }
        assert_eq!(seen.polls.get(), model.polls);
        assert_eq!(seen.drops.get(), u32::from(model.answered), "gone with the answer");
        assert_eq!(clock.now().0, model.now);
    }
    drop(call);
    assert_eq!(seen.drops.get(), 1);
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn behaves_as_its_model(case in case()) {
        compare_with_model::<1_000_000_000>(&case);
        // Ticks that are longer than a nanosecond, one of them no whole number of those.
        compare_with_model::<1_000>(&case);
        compare_with_model::<32_768>(&case);
    }
}
