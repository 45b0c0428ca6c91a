//! Adaptive limits under every interleaving. That calls enter and leave one by one is modelled in
//! `shedder.rs`, whose word is the same.

mod bounded;

use core::time::Duration;

use bounded::{model, up_to};
use fusebox_core::Outcome::{Abandoned, Failure, Ignored, Success};
use fusebox_core::{
    AdaptiveLimit, Aimd, Clock, EnvoyGradient, LimitAlgorithm, LimitConfig, Ratio, Ticks, Vegas,
};
use loom::sync::Arc;
use loom::thread;

/// The models give the time themselves, in milliseconds.
struct Milliseconds;

impl Clock for Milliseconds {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        Ticks(0)
    }
}

type Limit<A> = AdaptiveLimit<Milliseconds, A>;

/// Grows by one for each window of `samples` calls, shrinks by a tenth if any of them fails; 10 at
/// first.
fn aimd(samples: u32) -> Arc<Limit<Aimd>> {
    let config = LimitConfig::aimd()
        .initial(10)
        .window(Duration::from_millis(10))
        .min_samples(samples)
        .drop_share(Ratio::new(1, 32_768));
    Arc::new(AdaptiveLimit::new(config, Milliseconds))
}

/// Calls that are under way since 1000 ms. One has ended before, so that the window is as old as
/// that, and over with whatever call ends next.
fn running<A: LimitAlgorithm>(limit: &Limit<A>, calls: usize) -> Vec<Ticks> {
    let first = limit.enter_at(Ticks(0)).unwrap();
    limit.exit_at(first, Success, Ticks(10));
    (0..calls).map(|_| limit.enter_at(Ticks(1_000)).unwrap()).collect()
}

/// Runs `own` and `other` at once on one limit.
fn race<L: 'static, A, B: 'static>(
    limit: &Arc<L>,
    own: impl FnOnce(&L) -> A,
    other: impl FnOnce(&L) -> B + 'static,
) -> (A, B) {
    let thread = thread::spawn({
        let limit = Arc::clone(limit);
        move || other(&limit)
    });
    let own = own(limit);
    (own, thread.join().unwrap())
}

/// Race: two calls end, and either is enough to end the window. Fails where the claim is not a
/// compare-and-swap of the word that was seen, or is made of `folding` alone: the limit grows for a
/// window that has no calls in it.
#[test]
fn a_window_is_folded_once() {
    model(|| {
        let limit = aimd(1);
        let calls = running(&limit, 6);
        let [one, two] = [calls[0], calls[1]];
        race(
            &limit,
            move |limit| limit.exit_at(one, Success, Ticks(1_020)),
            move |limit| limit.exit_at(two, Success, Ticks(1_020)),
        );
        assert_eq!((limit.limit(), limit.in_flight()), (11, 4));
    });
}

/// Race: one call ends a window while another one leaves. Fails where the new limit is stored
/// beside what was in flight before: the other call is never counted out.
#[test]
fn a_new_limit_loses_no_exit() {
    model(|| {
        let limit = aimd(1);
        let calls = running(&limit, 10);
        let [one, two] = [calls[0], calls[1]];
        race(
            &limit,
            move |limit| limit.exit_at(one, Failure, Ticks(1_020)),
            move |limit| limit.exit_at(two, Ignored, Ticks(1_020)),
        );
        assert_eq!((limit.limit(), limit.in_flight()), (9, 8));
    });
}

