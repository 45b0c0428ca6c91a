//! Randomness seeded by the operating system.

use std::hash::{BuildHasher, RandomState};

use fusebox_core::{Random, Rng};

thread_local! {
    /// One for each thread, so that drawing shares no cache line.
    static RNG: Rng = Rng::from_seed(seed());
}

fn seed() -> u64 {
    // Where the system has no randomness yet (early boot), the keys of a hash map are the next
    // best: jitter is no reason to fail.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(std::thread::current().id()))
}

/// Randomness for jitter: a generator for each thread, seeded by the operating system.
///
/// # Examples
///
/// ```
/// use fusebox_std::{Backoff, Jitter, StdRng};
/// use std::time::Duration;
///
/// const BACKOFF: Backoff<StdRng> = Backoff::exponential(Duration::from_millis(100))
///     .max_delay(Duration::from_secs(10))
///     .jitter(Jitter::Full, StdRng);
/// assert!(BACKOFF.delays().take(20).all(|delay| delay <= Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StdRng;

impl Random for StdRng {
    #[inline]
    fn next_u64(&self) -> u64 {
        // A thread that is being torn down has lost its generator: a fresh seed does as well.
        RNG.try_with(Random::next_u64).unwrap_or_else(|_| seed())
    }
}
