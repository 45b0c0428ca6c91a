//! Delays, jitter and randomness.

use core::time::Duration;

use fusebox_core::{Backoff, Delays, Jitter, Random, Rng};

use super::support::{EIGHTH, SECOND};
use crate::{Checked, ensure, ensure_eq};

fn begins_with<D: Iterator<Item = Duration>>(delays: D, eighths: &[u32]) -> bool {
    delays.zip(eighths).all(|(delay, &eighths)| delay == EIGHTH * eighths)
}

pub(super) fn delays_grow_as_told<const HZ: u64>() -> Checked {
    ensure!(begins_with(Backoff::none().delays(), &[0, 0, 0]));
    ensure!(begins_with(Backoff::constant(EIGHTH).delays(), &[1, 1, 1]));
    ensure!(begins_with(Backoff::linear(EIGHTH, EIGHTH * 2).delays(), &[1, 3, 5, 7]));
    ensure!(begins_with(Backoff::exponential(EIGHTH).delays(), &[1, 2, 4, 8, 16]));
    let slower = Backoff::exponential(EIGHTH * 4).factor(150).max_delay(SECOND);
    ensure!(begins_with(slower.delays(), &[4, 6, 8, 8]));
    let saturates = Backoff::exponential(SECOND).delay(u32::MAX, Duration::ZERO);
    ensure!(saturates >= SECOND * 60 * 60 * 24 * 365);
    Ok(())
}

pub(super) fn no_jitter_is_beyond_the_maximum<const HZ: u64>() -> Checked {
    let rng = Rng::from_seed(7);
    let capped = Backoff::exponential(EIGHTH).max_delay(SECOND);
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let delays = capped.jitter(jitter, &rng).delays();
        ensure!(delays.take(100).all(|delay| delay <= SECOND));
    }
    Ok(())
}

pub(super) fn jitter_spreads_over_its_range<const HZ: u64>() -> Checked {
    let rng = Rng::from_seed(7);
    let constant = Backoff::constant(SECOND);
    for (jitter, least, most) in [
        (Jitter::Full, Duration::ZERO, SECOND),
        (Jitter::Equal, SECOND / 2, SECOND),
        (Jitter::Decorrelated, SECOND, SECOND * 3),
    ] {
        // The first delay only, as the later ones of the last kind depend on those before.
        let backoff = constant.jitter(jitter, &rng);
        let (mut shortest, mut longest) = (most, least);
        for _ in 0..200 {
            let delay = backoff.delay(1, Duration::ZERO);
            ensure!(delay >= least && delay <= most);
            (shortest, longest) = (shortest.min(delay), longest.max(delay));
        }
        let tenth = (most - least) / 10;
        ensure!(shortest < least + tenth && longest > most - tenth, "it reaches its ends");
    }
    Ok(())
}

pub(super) fn a_backoff_that_cannot_be_is_refused<const HZ: u64>() -> Checked {
    ensure!(Backoff::exponential(EIGHTH).validate().is_ok());
    ensure!(Backoff::exponential(Duration::ZERO).validate().is_err());
    ensure!(Backoff::exponential(EIGHTH).factor(99).validate().is_err());
    ensure!(Backoff::constant(SECOND).max_delay(EIGHTH).validate().is_err());
    Ok(())
}

pub(super) fn random_numbers_are_the_same_everywhere<const HZ: u64>() -> Checked {
    // The first ones of SplitMix64 from this seed, as given with its reference implementation.
    let rng = Rng::from_seed(1_234_567);
    for expected in
        [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
    {
        ensure_eq!(rng.next_u64(), expected);
    }
    let mut seen = [0_u32; 5];
    for _ in 0..500 {
        if let Some(times) = seen.get_mut(rng.below(5) as usize) {
            *times += 1;
        }
    }
    ensure_eq!(seen.iter().sum::<u32>(), 500);
    ensure!(seen.iter().all(|&times| times > 50), "it reaches everything");
    ensure_eq!(rng.below(0), 0);
    Ok(())
}
