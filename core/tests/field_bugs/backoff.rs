//! Bugs of the field that touch delays and randomness.

use std::time::Duration;

use fusebox_core::{Backoff, Delays, Jitter, Random, Rng};

const MAX: Duration = Duration::from_secs(10);

/// Bug 22. Cause: the jitter was added after the cap, so that a delay could be up to twice the
/// maximum. Seen in backon 1.6.
#[test]
pub(crate) fn jitter_never_exceeds_the_maximum_delay() {
    let rng = Rng::from_seed(22);
    let mut longest = Duration::ZERO;
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        for base in [Duration::from_millis(100), Duration::from_secs(7), MAX] {
            let backoff = Backoff::exponential(base).max_delay(MAX).jitter(jitter, &rng);
            for delay in backoff.delays().take(500) {
                assert!(delay <= MAX, "{delay:?} with {jitter:?}");
                longest = longest.max(delay);
            }
        }
    }
    // The other way to get it wrong is to never come near it.
    assert!(longest > MAX * 9 / 10);
}

/// Bug 22. Cause: one constant seed for every device, so that all of them "jittered" in step. Seen
/// in backon 1.6 without `std`. Here there is no seed but the caller's, and different ones give
/// different delays.
#[test]
pub(crate) fn different_seeds_give_different_delays() {
    let delays = |seed| {
        let rng = Rng::from_seed(seed);
        let backoff = Backoff::constant(Duration::from_secs(1)).jitter(Jitter::Full, &rng);
        backoff.delays().take(8).collect::<Vec<_>>()
    };
    // Seeds as devices have them: neighbours, and some that differ in a high bit only.
    let seeds = (0..100).chain((32..64).map(|bit| 1 << bit));
    let mut all: Vec<_> = seeds.clone().map(delays).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), seeds.count());

    // Nor do two devices meet later, one a few draws behind the other.
    let (one, other) = (Rng::from_seed(1), Rng::from_seed(2));
    let draws: Vec<_> = (0..1_000).map(|_| one.next_u64()).collect();
    assert!((0..1_000).all(|_| !draws.contains(&other.next_u64())));
}

/// Beside bug 22: capping only what comes out of the jitter piles late retries up at the maximum,
/// where they all come back together; the article caps what goes in.
#[test]
pub(crate) fn late_retries_are_spread_over_the_whole_range() {
    let rng = Rng::from_seed(3);
    let backoff = Backoff::exponential(Duration::from_secs(1)).max_delay(MAX);
    let backoff = backoff.jitter(Jitter::Full, &rng);
    let late = (0..1_000).map(|_| backoff.delay(30, MAX));
    let short = late.filter(|delay| *delay < MAX / 2).count();
    assert!((400..600).contains(&short), "{short} of 1000 in the lower half");
}
