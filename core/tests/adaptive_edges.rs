//! Adaptive limits at the edges of their windows: very long ones and very full ones, calls that are
//! older than all of them, and services that fail from the start or while they are measured. Each
//! test opens with what once went wrong there; all were found by review.

use std::time::Duration;

use fusebox_core::{
    AdaptiveLimit, Gate, LimitAlgorithm, LimitConfig, ManualClock, Outcome, Permit, Ratio, Ticks,
    WORD_BITS,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Not at 0, where the clock of no server is.
fn clock() -> ManualClock {
    let clock = ManualClock::new();
    clock.set(Ticks(12_345_678_901_234));
    clock
}

/// Lets in as much as the limit allows, at most `most` calls, and ends it all after `latency`.
fn batch<A: LimitAlgorithm>(
    clock: &ManualClock,
    limit: &AdaptiveLimit<&ManualClock, A>,
    most: usize,
    latency: Duration,
    outcome: Outcome,
) {
    let calls: Vec<_> = std::iter::from_fn(|| limit.permit().ok()).take(most).collect();
    clock.advance(latency);
    calls.into_iter().for_each(|call| call.finish(outcome));
}

/// Cause: the unit of a window's time followed from the longest latency alone, and a window that
/// was much longer than that was cut to its low 32 bits: 10 s became 1.4 s, 2^33 ns nothing at all.
#[test]
fn a_window_is_as_long_as_it_was_set_to_be() {
    let two_to_33 = Duration::from_nanos(1 << 33);
    for window in
        [100 * MS, SECOND, 5 * SECOND, two_to_33, 10 * SECOND, 60 * SECOND, 3_600 * SECOND]
    {
        let clock = clock();
        let config = LimitConfig::aimd().window(window).min_samples(1);
        let limit = AdaptiveLimit::new(config.initial(10).max_latency(MS), &clock);
        // Fifty steps in a window; and a rounding that makes it at most a hundredth longer.
        for _ in 0..10 * 51 {
            batch(&clock, &limit, usize::MAX, window / 100_000_000, Outcome::Success);
            clock.advance(window / 50);
        }
        assert!((19..=20).contains(&limit.limit()), "{} after ten of {window:?}", limit.limit());
    }
}

/// Cause: the instant at which a call began was compared in a few bits, in which one that lay back
/// further than the longest latency looked like one from after the window's beginning. Calls that
/// time out after 30 s shrank the limit again with each window, from 200 to 24.
#[test]
fn calls_of_any_length_are_answered_for_once() {
    for timeout in [4, 10, 30, 300, 86_400] {
        let clock = clock();
        let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(200), &clock);
        let mut calls = Vec::new();
        for _ in 0..200 {
            calls.push(limit.permit().unwrap());
            clock.advance(10 * MS);
        }
        clock.advance(Duration::from_secs(timeout) - 2 * SECOND);
        for call in calls {
            call.failure();
            clock.advance(10 * MS);
        }
        assert_eq!(limit.limit(), 180, "timeouts of {timeout} s");
    }
}

/// Seconds of failures, a probe at their beginning or not: what the limit is down to then.
fn outage<A: LimitAlgorithm>(config: LimitConfig<A>, probing: bool) -> u32 {
    let clock = clock();
    let limit = AdaptiveLimit::new(config, &clock);
    if probing {
        // Past the first probe and up to the next one.
        while !(limit.snapshot().base_latency().is_some() && limit.snapshot().is_probing()) {
            batch(&clock, &limit, usize::MAX, 50 * MS, Outcome::Success);
        }
    }
    let mut before = limit.limit();
    for _ in 0..20 * 20 {
        batch(&clock, &limit, usize::MAX, 50 * MS, Outcome::Failure);
        assert!(limit.limit() <= before, "{} after {before}", limit.limit());
        before = limit.limit();
    }
    // When it is over, the limit grows again.
    for _ in 0..20 * 60 {
        batch(&clock, &limit, usize::MAX, 50 * MS, Outcome::Success);
    }
    assert!(limit.limit() > 50 && limit.snapshot().base_latency().is_some(), "{limit:?}");
    before
}

/// Cause: while a probe was under way, only successes were looked at. An outage from the start left
/// the limit as it was for ever, one during a probe brought the limit before it back, unmeasured.
#[test]
fn an_outage_shrinks_the_limit_whenever_it_begins() {
    for probing in [false, true] {
        assert_eq!(outage(LimitConfig::vegas().initial(100), probing), 1);
        // Where the queue of 4 that the rule adds is more than the half that it takes off, too.
        assert_eq!(outage(LimitConfig::gradient2().min(1).initial(100), probing) / 10, 0);
        assert_eq!(outage(LimitConfig::envoy_gradient().initial(100), probing), 3);
    }
}

/// Cause: as above; and few calls, too few for a window, ended the probe with nothing measured.
#[test]
fn a_probe_that_measured_nothing_gives_nothing_back() {
    let clock = clock();
    let config = LimitConfig::vegas().initial(100).max(100);
    let limit = AdaptiveLimit::new(config, &clock);
    while !(limit.snapshot().base_latency().is_some() && limit.snapshot().is_probing()) {
        batch(&clock, &limit, usize::MAX, 50 * MS, Outcome::Success);
    }
    let during = limit.limit();
    for _ in 0..60 {
        batch(&clock, &limit, 1, SECOND, Outcome::Failure);
        assert!(limit.limit() <= during, "{limit:?}");
    }
}

