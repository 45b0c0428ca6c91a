//! Rates of other shapes: the leaky bucket, the sliding log and counter, the warm-up.

use core::time::Duration;

use fusebox_core::{
    BucketConfig, Deadline, Idle, LeakyBucket, LimitSnapshot, Rate, SlidingLog, SlidingLogConfig,
    SlidingWindowConfig, SlidingWindowCounter, WaitGate, WarmUp, WarmUpConfig,
};

use crate::{CLOCK, Us, any, keep, now, poll, some_time, use_gate};

const RATE: Rate = Rate::per_second(10);

static PACED: LeakyBucket<&Us> =
    LeakyBucket::new(BucketConfig::paced(RATE).slack(1).max_queue(2), &CLOCK);
static LOG: SlidingLog<4, &Us> = SlidingLog::new(SlidingLogConfig::per_second(), &CLOCK);
static COUNTER: SlidingWindowCounter<&Us> =
    SlidingWindowCounter::new(SlidingWindowConfig::per_second(10), &CLOCK);
static WARM_UP: WarmUp<&Us> = WarmUp::new(WarmUpConfig::new(RATE, Duration::from_secs(5)), &CLOCK);

pub(crate) fn all() {
    keep((LOG.is_idle(), COUNTER.is_idle(), WARM_UP.is_idle(), PACED.is_idle()));
    paced();
    log();
    counter();
    warm_up();
}

fn paced() {
    use_gate(&PACED);
    poll(PACED.acquire(&CLOCK, 1));
    let config = BucketConfig::paced(Rate::per_second(any(1)));
    let config = config.slack(any(1)).max_queue(any(1)).max_lateness(some_time());
    if let Ok(bucket) = LeakyBucket::try_new(config, &CLOCK) {
        use_gate(&bucket);
        poll(bucket.acquire(&CLOCK, any(1)));
    }
}

fn figures(snapshot: LimitSnapshot) {
    keep((snapshot.limit, snapshot.used, snapshot.left()));
}

fn log() {
    use_log(&LOG);
    let config = match any(0_u32) {
        0 => SlidingLogConfig::per(some_time()),
        1 => SlidingLogConfig::per_second(),
        2 => SlidingLogConfig::per_minute(),
        3 => SlidingLogConfig::per_hour(),
        _ => SlidingLogConfig::per_day(),
    };
    let config = config.max_lateness(some_time());
    if let Ok(log) = SlidingLog::<1, _>::try_new(config, &CLOCK) {
        use_log(&log);
    }
    if let Ok(log) = SlidingLog::<7, _>::try_new(config, &CLOCK) {
        use_log(&log);
    }
}

fn use_log<const N: usize>(log: &SlidingLog<N, &'static Us>) {
    use_gate(log);
    keep((log.try_acquire().is_ok(), log.try_acquire_at(now()).is_ok()));
    figures(log.snapshot());
    figures(log.snapshot_at(now()));
    keep((log.time_until(), log.time_until_at(now())));
}

fn counter() {
    use_counter(&COUNTER);
    let config = match any(0_u32) {
        0 => SlidingWindowConfig::new(any(1), some_time()),
        1 => SlidingWindowConfig::per_second(any(1)),
        2 => SlidingWindowConfig::per_minute(any(1)),
        3 => SlidingWindowConfig::per_hour(any(1)),
        _ => SlidingWindowConfig::per_day(any(1)),
    };
    if let Ok(counter) = SlidingWindowCounter::try_new(config.max_lateness(some_time()), &CLOCK) {
        use_counter(&counter);
    }
}

fn use_counter(counter: &SlidingWindowCounter<&'static Us>) {
    use_gate(counter);
    keep((counter.try_acquire(any(1)).is_ok(), counter.try_acquire_at(any(1), now()).is_ok()));
    figures(counter.snapshot());
    figures(counter.snapshot_at(now()));
    keep((counter.time_until(any(1)), counter.time_until_at(any(1), now())));
}

fn warm_up() {
    use_warm_up(&WARM_UP);
    let config = WarmUpConfig::new(Rate::per_second(any(1)), some_time());
    let config = config.max_wait(some_time()).max_lateness(some_time());
    if let Ok(limit) = WarmUp::try_new(config, &CLOCK) {
        use_warm_up(&limit);
    }
}

fn use_warm_up(limit: &WarmUp<&'static Us>) {
    use_gate(limit);
    keep((limit.try_acquire().is_ok(), limit.try_acquire_at(now()).is_ok()));
    keep((limit.time_until(), limit.time_until_at(now())));
    keep((limit.level(), limit.level_at(now())));
    poll(limit.acquire(&CLOCK));
    poll(limit.acquire_before(&CLOCK, Deadline::at(now())));
    poll(limit.acquire_timeout(&CLOCK, some_time()));
    poll(limit.wait_enter(&CLOCK, Deadline::at(now())));
}
