//! The token bucket.

use core::time::Duration;

use fusebox_core::{
    BucketConfig, BucketSketch, BucketState, Clock, Deadline, Gate, Lease, Quota, Rate,
    SharedBucket, SketchColumn, TokenBucket, WaitGate,
};

use crate::{CLOCK, Us, any, keep, now, poll, some_time, use_gate};

static BUCKET: TokenBucket<&Us> =
    TokenBucket::new(BucketConfig::per_second(10).max_wait(Duration::from_secs(1)), &CLOCK);

static SHARED: SharedBucket<&Us> = SharedBucket::new(BucketConfig::per_second(10), &CLOCK);
static STATE: BucketState = BucketState::new();
static SKETCH: BucketSketch<&Us, [SketchColumn; 2]> =
    BucketSketch::new(BucketConfig::per_second(10), &CLOCK, [const { SketchColumn::new() }; 2]);

pub(crate) fn all() {
    use_bucket(&BUCKET);
    rates();
    let config = match any(0_u32) {
        0 => BucketConfig::new(Rate::per_second(any(1))),
        1 => BucketConfig::per_second(any(1)),
        2 => BucketConfig::per_minute(any(1)),
        3 => BucketConfig::per_hour(any(1)),
        4 => BucketConfig::per_day(any(1)),
        _ => BucketConfig::every(some_time()),
    };
    let config = config.burst(any(1)).initially(any(1));
    let config = config.max_wait(some_time()).max_lateness(some_time());
    if let Ok(bucket) = TokenBucket::try_new(config, &CLOCK) {
        use_bucket(&bucket);
    }
    if let Ok(shared) = SharedBucket::try_new(config, &CLOCK) {
        use_shared(&shared, &BucketState::default());
    }
    use_shared(&SHARED, &STATE);
    use_sketch(&SKETCH);
    if let Ok(sketch) = BucketSketch::try_new(config, &CLOCK, [SketchColumn::default()]) {
        use_sketch(&sketch);
    }
}

fn use_sketch<S: AsRef<[SketchColumn]>>(sketch: &BucketSketch<&Us, S>) {
    keep(sketch.try_acquire(any(1), any(1)).is_ok());
    keep(sketch.try_acquire_at(any(1), any(1), now()).is_ok());
    keep((sketch.peek(any(1)), sketch.peek_at(any(1), now()), sketch.width()));
    use_gate(&sketch.of(any(1), any(1)));
}

fn use_shared(shared: &SharedBucket<&Us>, state: &BucketState) {
    keep(shared.try_acquire(state, any(1)).is_ok());
    if let Ok(taken) = shared.take_at(state, any(1), shared.clock().now()) {
        shared.give_back_at(state, taken, any(1), now());
    }
    keep((shared.peek_at(state, now()), shared.is_idle_at(state, now())));
    use_quota(shared.quota_at(state, now()));
}

fn use_quota(quota: Quota) {
    keep((quota.left(), quota.burst(), quota.next_in(), quota.full_in()));
    keep((quota.tokens_in(any(1)), quota.per_window()));
}

fn rates() {
    let rate = match any(0_u32) {
        0 => Rate::per_second(any(1)),
        1 => Rate::per_minute(any(1)),
        2 => Rate::per_hour(any(1)),
        3 => Rate::per_day(any(1)),
        _ => Rate::every(some_time()),
    };
    keep(rate.interval());
    keep((BUCKET.set_rate(rate).is_ok(), BUCKET.set_rate_at(rate, now()).is_ok()));
    keep((BUCKET.set_burst(any(1)).is_ok(), BUCKET.set_burst_at(any(1), now()).is_ok()));
    let error = BUCKET.rate_error(rate);
    keep((error.is_zero(), error.fraction(), error.parts_per_billion()));
}

fn use_bucket(bucket: &TokenBucket<&'static Us>) {
    use_gate(bucket);
    use_gate(&bucket.of(any(2)));
    keep((bucket.try_acquire(any(1)).is_ok(), bucket.try_acquire_at(any(1), now()).is_ok()));
    for reservation in [bucket.reserve(any(1)), bucket.reserve_at(any(1), now())] {
        let Ok(turn) = reservation else { continue };
        keep((turn.wait(), turn.ready_at(), turn.tokens()));
        match any(0_u32) {
            0 => turn.commit(),
            1 => turn.cancel(),
            2 => turn.cancel_at(now()),
            _ => drop(turn),
        }
    }
    bucket.refund(any(1));
    bucket.refund_at(any(1), now());
    keep((bucket.peek(), bucket.peek_at(now()), bucket.burst()));
    use_quota(bucket.quota());
    use_quota(bucket.quota_at(now()));
    keep((bucket.time_until(any(1)), bucket.time_until_at(any(1), now())));
    poll(bucket.acquire(&CLOCK, any(1)));
    poll(bucket.acquire_before(&CLOCK, any(1), Deadline::at(now())));
    poll(bucket.acquire_timeout(&CLOCK, any(1), some_time()));
    poll(bucket.wait_enter(&CLOCK, Deadline::at(now())));
    poll(bucket.of(any(2)).wait_enter(&CLOCK, Deadline::at(now())));
    leases(bucket);
}

fn leases(bucket: &TokenBucket<&'static Us>) {
    let lease = bucket.lease(any(8));
    keep((lease.try_acquire(any(1)).is_ok(), lease.left()));
    lease.give_back();
    keep(lease.permit().is_ok());
    lease.give_back_at(now());
    use_gate(&Lease::new(bucket, any(8)));
}
