//! The leaky bucket: an even pace, slack, and a queue of an exact length.

use std::time::Duration;

use fusebox_core::{
    BucketConfig, Clock, LeakyBucket, ManualClock, Rate, Reason, Reservation, WORD_BITS,
};

const SECOND: u64 = 1_000_000_000;

/// However the interval is rounded, and wherever between two ticks or units of the word a call
/// comes, so many wait and not one less or more.
#[test]
fn the_queue_is_as_long_as_it_says() {
    for per_second in [1, 3, 7, 50, 999, 44_100] {
        for queue in [0, 1, 2, 7, 150] {
            let clock: ManualClock = ManualClock::new();
            let pace = BucketConfig::paced(Rate::per_second(per_second)).max_queue(queue);
            let pace = pace.max_lateness(Duration::from_micros(1));
            let Ok(bucket) = LeakyBucket::try_new(pace, &clock) else {
                assert!(WORD_BITS == 32 && queue > 7, "{pace:?}");
                continue;
            };
            let first = bucket.reserve(1).unwrap();
            assert_eq!(first.wait(), Duration::ZERO);
            first.commit();
            let interval = SECOND / u64::from(per_second);
            let mut waiting: Vec<Reservation<'_, _>> = Vec::new();
            for step in 0..400 {
                // Those whose turn has come are let out.
                let now = clock.now();
                while waiting.first().is_some_and(|turn| turn.ready_at() <= now) {
                    waiting.remove(0).commit();
                }
                match bucket.reserve(1) {
                    Ok(turn) if turn.wait().is_zero() => turn.commit(),
                    Ok(turn) => waiting.push(turn),
                    Err(refused) => {
                        assert_eq!(refused.reason(), Reason::RateLimited);
                        assert_eq!(waiting.len(), queue as usize, "{pace:?} at {now:?}");
                    }
                }
                assert!(waiting.len() <= queue as usize, "{pace:?} at {now:?}");
                if step > 2 * queue {
                    clock.advance_ticks(interval * u64::from(step % 10) / 7);
                }
            }
        }
    }
}

#[test]
fn the_pace_is_even_after_any_pause_and_slack_is_what_it_says() {
    for slack in [0, 1, 10] {
        let clock: ManualClock = ManualClock::new();
        let pace = BucketConfig::paced(Rate::every(Duration::from_millis(20))).slack(slack);
        let bucket = LeakyBucket::new(pace, &clock);
        clock.advance(Duration::from_secs(3_600));
        let at_once = (0..100).filter(|_| bucket.try_acquire(1).is_ok()).count();
        assert_eq!(at_once, slack as usize + 1);
    }
    let most = BucketConfig::paced(Rate::per_second(1)).slack(u32::MAX);
    assert_eq!(most, BucketConfig::paced(Rate::per_second(1)).burst(u32::MAX));
}

#[test]
fn a_queue_that_cannot_be_is_a_config_error() {
    let clock: ManualClock = ManualClock::new();
    let pace = BucketConfig::paced(Rate::per_day(1)).max_queue(u32::MAX);
    let text = LeakyBucket::try_new(pace, &clock).map(drop).unwrap_err().to_string();
    assert!(text.contains("lower `max_wait` to "), "{text}");
    // Of a queue and a time, the one that was set last holds.
    let pace = BucketConfig::paced(Rate::per_second(1)).max_queue(9).max_wait(Duration::ZERO);
    let bucket = LeakyBucket::new(pace, &clock);
    assert!(bucket.try_acquire(1).is_ok() && bucket.reserve(1).is_err());
}
