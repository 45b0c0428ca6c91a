//! Chains of fallbacks: which tier is asked, what it is told, and what exists meanwhile.

use std::cell::{Cell, RefCell};
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use fusebox_core::{
    Answer, Error, Fallback, FallbackFuture, Gate, Reason, Rejection, Semaphore, Switch,
};

fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn seen<T, E>(answer: Result<Answer<T>, E>) -> Result<(u32, T), E> {
    answer.map(|answer| (answer.tier(), answer.into_inner()))
}

#[test]
fn the_first_tier_that_answers_is_the_last_that_is_asked() {
    let asked = RefCell::new(Vec::new());
    let tier = |name: &'static str, answers: bool| {
        let asked = &asked;
        move |error: &'static str| {
            asked.borrow_mut().push((name, error));
            if answers { Ok(name) } else { Err(name) }
        }
    };
    for answering in 0..4 {
        let primary = if answering == 0 { Ok("primary") } else { Err("primary") };
        let answer = primary
            .fallback(tier("replica", answering == 1))
            .fallback(tier("cache", answering == 2))
            .fallback(tier("default", answering == 3))
            .answer();
        let names = ["primary", "replica", "cache", "default"];
        assert_eq!(seen(answer), Ok((answering, names[answering as usize])));
        // Each was told the error of the one before it.
        let expected: Vec<_> = (1..=answering as usize).map(|n| (names[n], names[n - 1])).collect();
        assert_eq!(asked.take(), expected);
    }
    let none = Err("primary").fallback(tier("replica", false)).answer();
    assert_eq!(seen(none), Err("replica"));
}

#[test]
fn a_tier_that_does_not_apply_passes_the_error_on() {
    let refused: Error<&str> = Rejection::new(Reason::CircuitOpen).into();
    let chain = |error: Error<&'static str>| {
        seen(
            Err::<&str, _>(error)
                .fallback_if(Error::is_rejected, |_| Ok("cache"))
                .fallback_if(Error::is_timed_out, |_| Ok("stale"))
                .answer(),
        )
    };
    assert_eq!(chain(refused), Ok((1, "cache")));
    assert_eq!(chain(Error::TimedOut), Ok((2, "stale")));
    assert_eq!(chain(Error::Inner("bug")), Err(Error::Inner("bug")));

    let chain = |error: Error<&'static str>| {
        run(ready(Err::<&str, _>(error))
            .fallback_if(Error::is_rejected, |_| ready(Ok("cache")))
            .fallback_if(Error::is_timed_out, |_| ready(Ok("stale"))))
    };
    assert_eq!(seen(chain(refused)), Ok((1, "cache")));
    assert_eq!(seen(chain(Error::TimedOut)), Ok((2, "stale")));
    assert_eq!(seen(chain(Error::Inner("bug"))), Err(Error::Inner("bug")));
}

#[test]
fn a_value_ends_the_chain_with_an_answer() {
    assert_eq!(Ok::<_, ()>(1).or_value(9), Ok::<_, ()>(1).fallback(Err::<u8, ()>).or_value(8));
    let answer = Err(()).fallback(|()| Err("still down")).or_value(9);
    assert_eq!((answer.tier(), *answer.value(), answer.is_fallback()), (2, 9, true));
    let chain = ready(Err::<u8, _>(())).fallback(|()| ready(Err("still down"))).or_value(9);
    assert_eq!(run(chain), answer);
    assert_eq!(run(ready(Ok::<_, ()>(1)).or_value(9)), Ok::<_, ()>(1).or_value(9));
}

#[test]
fn the_error_may_change_from_tier_to_tier() {
    let sync = Err::<u8, _>("text").fallback(|text| Err(text.len())).fallback(|n| Err(n == 4));
    assert_eq!(seen(sync.answer()), Err(true));
    let chain = ready(Err::<u8, _>("text"))
        .fallback(|text| ready(Err(text.len())))
        .fallback(|length| ready(Err(length == 4)));
    assert_eq!(seen(run(chain)), Err(true));
}

/// A gate, a switch and a fallback read as one sentence.
#[test]
fn it_reads_on_gates() {
    let (permits, cache): (Semaphore, Switch) = (Semaphore::new(1), Switch::new());
    let get = || {
        permits
            .call(|| Err::<u8, _>("down"))
            .fallback(|error| cache.call(|| Ok::<_, ()>(7)).or(Err(error)))
            .answer()
    };
    assert_eq!(seen(get()), Ok((1, 7)));
    cache.disable();
    assert_eq!(seen(get()), Err(Error::Inner("down")));
}

/// Counts how many of it are alive.
struct Alive<'a>(&'a Cell<u32>);

impl<'a> Alive<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Pending once, then failed.
struct FailsLater<'a>(#[allow(dead_code, reason = "it is held")] Alive<'a>, bool);

impl Future for FailsLater<'_> {
    type Output = Result<u8, u8>;
    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.1, true) { Poll::Ready(Err(1)) } else { Poll::Pending }
    }
}

#[test]
fn one_tier_exists_at_a_time_and_is_dropped_with_the_chain() {
    let count = Cell::new(0);
    let tier = |_| {
        assert_eq!(count.get(), 0, "what failed is gone");
        FailsLater(Alive::new(&count), false)
    };
    let chain = || {
        FailsLater(Alive::new(&count), false)
            .fallback(tier)
            .fallback(tier)
            .fallback_if(|_| true, tier)
    };
    for polls in 0..=4 {
        let mut chain = Box::pin(chain());
        let mut context = Context::from_waker(Waker::noop());
        for poll in 0..polls {
            let polled = chain.as_mut().poll(&mut context);
            assert_eq!(polled.is_ready(), poll == 4, "poll {poll}");
        }
        assert!(count.get() <= 1);
        drop(chain);
        assert_eq!(count.get(), 0, "after {polls} polls");
    }
}

#[test]
fn polled_again_when_done_it_stays_pending() {
    let mut context = Context::from_waker(Waker::noop());
    let mut chain = pin!(ready(Err::<u8, _>(1)).fallback(|_: i32| ready(Err::<u8, _>(2))));
    assert!(chain.as_mut().poll(&mut context).is_ready());
    assert!(chain.as_mut().poll(&mut context).is_pending());
    let mut chain = pin!(ready(Err::<u8, _>(1)).or_value(3));
    assert!(chain.as_mut().poll(&mut context).is_ready());
    assert!(chain.as_mut().poll(&mut context).is_pending());
}

#[test]
fn a_panic_in_a_tier_goes_on_unwinding() {
    fn explode(_: u8) -> Ready<Result<u8, u8>> {
        panic!("in the tier")
    }
    assert!(
        catch_unwind(|| Err::<u8, u8>(1).fallback(|_| -> Result<u8, u8> { panic!() })).is_err()
    );
    let mut chain = Box::pin(ready(Err::<u8, u8>(1)).fallback(explode));
    let mut context = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| chain.as_mut().poll(&mut context)));
    assert!(polled.is_err());
    assert!(chain.as_mut().poll(&mut context).is_pending(), "and nothing runs twice");
}
