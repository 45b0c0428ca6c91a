//! Randomness for jitter.
//!
//! [`Rng`] is `SplitMix64` (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators",
//! OOPSLA 2014) read by its counter: number n is `mix(seed + n * gamma)`. So drawing is one
//! `fetch_add` and pure arithmetic; it never retries and never waits, and an interrupt may draw in
//! the middle of a draw. The mix is a bijection, so two draws differ as long as their counters do.
//!
//! Why not a generator with a better name: those carry state that one atomic word cannot hold, and
//! jitter has no use for their quality. Why not one constant seed: every device would then draw the
//! same "random" delays, and all of them would come back at the same time, which is what jitter is
//! there to prevent.
//!
//! # Synchronization
//!
//! None: a draw publishes nothing, and the atomicity of the `fetch_add` alone keeps draws apart.

use crate::pointer::through_pointers;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::wide::upper_product;

/// A source of random numbers, good enough for jitter. It is shared by reference.
///
/// # Examples
///
/// A microcontroller's own generator:
///
/// ```
/// use fusebox_core::Random;
///
/// struct Trng;
/// # fn read_register() -> u32 { 7 }
///
/// impl Random for Trng {
///     fn next_u64(&self) -> u64 {
///         u64::from(read_register()) << 32 | u64::from(read_register())
///     }
/// }
/// assert!(Trng.below(10) < 10);
/// ```
pub trait Random {
    /// The next number, uniform over all of `u64`.
    fn next_u64(&self) -> u64;

    /// A number from 0 to `bound - 1`; 0 where `bound` is 0.
    ///
    /// Multiplies instead of dividing (Lemire, "Fast Random Integer Generation in an Interval",
    /// 2019) and leaves out his rejection step: a value's probability is off by less than `bound /
    /// 2^64` of itself, which for a delay of a minute in nanoseconds is 3 in a billion.
    #[inline]
    fn below(&self, bound: u64) -> u64 {
        upper_product(self.next_u64(), bound)
    }
}

macro_rules! pointer_random {
    ($pointer:ty) => {
        impl<R: Random + ?Sized> Random for $pointer {
            #[inline]
            fn next_u64(&self) -> u64 {
                (**self).next_u64()
            }

            #[inline]
            fn below(&self, bound: u64) -> u64 {
                (**self).below(bound)
            }
        }
    };
}

through_pointers!(pointer_random, R);

/// Two to the 64th over the golden ratio, made odd: `SplitMix64`'s step.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A small, fast, lock-free random number generator for jitter; not for secrets.
///
/// There is no default seed on purpose: where every device or process starts from the same number,
/// they all "jitter" in step. Seed it from what differs: a device id, an entropy source, the
/// operating system.
///
/// The numbers are those of `SplitMix64`, the same on every target. They repeat after 2^64 draws,
/// where words are 32 bits wide after 2^32.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Backoff, Jitter, Random, Rng};
///
/// # fn device_id() -> u64 { 0x1234 }
/// let rng = Rng::from_seed(device_id());
/// assert!(rng.below(6) < 6);
///
/// let backoff = Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::Full, &rng);
/// assert!(backoff.delays().next() <= Some(Duration::from_millis(100)));
/// ```
///
/// # Interrupt safety
///
/// Lock-free: one `fetch_add`.
#[derive(Debug)]
pub struct Rng {
    /// The seed, and one step.
    first: u64,
    /// How many numbers were drawn, wrapping.
    drawn: AtomicWord,
}

impl Rng {
    constructor! {
        /// A generator that starts from `seed`; any value will do, 0 too.
        #[must_use]
        pub const fn from_seed(seed: u64) -> Self {
            Self { first: seed.wrapping_add(GAMMA), drawn: AtomicWord::new(0) }
        }
    }
}

impl Random for Rng {
    #[inline]
    fn next_u64(&self) -> u64 {
        // Relaxed: nothing is published with a number, and a read-modify-write gives each counter
        // to one caller whatever its ordering.
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::useless_conversion, reason = "a conversion where words are 32 bits")]
        let position = u64::from(drawn);
        mix(self.first.wrapping_add(GAMMA.wrapping_mul(position)))
    }
}

/// The finalizer of `SplitMix64` (variant 13 of Stafford, "Better Bit Mixing"): a bijection.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// 2^32 over the golden ratio, made odd, so that 2^32 steps visit every value once.
const STEP: u32 = 0x9e37_79b9;

/// The place of call number `number` among all 32-bit numbers, in Weyl's sequence: of any run of
/// calls each part of them gets its share, to within a few calls.
pub(crate) const fn spread(number: u32) -> u32 {
    number.wrapping_mul(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_published_sequence() {
        // The first numbers of SplitMix64 from this seed, as given with its reference
        // implementation.
        let rng = Rng::from_seed(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821_u64,
        ];
        for number in expected {
            assert_eq!(rng.next_u64(), number);
        }
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let rng = Rng::from_seed(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[rng.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1_200).contains(&count)), "{seen:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }
}