/// Race: the limit shrinks below what is in flight while a call wants in. It is let in by the old
/// limit or refused by the new one, nothing becomes negative, and all that was taken comes back.
/// Fails where entering compares with a limit that it has read before.
#[test]
fn a_limit_below_what_is_in_flight_lets_nobody_in() {
    model(|| {
        let limit = aimd(1);
        let calls = running(&limit, 10);
        let one = calls[0];
        let ((), entered) = race(
            &limit,
            move |limit| limit.exit_at(one, Failure, Ticks(1_020)),
            |limit| limit.enter_at(Ticks(1_015)),
        );
        assert_eq!((limit.limit(), limit.in_flight()), (9, 9 + u32::from(entered.is_ok())));
        assert!(limit.enter_at(Ticks(1_020)).is_err());
        for call in calls.into_iter().skip(1).chain(entered.ok()) {
            limit.exit_at(call, Abandoned, Ticks(1_020));
        }
        assert_eq!(limit.in_flight(), 0);
    });
}

/// Race: a call fails just when another one ends the window. The failure counts in that window or
/// in the next one. Fails where the fold reads the drops and then clears them: it is in neither.
#[test]
fn a_drop_counts_in_one_window() {
    model(|| {
        let limit = aimd(2);
        let calls = running(&limit, 8);
        let [one, two] = [calls[0], calls[1]];
        race(
            &limit,
            move |limit| limit.exit_at(one, Success, Ticks(1_020)),
            move |limit| limit.exit_at(two, Failure, Ticks(1_020)),
        );
        for now in [2_000, 3_000] {
            let call = limit.enter_at(Ticks(now - 10)).unwrap();
            limit.exit_at(call, Success, Ticks(now));
        }
        // 9 and 10, or 11 and 9.9; without the drop 11 and 12.
        assert!(limit.limit() <= 10, "{}", limit.limit());
    });
}

/// Race: one call ends the probe, which measures the latency without load, and another one ends the
/// window after it, which compares with that. Fails where the claim is Relaxed, or the store that
/// ends a fold is: the second fold does not see what the first one measured, and takes all that is
/// in flight for a queue.
#[test]
fn a_fold_sees_what_the_last_one_left() {
    up_to(2, || {
        let config = LimitConfig::vegas()
            .window(Duration::from_millis(100))
            .min_samples(1)
            .probe_samples(1)
            .max(100);
        let limit: Arc<Limit<Vegas>> = Arc::new(AdaptiveLimit::new(config, Milliseconds));
        let calls = running(&limit, 14);
        limit.exit_at(calls[0], Success, Ticks(1_200));
        let [one, two] = [2_600, 2_850].map(|at| limit.enter_at(Ticks(at)).unwrap());
        assert!(limit.snapshot().is_probing());
        race(
            &limit,
            move |limit| limit.exit_at(one, Success, Ticks(2_700)),
            move |limit| limit.exit_at(two, Success, Ticks(2_950)),
        );
        assert!(limit.limit() >= 20, "{}", limit.limit());
    });
}

/// Race: two calls end at once, and both move the estimate of the median. Fails where it is loaded
/// and stored: one of the two steps is lost.
#[test]
fn every_call_moves_the_estimate() {
    model(|| {
        let config = LimitConfig::envoy_gradient()
            .window(Duration::from_millis(10))
            .min_samples(1)
            .probe_samples(4)
            .initial(10);
        let limit: Arc<Limit<EnvoyGradient>> = Arc::new(AdaptiveLimit::new(config, Milliseconds));
        let calls = running(&limit, 4);
        // Ends the first window. The estimate begins afresh, at 310 ms.
        limit.exit_at(calls[0], Success, Ticks(1_300));
        limit.exit_at(calls[1], Success, Ticks(1_310));
        let [one, two] = [calls[2], calls[3]];
        race(
            &limit,
            move |limit| limit.exit_at(one, Success, Ticks(1_600)),
            move |limit| limit.exit_at(two, Success, Ticks(1_600)),
        );
        let last = limit.enter_at(Ticks(4_000)).unwrap();
        limit.exit_at(last, Success, Ticks(4_005));
        // Up by a third and then by a quarter of itself, and down by a sixth.
        let measured = limit.snapshot().base_latency().expect("measured");
        assert!(measured > Duration::from_millis(400), "{measured:?}");
    });
}
