//! Models of the windows: the ring of buckets, and its judges.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::{Still, config, race, two_in_a_row};
use core::time::Duration;
use fusebox_core::Outcome::{Failure, Success};
use fusebox_core::{
    BreakerToken, CircuitBreaker, Counts, LastCalls, LastTime, Rates, Ratio, State, Ticks, Window,
};
use loom::sync::Arc;

type Breaker<W> = CircuitBreaker<Still, W>;

/// A breaker that trips by its window alone.
fn windowed<W: Window<Still>>(window: W) -> Arc<Breaker<W>> {
    let config = config().without_consecutive_failures();
    Arc::new(CircuitBreaker::with_window(config, window, Still))
}

/// `B` buckets of ten seconds.
fn tens<const B: usize>(rates: Rates) -> Arc<Breaker<LastTime<Still, B>>> {
    let span = Duration::from_secs(10 * B as u64);
    let window = LastTime::try_new(span, rates, Duration::from_secs(19)).unwrap();
    windowed(window)
}

/// `N` calls that were let in at the start.
fn calls<const N: usize, W: Window<Still>>(breaker: &Breaker<W>) -> [BreakerToken<W::Start>; N] {
    [(); N].map(|()| breaker.enter_at(Ticks(0)).unwrap())
}

fn counts<W: Window<Still>>(breaker: &Breaker<W>) -> Counts {
    breaker.snapshot().counts
}

/// Trips at `percent`, by two calls at least.
fn two_at(percent: u32) -> Rates {
    Rates::failures(Ratio::percent(percent)).minimum_calls(2)
}

