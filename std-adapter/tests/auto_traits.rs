//! Which public types and futures are `Send`, `Sync` and `Unpin`, as a table.
//!
//! A missing auto trait breaks users far from where it was lost, and one that was never meant is a
//! promise.
#![cfg(feature = "tokio")]

use std::cell::Cell;
use std::future::{Pending, Ready};
use std::marker::PhantomPinned;
use std::rc::Rc;
use std::sync::Arc;

use fusebox_std::blocking::{ThreadSleep, ThreadTimer};
use fusebox_std::prelude::*;
use fusebox_std::*;

/// Asserts that a type has exactly these auto traits, by an ambiguity that only their absence
/// resolves.
macro_rules! assert_auto {
    ($type:ty: $send:ident, $sync:ident, $unpin:ident) => {
        assert_one!($type: $send, Send);
        assert_one!($type: $sync, Sync);
        assert_one!($type: $unpin, Unpin);
    };
}

macro_rules! assert_one {
    ($type:ty: yes, $trait:path) => {
        const _: fn() = || {
            fn has<T: ?Sized + $trait>() {}
            has::<$type>();
        };
    };
    ($type:ty: no, $trait:path) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn here() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            #[allow(dead_code, reason = "it is there to clash")]
            struct Clash;
            impl<T: ?Sized + $trait> Ambiguous<Clash> for T {}
            let _ = <$type as Ambiguous<_>>::here;
        };
    };
}

/// Is `Send` and not `Sync`.
type Alone = Cell<u8>;
/// Is neither.
type Local = Rc<u8>;

type Delay = Backoff<StdRng>;
type Fut<T> = Ready<Result<T, ()>>;
type Make<T> = fn(Attempt) -> Fut<T>;
type Pinned = (PhantomPinned, Pending<Result<(), ()>>);
type Pipe<C = (), A = ()> = Pipeline<TokioTimer, C, Retry<Delay>, A>;
type CallOf<C, A, F, U, E> = Call<
    'static,
    TokioTimer,
    C,
    Retry<Delay>,
    A,
    ResultClassify,
    (),
    F,
    U,
    E,
    <C as WaitGate<TokioTimer>>::Entering<'static>,
    <A as WaitGate<TokioTimer>>::Entering<'static>,
>;

// Values.
assert_auto!(Ticks: yes, yes, yes);
assert_auto!(Deadline: yes, yes, yes);
assert_auto!(Timeout: yes, yes, yes);
assert_auto!(Attempt: yes, yes, yes);
assert_auto!(RetryState: yes, yes, yes);
assert_auto!(Verdict: yes, yes, yes);
assert_auto!(Decision: yes, yes, yes);
assert_auto!(Outcome: yes, yes, yes);
assert_auto!(Rejection: yes, yes, yes);
assert_auto!(ConfigError: yes, yes, yes);
assert_auto!(Event<'static>: yes, yes, yes);
assert_auto!(Error<u8>: yes, yes, yes);
assert_auto!(Error<Alone>: yes, no, yes);
assert_auto!(Error<Local>: no, no, yes);
assert_auto!(Retrying<'static, Alone>: no, no, yes);

// Clocks, timers, randomness.
assert_auto!(StdClock: yes, yes, yes);
assert_auto!(StdRng: yes, yes, yes);
assert_auto!(Rng: yes, yes, yes);
assert_auto!(ManualClock: yes, yes, yes);
assert_auto!(ManualSleep<'static>: yes, yes, yes);
assert_auto!(TokioTimer: yes, yes, yes);
assert_auto!(TokioSleep: yes, yes, no);
assert_auto!(ThreadTimer: yes, yes, yes);
assert_auto!(ThreadSleep: no, no, yes);

// Policies and primitives.
assert_auto!(Delay: yes, yes, yes);
assert_auto!(RetryBudget<StdClock>: yes, yes, yes);
assert_auto!(Retry<Delay>: yes, yes, yes);
assert_auto!(Retry<Delay, RetryAll, &'static RetryBudget<StdClock>>: yes, yes, yes);
assert_auto!(Retry<Delay, RetryAll, Arc<RetryBudget<StdClock>>>: yes, yes, yes);
assert_auto!(Retry<Delay, Alone>: yes, no, yes);
assert_auto!(Pipe: yes, yes, yes);
assert_auto!(Pipe<Arc<DeadlineGate<StdClock>>>: yes, yes, yes);
assert_auto!(Pipe<Rc<DeadlineGate<StdClock>>>: no, no, yes);

// Permits and futures of gates.
assert_auto!(Permit<&'static DeadlineGate<StdClock>>: yes, yes, yes);
assert_auto!(Permit<Rc<DeadlineGate<StdClock>>>: no, no, yes);
assert_auto!(Guard<&'static DeadlineGate<StdClock>, Fut<u8>>: yes, yes, yes);
assert_auto!(Guard<&'static DeadlineGate<StdClock>, Fut<Local>>: no, no, yes);
assert_auto!(Guard<&'static DeadlineGate<StdClock>, Pinned>: yes, yes, no);
assert_auto!(EnterNow<'static, DeadlineGate<StdClock>>: yes, yes, yes);
assert_auto!(EnterOption<LetIn>: yes, yes, yes);
assert_auto!(AcquireTokens<'static, StdClock, TokioTimer>: yes, yes, no);
assert_auto!(AcquireTokens<'static, StdClock, ThreadTimer>: no, no, yes);

// Timeouts, retries, pipelines. A sleep of tokio cannot be moved once it runs, so neither can they.
assert_auto!(WithTimeout<TokioTimer, Fut<u8>>: yes, yes, no);
assert_auto!(WithTimeout<TokioTimer, Fut<Local>>: no, no, no);
assert_auto!(WithTimeout<&'static ManualClock, Fut<u8>>: yes, yes, yes);
assert_auto!(RetryCall<TokioTimer, Retry<Delay>, Make<u8>, Fut<u8>, ()>: yes, yes, no);
assert_auto!(RetryCall<TokioTimer, Retry<Delay>, Make<Local>, Fut<Local>, ()>: no, no, no);
assert_auto!(RetryCall<TokioTimer, Retry<Delay>, Make<u8>, Fut<u8>, Alone>: yes, no, no);
assert_auto!(RetryCall<ThreadTimer, Retry<Delay>, Make<u8>, Fut<u8>, ()>: no, no, yes);
assert_auto!(CallOf<(), (), Make<u8>, Fut<u8>, ()>: yes, yes, no);
assert_auto!(CallOf<(), (), Make<Local>, Fut<Local>, ()>: no, no, no);
assert_auto!(CallOf<Arc<()>, &'static (), Make<u8>, Fut<u8>, ()>: yes, yes, no);
assert_auto!(CallOf<Rc<()>, (), Make<u8>, Fut<u8>, ()>: no, no, no);

#[test]
fn the_table_compiles() {}
