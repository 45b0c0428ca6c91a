//! Delays between attempts.
//!
//! **Formulas.** With n the number of the retry, from 1:
//!
//! | kind | delay before jitter |
//! |---|---|
//! | constant | `base` |
//! | linear | `base + step * (n - 1)` |
//! | exponential | `base * (factor / 100)^(n - 1)` |
//!
//! The jitters are those of Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog,
//! 2015), with d the delay above, capped:
//!
//! | jitter | delay |
//! |---|---|
//! | none | `d` |
//! | full | uniform over `0 ..= d` |
//! | equal | `d / 2` + uniform over `0 ..= d / 2` |
//! | decorrelated | `min(max_delay, uniform over base ..= 3 * previous)` |
//!
//! The article caps what goes *into* the jitter, so that long delays are spread over the whole of
//! `0 ..= max_delay` instead of piling up at its end; that is done here too. What holds for every
//! kind is the promise on the way *out*: no delay is ever above `max_delay`.
//!
//! **Arithmetic.** Nanoseconds in a `u64`, less than 2^63; what does not fit (292 years) saturates.
//! A power is computed by squaring, on a mantissa of at least 62 bits and an exponent, rounded down
//! at each step: at most 64 multiplications whatever n, no division, no float. A factor whose
//! powers fit the mantissa (doubling for ever, 150 % for 40 retries) is exact; for any other the
//! delay is at most 1 ns + 2^-49 of itself below the exact one in whole nanoseconds (1 ns up to six
//! days), and never above.
//! Why not multiply by the factor n times: at 101 % that is 4459 steps before it saturates, and
//! rounding to the nanosecond at each of them never gets away from small bases.

use core::fmt;
use core::time::Duration;

use crate::error::{ConfigError, Setting, setting};
use crate::pointer::through_pointers;
use crate::ratio::Ratio;
use crate::rng::Random;
use crate::wide::{billions, multiply_add};

mod factor;

use factor::Factor;

const FACTOR: Setting = setting!("the backoff's `factor`" must "be at least 100 %");
const BASE: Setting = setting!("the base of an exponential backoff" must "be more than zero");
const MAX_DELAY: Setting = setting!("the backoff's `max_delay`" must "be at least its base");

/// How a delay is spread out, so that callers that failed together do not come back together.
///
/// The formulas are those of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Jitter {
    /// Not at all.
    None,
    /// Uniform from 0 to the delay: the least load on a server in trouble. The usual choice.
    #[default]
    Full,
    /// Half of the delay, and uniform from 0 to the other half: never nearly at once.
    Equal,
    /// Uniform from the base to three times the delay before (at first: three times the base). How
    /// fast it grows is up to chance, so steps and factors have no effect; `max_delay` does.
    Decorrelated,
}

/// What gives the delay before each retry: a [`Backoff`], or a rule of your own.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::Delays;
///
/// /// Two quick retries, then patience.
/// struct Impatient;
///
/// impl Delays for Impatient {
///     fn delay(&self, retry: u32, _previous: Duration) -> Duration {
///         if retry <= 2 { Duration::from_millis(5) } else { Duration::from_secs(1) }
///     }
/// }
/// ```
pub trait Delays {
    /// The delay before the retry with this number; the first retry, which is the second attempt,
    /// has number 1. `previous` is the delay before the retry before it, zero at first.
    fn delay(&self, retry: u32, previous: Duration) -> Duration;
}

macro_rules! pointer_delays {
    ($pointer:ty) => {
        impl<D: Delays + ?Sized> Delays for $pointer {
            #[inline]
            fn delay(&self, retry: u32, previous: Duration) -> Duration {
                (**self).delay(retry, previous)
            }
        }
    };
}

through_pointers!(pointer_delays, D);

/// The delay before each retry: constant, linear or exponential, capped, with or without jitter.
///
/// `R` is the source of randomness; `()` where there is no jitter. There is no jitter without a
/// source, and no source with a built-in seed.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::Backoff;
///
/// const BACKOFF: Backoff =
///     Backoff::exponential(Duration::from_millis(100)).max_delay(Duration::from_secs(1));
///
/// let delays: Vec<_> = BACKOFF.delays().take(6).map(|delay| delay.as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
/// ```
///
/// With jitter, in a `static`:
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Backoff, Jitter, Rng};
///
/// // On a device: its serial number. With `std`, take the seed from the operating system.
/// # const SERIAL_NUMBER: u64 = 42;
/// static RNG: Rng = Rng::from_seed(SERIAL_NUMBER);
/// static BACKOFF: Backoff<&Rng> = Backoff::exponential(Duration::from_millis(100))
///     .max_delay(Duration::from_secs(20))
///     .jitter(Jitter::Full, &RNG);
///
/// assert!(BACKOFF.delays().take(100).all(|delay| delay <= Duration::from_secs(20)));
/// ```
///
/// Jitter without a source of randomness does not compile:
///
/// ```compile_fail
/// # use core::time::Duration;
/// # use fusebox_core::{Backoff, Jitter};
/// let backoff = Backoff::constant(Duration::from_secs(1)).jitter(Jitter::Full, ());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a backoff does nothing by itself"]
pub struct Backoff<R = ()> {
    /// In nanoseconds, as all times here.
    base: u64,
    growth: Growth,
    max: u64,
    jitter: Jitter,
    random: R,
}