#[test]
fn two_judges_of_a_window_of_time() {
    // Race: two failures, the last ones needed, end in different buckets, and each is judged by a
    // sum that may miss the other (a store-load race). One of them must trip.
    // Fails when the fence of windows of time is left out, and when the sum starts from the head
    // that `record` read.
    model(|| {
        let breaker = tens::<2>(two_at(100));
        let [one, two] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(5)),
            |breaker| breaker.exit_at(two, Failure, Ticks(12)),
        );
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn two_judges_of_a_window_of_calls() {
    // Race: two failures, the last ones needed, end in different buckets of one call each. One of
    // them must trip, and without a fence: who records in the second has seen the first one
    // full. Fails when a failed swap in `record` counts as recorded.
    model(|| {
        let breaker = windowed(LastCalls::<Still, 2>::new(2, two_at(100)));
        let [one, two] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn two_judges_of_one_bucket() {
    // Race: two failures, the last ones needed, end in the same bucket. The second sees the first,
    // and trips. Fails when a failed swap in `record` counts as recorded.
    model(|| {
        let breaker = windowed(LastCalls::<Still, 1>::new(2, two_at(100)));
        let [one, two] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_full_window_is_judged() {
    // Race: the call that fills the window (four failures, the least to judge by) finds that the
    // next one has moved on, and leaves the judging to it. That one counts in a window from which
    // half the calls have slid out. Whoever moves the head must have judged the full window.
    // Fails when `record` does not call `leave` before it moves the head.
    model(|| {
        let rates = Rates::failures(Ratio::percent(100)).minimum_calls(4);
        let breaker = windowed(LastCalls::<Still, 2>::new(4, rates));
        let [a, b, c, one, two] = calls(&breaker);
        for before in [a, b, c] {
            breaker.exit_at(before, Failure, Ticks(1));
        }
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_rule_with_a_window_sees_both_in_a_row() {
    // Race: two failures, and a rule that trips at two in a row. Each is counted in the window, and
    // its rule asked, while the other is not yet in the state word; the second swap fails, and by
    // then there are two in a row. Fails when `judge` does not ask the rule again after a failed
    // swap.
    model(|| {
        let config = config().without_consecutive_failures().trip_when(two_in_a_row);
        let window = LastCalls::<Still, 1>::new(10, Rates::none());
        let breaker = Arc::new(CircuitBreaker::with_window(config, window, Still));
        let [one, two] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| breaker.exit_at(two, Failure, Ticks(1)),
        );
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn a_sum_that_is_overtaken() {
    // Race: the fourth of the last four calls (good, good, bad | bad) is judged while the fifth, a
    // good one, moves on and takes over the oldest bucket. The rate is one half, then two
    // thirds; a sum that has seen the bad ones, and neither the good ones of the old bucket nor
    // that of the new, would make it one. Fails when `judged` does not compare the head after
    // the sum, when it does not mind an empty bucket, and when it loads buckets Relaxed.
    model(|| {
        let breaker = windowed(LastCalls::<Still, 2>::new(4, two_at(70)));
        let [a, b, c, fourth, fifth] = calls(&breaker);
        breaker.exit_at(a, Success, Ticks(1));
        breaker.exit_at(b, Success, Ticks(1));
        breaker.exit_at(c, Failure, Ticks(1));
        race(
            &breaker,
            move |breaker| breaker.exit_at(fourth, Failure, Ticks(2)),
            |breaker| breaker.exit_at(fifth, Success, Ticks(2)),
        );
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(counts(&breaker).failures, 2);
    });
}

#[test]
fn two_calls_move_the_head() {
    // Race: two calls find that the bucket is over. The head moves once: a second step would forget
    // the call before them. Fails when `advance` moves on from the head it finds instead of
    // from the one that was found to be over.
    model(|| {
        let breaker = tens::<2>(Rates::none());
        let [before, one, two] = calls(&breaker);
        breaker.exit_at(before, Failure, Ticks(5));
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Success, Ticks(12)),
            |breaker| breaker.exit_at(two, Failure, Ticks(13)),
        );
        let now = counts(&breaker);
        assert_eq!((now.requests, now.failures), (3, 2));
    });
}

#[test]
fn a_bucket_is_taken_over() {
    // Race: two calls end when the only bucket is over, and one of them counts in it before the
    // other has retagged it. Nothing of the turn before is counted under the new tag, and both
    // calls are. Fails when `record` goes on from the counts of a bucket with another tag.
    model(|| {
        let breaker = tens::<1>(Rates::none());
        let [before, one, two] = calls(&breaker);
        breaker.exit_at(before, Failure, Ticks(5));
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Success, Ticks(12)),
            |breaker| breaker.exit_at(two, Success, Ticks(13)),
        );
        let now = counts(&breaker);
        assert_eq!((now.requests, now.failures), (2, 0));
    });
}

#[test]
fn a_late_call_against_the_next_turn() {
    // Race: a call that read the clock and the head before the bucket was taken over meets the
    // bucket of the next turn. It must look again, not take the bucket back.
    // Fails when `record` does not compare the head again, and when it loads the bucket Relaxed.
    model(|| {
        let breaker = tens::<1>(Rates::none());
        let [late, next] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(late, Success, Ticks(5)),
            |breaker| breaker.exit_at(next, Failure, Ticks(12)),
        );
        assert_eq!(counts(&breaker).failures, 1);
    });
}

#[test]
fn a_slow_mover_against_the_next_turn() {
    // Race: a call moved the head and lost the processor before it retagged the bucket; a whole
    // turn later another one has counted there. The slow one must not retag what is newer.
    // Fails when `retag` goes by the position it was given instead of the head's, and when the swap
    // in `record` is Relaxed.
    model(|| {
        let breaker = tens::<1>(Rates::none());
        let [slow, next] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(slow, Success, Ticks(12)),
            |breaker| breaker.exit_at(next, Failure, Ticks(25)),
        );
        assert_eq!(counts(&breaker).failures, 1);
    });
}

#[test]
fn a_call_of_before_against_the_first_of_a_generation() {
    // Race: a call from before a reset ends while the first call after it does. The old one is not
    // counted, the new one is. Fails when `record` does not ask whether its generation is over,
    // and when it loads the head Relaxed: the old call then takes the ring back to its own
    // generation, and what the new one counted is forgotten.
    model(|| {
        let breaker = windowed(LastCalls::<Still, 2>::new(4, Rates::none().minimum_calls(1)));
        let [first, old] = calls(&breaker);
        breaker.exit_at(first, Failure, Ticks(0));
        race(
            &breaker,
            move |breaker| breaker.exit_at(old, Failure, Ticks(1)),
            |breaker| {
                breaker.reset();
                let new = breaker.enter_at(Ticks(1)).unwrap();
                breaker.exit_at(new, Success, Ticks(1));
            },
        );
        let now = counts(&breaker);
        assert_eq!((now.requests, now.failures), (1, 0));
    });
}

#[test]
fn a_record_against_a_reset() {
    // Race: a failure is counted while the breaker is reset. After the reset nothing old is
    // counted, before and after a call makes the ring follow.
    // Fails when `sums` and `record` do not compare generations.
    model(|| {
        let breaker = windowed(LastCalls::<Still, 2>::new(4, two_at(50)));
        let [old] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(old, Failure, Ticks(1)),
            |breaker| breaker.reset(),
        );
        assert_eq!(counts(&breaker), Counts::default());
        let [new] = calls(&breaker);
        breaker.exit_at(new, Success, Ticks(2));
        assert_eq!((counts(&breaker).requests, counts(&breaker).failures), (1, 0));
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn two_calls_are_the_first_of_a_generation() {
    // Race: two calls find the ring behind the breaker. It starts afresh once, and both are
    // counted. Fails when `advance` moves on from the head it finds instead of from the one
    // that was found to be over.
    model(|| {
        let breaker = tens::<2>(Rates::none());
        let [old] = calls(&breaker);
        breaker.exit_at(old, Failure, Ticks(1));
        breaker.reset();
        let [one, two] = calls(&breaker);
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Success, Ticks(2)),
            |breaker| breaker.exit_at(two, Success, Ticks(3)),
        );
        assert_eq!((counts(&breaker).requests, counts(&breaker).failures), (2, 0));
    });
}
