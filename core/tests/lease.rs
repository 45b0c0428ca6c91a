//! Leases: spent in plain memory, and never more tokens than the bucket would have granted.

use std::sync::Arc;
use std::time::Duration;

use fusebox_core::{
    BucketConfig, Gate, Lease, ManualClock, Outcome, Random, Rate, Reason, Rng, TokenBucket,
};

type Millis = ManualClock<1_000>;

/// One token each 10 ms, 100 at once.
fn bucket(clock: &Millis) -> TokenBucket<&Millis> {
    TokenBucket::new(BucketConfig::per_second(100).burst(100), clock)
}

#[test]
fn it_takes_in_bulk_and_gives_back_what_is_left() {
    let clock = Millis::new();
    let bucket = bucket(&clock);
    let lease = bucket.lease(30);
    assert_eq!((lease.left(), bucket.peek()), (0, 100), "nothing before the first");
    lease.try_acquire(0).unwrap();
    assert_eq!(bucket.peek(), 100, "nor for none");
    lease.try_acquire(1).unwrap();
    assert_eq!((lease.left(), bucket.peek()), (29, 70));
    lease.try_acquire(29).unwrap();
    assert_eq!((lease.left(), bucket.peek()), (0, 70));
    lease.try_acquire(40).unwrap();
    assert_eq!((lease.left(), bucket.peek()), (0, 30), "more than its size");
    lease.try_acquire(20).unwrap();
    assert_eq!((lease.left(), bucket.peek()), (10, 0), "as many as there were");
    let refused = lease.try_acquire(11).unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(10)));
    assert_eq!((lease.left(), bucket.peek()), (0, 10), "what it could not use is for all");
    assert_eq!(lease.try_acquire(101).unwrap_err().reason(), Reason::ExceedsBurst);
    drop(lease);
    assert_eq!(bucket.peek(), 10);
}

/// While a lease holds tokens, time fills the bucket as if they had been spent. Had they gone back
/// on top of that, a burst and a lease would be let through at once.
#[test]
fn what_time_has_paid_for_does_not_come_back() {
    for (held, back) in [(0, 59), (10, 59), (100, 50), (300, 30), (590, 1), (600, 0), (9_000, 0)] {
        let clock = Millis::new();
        let bucket = bucket(&clock);
        let lease = bucket.lease(60);
        lease.try_acquire(1).unwrap();
        clock.advance(Duration::from_millis(held));
        bucket.try_acquire(bucket.peek()).unwrap();
        drop(lease);
        assert_eq!(bucket.peek(), back, "after {held} ms");
    }
}

#[test]
fn a_refused_call_gets_its_token_back_into_the_lease() {
    let clock = Millis::new();
    let bucket = bucket(&clock);
    let lease = bucket.lease(5);
    lease.enter().unwrap();
    lease.exit((), Outcome::Refused);
    assert_eq!((lease.left(), bucket.peek()), (5, 95));
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        lease.permit().unwrap().finish(outcome);
    }
    assert_eq!(lease.left(), 1);
}

/// Leases of many sizes, held for any time, renewed, dropped and given back at random, while the
/// rate changes: what was spent is never more than a burst and what the rate gives in that time,
/// and all of that is there for who asks.
#[test]
fn many_leases_spend_no_more_than_the_bucket_grants() {
    for seed in 0..200 {
        let (clock, random) = (Millis::new(), Rng::from_seed(seed));
        let bucket = Arc::new(bucket(&clock));
        let lease = |size| Lease::new(Arc::clone(&bucket), size);
        let mut leases = [1, 3, 10, 60, 500].map(lease);
        // In thousandths of a token, so that a millisecond at any rate is a whole number.
        let (mut spent, mut granted, mut rate) = (0, 100_000, 100);
        for _ in 0..500 {
            let which = random.below(5) as usize;
            match random.below(8) {
                0 => {
                    let millis = random.below(300);
                    clock.advance(Duration::from_millis(millis));
                    granted += millis * rate;
                }
                1 => leases[which].give_back(),
                2 => leases[which] = lease(1 + random.below(100) as u32),
                3 if random.below(10) == 0 => {
                    rate = 50 + 50 * random.below(3);
                    bucket.set_rate(Rate::per_second(rate as u32)).unwrap();
                }
                _ => {
                    let tokens = random.below(12);
                    if leases[which].try_acquire(tokens as u32).is_ok() {
                        spent += 1_000 * tokens;
                    }
                }
            }
            assert!(spent <= granted, "seed {seed}: {spent} of {granted}");
        }
        assert!(spent > 0);
    }
}