/// How the delay grows from one retry to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// By so many nanoseconds.
    Add(u64),
    /// By a [`Factor`]: in its parts, as whole it would leave room between them.
    Multiply { percent: u32, exponent: u8, mantissa: u64 },
}

impl Backoff<()> {
    /// No delay: each retry follows at once.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// The same delay before each retry.
    pub const fn constant(delay: Duration) -> Self {
        Self::linear(delay, Duration::ZERO)
    }

    /// `base` before the first retry, and `step` more before each further one.
    pub const fn linear(base: Duration, step: Duration) -> Self {
        Self {
            base: nanos(base),
            growth: Growth::Add(nanos(step)),
            max: LONGEST,
            jitter: Jitter::None,
            random: (),
        }
    }

    /// `base` before the first retry, and twice the delay before for each further one; see
    /// [`factor`](Self::factor) for another growth, and set a [`max_delay`](Self::max_delay).
    pub const fn exponential(base: Duration) -> Self {
        Self::constant(base).factor(200)
    }

    /// Spreads the delays by `jitter`, with randomness from `random`: a `&Rng`, or a generator of
    /// the platform. An `Arc<Rng>` goes in as `&arc`, as a [`Retry`](crate::Retry) wants what is
    /// `Copy`.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, Jitter, Rng};
    ///
    /// let rng = Rng::from_seed(42);
    /// let backoff = Backoff::constant(Duration::from_secs(2)).jitter(Jitter::Equal, &rng);
    /// for delay in backoff.delays().take(100) {
    ///     assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(2));
    /// }
    /// ```
    pub const fn jitter<R: Random>(self, jitter: Jitter, random: R) -> Backoff<R> {
        Backoff { base: self.base, growth: self.growth, max: self.max, jitter, random }
    }
}

impl<R> Backoff<R> {
    /// Lets the delay grow by a factor for each retry, given in percent: 200 is doubling, 150 one
    /// and a half times. At least 100. A backoff that grew in steps no longer does.
    pub const fn factor(mut self, percent: u32) -> Self {
        let Factor { mantissa, exponent } = Factor::from_percent(percent);
        // Less than 64.
        self.growth = Growth::Multiply { percent, exponent: exponent as u8, mantissa };
        self
    }

    /// Makes no delay longer than this, whatever the jitter. Without it a delay is limited by 292
    /// years.
    pub const fn max_delay(mut self, max: Duration) -> Self {
        self.max = nanos(max);
        self
    }

    /// Checks the settings; whatever uses a backoff does so in its own constructor.
    ///
    /// # Errors
    ///
    /// A factor below 100 %, an exponential backoff that starts from zero, or a `max_delay` below
    /// the base.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if let Growth::Multiply { percent, .. } = self.growth {
            if percent < 100 {
                return Err(FACTOR.ratio(Ratio::percent(percent)));
            }
            if self.base == 0 && percent > 100 {
                return Err(BASE.duration(Duration::ZERO, Duration::from_nanos(1), Duration::MAX));
            }
        }
        if self.max < self.base {
            let (max, base) = (Duration::from_nanos(self.max), Duration::from_nanos(self.base));
            return Err(MAX_DELAY.duration(max, base, Duration::MAX));
        }
        Ok(())
    }

    /// The delays one after another, without end.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::Backoff;
    ///
    /// let backoff = Backoff::linear(Duration::from_secs(1), Duration::from_secs(2));
    /// let total: Duration = backoff.delays().take(3).sum();
    /// assert_eq!(total, Duration::from_secs(1 + 3 + 5));
    /// ```
    pub fn delays(self) -> DelayIter<Self>
    where
        Self: Delays,
    {
        DelayIter { delays: self, retry: 0, previous: Duration::ZERO }
    }

    /// The delay in nanoseconds before any jitter, at most the maximum.
    fn plain(&self, retry: u32) -> u64 {
        let steps = retry.saturating_sub(1);
        let delay = match self.growth {
            Growth::Add(step) => multiply_add(step, steps, self.base),
            Growth::Multiply { exponent, mantissa, .. } => {
                let factor = Factor { mantissa, exponent: exponent as u32 };
                factor.grow(self.base, steps)
            }
        };
        delay.min(self.max)
    }
}

impl Delays for Backoff<()> {
    #[inline]
    fn delay(&self, retry: u32, _previous: Duration) -> Duration {
        duration_from_nanos(self.plain(retry))
    }
}

