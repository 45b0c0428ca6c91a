//! A token from a bucket.
#![no_std]
#![no_main]

use fusebox_core::{BucketConfig, TokenBucket};
use size::{CLOCK, Uptime, output, program};

static FIRST: TokenBucket<Uptime> = TokenBucket::new(BucketConfig::per_second(10), &CLOCK);
static SECOND: TokenBucket<Uptime> = TokenBucket::new(BucketConfig::per_minute(10), &CLOCK);

#[inline(never)]
fn typical(bucket: &TokenBucket<Uptime>) {
    output(bucket.try_acquire(1).is_ok().into());
}

program!(typical, &FIRST, &SECOND);