/// Cause: a window that could hold no more was over at once, and counted as a whole one: with many
/// calls the limit changed far more often than it was told to, and 32-bit words saw a probe every
/// tenth of a second.
#[test]
fn a_full_window_is_not_a_short_one() {
    // More in a window than fit into one.
    let (step, calls) = if WORD_BITS == 64 { (MS / 10, 40) } else { (MS, 10) };
    let clock = clock();
    let limit = AdaptiveLimit::new(LimitConfig::aimd().initial(50), &clock);
    for _ in 0..SECOND.as_nanos() / step.as_nanos() {
        let calls: Vec<_> = (0..calls).map(|_| limit.permit().unwrap()).collect();
        clock.advance(step);
        calls.into_iter().for_each(Permit::success);
    }
    assert!(limit.limit() <= 60, "{} after ten windows", limit.limit());

    let config = LimitConfig::vegas().initial(200).max(200).min(100);
    let limit = AdaptiveLimit::new(config, &clock);
    let (mut probes, mut was) = (0, true);
    for _ in 0..3_000 {
        batch(&clock, &limit, usize::MAX, 10 * MS, Outcome::Success);
        let is = limit.snapshot().is_probing();
        probes += u32::from(is && !was);
        was = is;
    }
    assert!((2..=5).contains(&probes), "{probes} probes in 30 s, at most one in 10");
}

/// Cause: half of the limit and a queue, or a root, is more than the limit where that is small.
#[test]
fn a_window_with_drops_never_grows_the_limit() {
    fn holds<A: LimitAlgorithm>(config: LimitConfig<A>) {
        let clock = clock();
        let limit = AdaptiveLimit::new(config, &clock);
        for turn in 0..400 {
            // The successes show that the limit is used.
            let calls: Vec<_> = std::iter::from_fn(|| limit.permit().ok()).collect();
            clock.advance(60 * MS);
            for (number, call) in calls.into_iter().enumerate() {
                if (turn + number) % 2 == 0 { call.success() } else { call.failure() }
            }
            assert!(limit.limit() <= 2, "{limit:?}");
        }
    }
    holds(LimitConfig::aimd().initial(2));
    holds(LimitConfig::vegas().initial(2).base_latency(50 * MS));
    for initial in [1, 2] {
        let known = LimitConfig::gradient2().min(1).queue(50).base_latency(50 * MS);
        holds(known.initial(initial));
        holds(LimitConfig::envoy_gradient().min(1).initial(initial).base_latency(50 * MS));
    }
}

/// Cause: the share was rounded up to a 32768th, and what was exactly at it did not reach it.
#[test]
fn as_many_drops_as_the_share_says_are_too_many() {
    for (calls, percent) in [(20, 5), (40, 5), (100, 5), (100, 1), (100, 7), (100, 33)] {
        for (drops, expected) in [(calls * percent / 100, 90), (calls * percent / 100 - 1, 101)] {
            let clock = clock();
            let config = LimitConfig::aimd().initial(100).drop_share(Ratio::percent(percent));
            let limit = AdaptiveLimit::new(config.min_samples(calls), &clock);
            let running: Vec<_> = (0..100).map(|_| limit.permit().unwrap()).collect();
            clock.advance(10 * MS);
            for (number, call) in (0..calls).zip(running) {
                if number == calls - 1 {
                    // The one that ends the window.
                    clock.advance(100 * MS);
                }
                if number < drops { call.failure() } else { call.success() }
            }
            assert_eq!(limit.limit(), expected, "{drops} of {calls} at {percent} %");
        }
    }
}

/// Cause: a latency without load that is less than the longest one, but not in its units, had a
/// bit more than its word, and was "unknown".
#[test]
fn a_base_latency_is_kept_or_refused() {
    let longest = Duration::from_nanos((1 << 33) - 1);
    let mut kept = 0;
    for below in (0..40).map(|bit| 1_u64 << bit).take_while(|&below| below < 1 << 33) {
        let base = longest - Duration::from_nanos(below);
        let config = LimitConfig::vegas().max_latency(longest).base_latency(base);
        let clock = clock();
        let Ok(limit) = AdaptiveLimit::try_new(config, &clock) else {
            assert!(base + longest / 10_000 > longest, "{base:?} is far enough below");
            continue;
        };
        kept += 1;
        assert!(limit.snapshot().base_latency().is_some_and(|known| known >= base), "{base:?}");
    }
    assert!(kept > 10, "{kept}");
}

/// Cause: where words are 32 bits wide, a limit has 8 bits of a fraction, and growth by less was
/// lost each time; what shrank always counted.
#[test]
fn growth_that_is_slow_adds_up() {
    let clock = clock();
    let config = LimitConfig::gradient2().smoothing(Ratio::new(1, 1_000)).queue(3);
    let limit = AdaptiveLimit::new(config.base_latency(50 * MS).min(1).initial(20), &clock);
    for _ in 0..20_000 {
        batch(&clock, &limit, usize::MAX, 50 * MS, Outcome::Success);
    }
    assert!(limit.limit() > 30, "{limit:?}");
}