impl<R: Random> Delays for Backoff<R> {
    fn delay(&self, retry: u32, previous: Duration) -> Duration {
        let delay = match self.jitter {
            Jitter::Decorrelated => self.base,
            _ => self.plain(retry),
        };
        let spread = match self.jitter {
            Jitter::None => 0,
            Jitter::Full => delay,
            Jitter::Equal => delay / 2,
            Jitter::Decorrelated => {
                // The article starts from the base, where here nothing came before.
                let previous = nanos(previous).max(self.base);
                multiply_add(previous, 3, 0).wrapping_sub(self.base)
            }
        };
        // Of the whole delay, or half of it, the part that is not left to chance. Where that is
        // half, it is the larger one: an odd nanosecond is not lost.
        let fixed = match self.jitter {
            Jitter::Full | Jitter::Equal => delay.wrapping_sub(spread),
            Jitter::None | Jitter::Decorrelated => delay,
        };
        // No overflow: both together are a delay, or three times the previous one, saturated.
        let jittered = fixed.wrapping_add(up_to(&self.random, spread));
        // After the jitter: this is what promises the maximum, whatever came before.
        duration_from_nanos(jittered.min(self.max))
    }
}

impl<R> fmt::Debug for Backoff<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Backoff");
        out.field("base", &Duration::from_nanos(self.base));
        match self.growth {
            Growth::Add(step) => out.field("step", &Duration::from_nanos(step)),
            Growth::Multiply { percent, .. } => out.field("factor", &format_args!("{percent} %")),
        };
        let max = (self.max != LONGEST).then_some(Duration::from_nanos(self.max));
        out.field("max_delay", &max).field("jitter", &self.jitter).finish_non_exhaustive()
    }
}

/// Uniform over `0 ..= max`; draws nothing where that is 0.
#[inline]
fn up_to<R: Random>(random: &R, max: u64) -> u64 {
    // Overflows to a draw below 0, which is 0, where a base of 0 follows a delay of 195 years.
    if max == 0 { 0 } else { random.below(max.wrapping_add(1)) }
}

/// The longest delay: 292 years, so that a small target has a bit to spare.
const LONGEST: u64 = u64::MAX / 2;

/// Saturates at [`LONGEST`].
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = multiply_add(duration.as_secs(), 1_000_000_000, duration.subsec_nanos() as u64);
    if nanos < LONGEST { nanos } else { LONGEST }
}

/// As [`Duration::from_nanos`], without a division of 64 bits.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(crate) const fn duration_from_nanos(nanos: u64) -> Duration {
    let (seconds, rest) = billions(nanos);
    // Never more than that, but the compiler does not know it, and would link a panic.
    Duration::new(seconds, if rest < 1_000_000_000 { rest } else { 999_999_999 })
}

/// The delays of a [`Backoff`] one after another; see [`Backoff::delays`]. It never ends.
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing unless consumed"]
pub struct DelayIter<D> {
    delays: D,
    /// The number of the last retry; stays at `u32::MAX`.
    retry: u32,
    previous: Duration,
}

impl<D: Delays> Iterator for DelayIter<D> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.retry = self.retry.saturating_add(1);
        self.previous = self.delays.delay(self.retry, self.previous);
        Some(self.previous)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl<D: Delays> core::iter::FusedIterator for DelayIter<D> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_backoff_says_what_would_do() {
        let base = Duration::from_millis(10);
        assert_eq!(Backoff::none().validate(), Ok(()));
        assert_eq!(Backoff::exponential(base).max_delay(base).validate(), Ok(()));
        let said = |backoff: Backoff| backoff.validate().map_err(|error| error.summary());
        assert_eq!(
            said(Backoff::exponential(Duration::ZERO)),
            Err("the base of an exponential backoff must be more than zero")
        );
        assert_eq!(
            said(Backoff::exponential(base).factor(99)),
            Err("the backoff's `factor` must be at least 100 %")
        );
        let capped = Backoff::constant(base).max_delay(base / 2).validate();
        assert_eq!(capped, Err(MAX_DELAY.duration(base / 2, base, Duration::MAX)));
    }

    #[test]
    fn a_source_at_its_ends_reaches_the_ends_of_each_jitter() {
        struct Fixed(u64);
        impl Random for Fixed {
            fn next_u64(&self) -> u64 {
                self.0
            }
        }
        let ms = Duration::from_millis;
        let delay = |jitter, number, previous| {
            Backoff::constant(ms(100)).jitter(jitter, Fixed(number)).delay(1, previous)
        };
        for (jitter, least, most) in [
            (Jitter::None, 100, 100),
            (Jitter::Full, 0, 100),
            (Jitter::Equal, 50, 100),
            (Jitter::Decorrelated, 100, 900),
        ] {
            assert_eq!(delay(jitter, 0, ms(300)), ms(least), "{jitter:?}");
            assert_eq!(delay(jitter, u64::MAX, ms(300)), ms(most), "{jitter:?}");
        }
        assert_eq!(delay(Jitter::Decorrelated, u64::MAX, ms(0)), ms(300));
    }
}
