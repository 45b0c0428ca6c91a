//! How the reference models are run: how many histories, from which seed, and on what clock.

use fusebox_core::{Clock, Ticks};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// `FUSEBOX_CASES` histories, or a number that is over quickly. The seed is always the same, so
/// that a run can be repeated, and a check does not fail for what nobody changed; `FUSEBOX_SEED`
/// explores others.
pub(crate) fn config() -> ProptestConfig {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    ProptestConfig {
        cases: number("FUSEBOX_CASES").and_then(|cases| cases.try_into().ok()).unwrap_or(2_000),
        rng_seed: RngSeed::Fixed(number("FUSEBOX_SEED").unwrap_or(0x66_75_73_65)),
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    }
}

/// A clock that is never read: the tests give the time.
#[allow(dead_code, reason = "not every model has a clock")]
pub(crate) struct Hz<const PER_SECOND: u64>;

impl<const PER_SECOND: u64> Clock for Hz<PER_SECOND> {
    const TICKS_PER_SECOND: u64 = PER_SECOND;

    fn now(&self) -> Ticks {
        panic!("only the given time counts here")
    }
}
