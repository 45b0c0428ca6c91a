//! Backoff against a slow and obvious model: powers as whole numbers of any length.

mod modelling;

use std::time::Duration;

use fusebox_core::{Backoff, Delays, Jitter, Random};
use proptest::prelude::*;

/// A natural number of any length, least significant digit first.
#[derive(Clone, PartialEq, Eq)]
struct Big(Vec<u64>);

impl Big {
    fn times(mut self, factor: u64) -> Self {
        let mut carry = 0_u128;
        for digit in &mut self.0 {
            let product = u128::from(*digit) * u128::from(factor) + carry;
            *digit = product as u64;
            carry = product >> 64;
        }
        self.0.push(carry as u64);
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn power(value: u64, factor: u32, exponent: u32) -> Self {
        (0..exponent).fold(Self(vec![1]).times(value), |big, _| big.times(factor.into()))
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(
            self.0
                .len()
                .cmp(&other.0.len())
                .then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())),
        )
    }
}

/// The longest delay, in nanoseconds: 292 years.
const LONGEST: u64 = u64::MAX / 2;

/// Checks `delay`, in nanoseconds, against `base * (percent / 100)^exponent`: never above, and
/// below by at most 1 ns and 2^-49 of itself.
fn check_power(delay: u64, base: u64, percent: u32, exponent: u32) {
    let exact = Big::power(base, percent, exponent);
    let hundreds = |value| Big::power(value, 100, exponent);
    let label = format!("{base} ns * ({percent} %)^{exponent} came out as {delay}");
    assert!(hundreds(delay) <= exact, "too long: {label}");
    let within = delay.saturating_add(1).saturating_add((delay >> 49) + 1);
    assert!(delay == LONGEST || hundreds(within) > exact, "too short: {label}");
}

/// A source that always draws the same.
#[derive(Clone, Copy)]
struct Fixed(u64);

impl Random for Fixed {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

/// A draw of `from ..= to`, of fewer than 2^64.
fn uniform(draw: u64, from: u128, to: u128) -> u128 {
    from + ((u128::from(draw) * (to - from + 1)) >> 64)
}

/// What the article says, with the delay before jitter given.
fn jittered(jitter: Jitter, draw: u64, plain: u64, base: u64, previous: u64, max: u64) -> u64 {
    let all = u128::from(u64::MAX);
    let (plain, base) = (u128::from(plain), u128::from(base));
    let delay = match jitter {
        Jitter::None => plain,
        Jitter::Full => uniform(draw, 0, plain),
        Jitter::Equal => plain - plain / 2 + uniform(draw, 0, plain / 2),
        Jitter::Decorrelated => uniform(draw, base, (u128::from(previous).max(base) * 3).min(all)),
    };
    delay.min(u128::from(max)) as u64
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

/// Short and long times alike, with the ends, and longer ones than the longest delay.
fn any_nanos() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0_u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift),
        Just(0),
        Just(u64::MAX)
    ]
}

fn any_retry() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0_u32..80, 2 => 0_u32..600, 1 => any::<u32>()]
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn exponential_is_exact_to_a_nanosecond_and_its_last_bits(
        base in any_nanos(),
        percent in prop_oneof![100_u32..=400, 100_u32..=20_000, Just(u32::MAX)],
        retry in any_retry(),
        max in any_nanos(),
    ) {
        let uncapped = Backoff::exponential(Duration::from_nanos(base)).factor(percent);
        let delay = nanos(uncapped.delay(retry, Duration::ZERO));
        let (base, exponent) = (base.min(LONGEST), retry.saturating_sub(1));
        if base == 0 || percent == 100 {
            prop_assert_eq!(delay, base);
        } else if exponent > 4_500 {
            // 1.01^4459 is above 2^64.
            prop_assert_eq!(delay, LONGEST);
        } else {
            check_power(delay, base, percent, exponent);
        }
        let capped = uncapped.max_delay(Duration::from_nanos(max));
        prop_assert_eq!(nanos(capped.delay(retry, Duration::ZERO)), delay.min(max));
    }

    #[test]
    fn linear_is_exact(base in any_nanos(), step in any_nanos(), retry in any_retry()) {
        let steps = u128::from(retry.saturating_sub(1));
        let exact = u128::from(base.min(LONGEST)) + u128::from(step.min(LONGEST)) * steps;
        let backoff = Backoff::linear(Duration::from_nanos(base), Duration::from_nanos(step));
        let delay = nanos(backoff.delay(retry, Duration::ZERO));
        prop_assert_eq!(u128::from(delay), exact.min(LONGEST.into()));
    }

    #[test]
    fn jitter_follows_the_article_and_never_exceeds_the_maximum(
        base in any_nanos(),
        percent in 100_u32..=400,
        max in any_nanos(),
        jitter in prop::sample::select(
            vec![Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated]
        ),
        draws in prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 1..20),
    ) {
        let plain = Backoff::exponential(Duration::from_nanos(base))
            .factor(percent)
            .max_delay(Duration::from_nanos(max));
        let mut previous = 0;
        for (retry, draw) in (1..).zip(draws) {
            let before = nanos(plain.delay(retry, Duration::ZERO));
            let (base, max) = (base.min(LONGEST), max.min(LONGEST));
            let expected = jittered(jitter, draw, before, base, previous, max);
            let backoff = plain.jitter(jitter, Fixed(draw));
            let delay = nanos(backoff.delay(retry, Duration::from_nanos(previous)));
            prop_assert!(delay <= max);
            prop_assert_eq!(delay, expected, "retry {}", retry);
            previous = delay;
        }
    }
}

#[test]
fn slow_growth_is_followed_until_it_saturates() {
    let backoff = Backoff::exponential(Duration::from_nanos(1)).factor(101);
    // At 4344 it is further below than any other factor at any retry: nearly 2^-49 of itself.
    for retry in (1..4_400).step_by(97).chain([4_344]) {
        check_power(nanos(backoff.delay(retry, Duration::ZERO)), 1, 101, retry - 1);
    }
    assert!(nanos(backoff.delay(4_380, Duration::ZERO)) < LONGEST);
    assert_eq!(nanos(backoff.delay(4_400, Duration::ZERO)), LONGEST);
    assert_eq!(nanos(backoff.delay(u32::MAX, Duration::ZERO)), LONGEST);
}

#[test]
fn doubling_and_half_as_much_again_are_exact() {
    for retry in 1..=40_u32 {
        let steps = retry - 1;
        let doubled = Backoff::exponential(Duration::from_nanos(3)).delay(retry, Duration::ZERO);
        assert_eq!(u128::from(nanos(doubled)), 3 << steps);
        let base = 1 << steps.min(24);
        let backoff = Backoff::exponential(Duration::from_nanos(base)).factor(150);
        let exact = (u128::from(base) * 3_u128.pow(steps)) >> steps;
        assert_eq!(u128::from(nanos(backoff.delay(retry, Duration::ZERO))), exact);
    }
}
