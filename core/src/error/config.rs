//! What is wrong with a configuration.
//!
//! A bad `static` is told in a constant: a text without values, since a constant cannot make one.
//! So each setting comes with its rule as a finished sentence, which is all the compiler shows; the
//! numbers beside it serve those who read the error at run time.

use core::fmt;
use core::time::Duration;

use crate::ratio::Ratio;

/// What is wrong with a configuration: which value, and what would be right.
///
/// `try_new` returns it at run time; `new` panics with its [`summary`](Self::summary), which in a
/// `static` is a compile error.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BreakerConfig, CircuitBreaker, ManualClock};
///
/// let clock: ManualClock = ManualClock::new();
/// let never_open = BreakerConfig::standard().open_for(Duration::ZERO);
/// let error = CircuitBreaker::try_new(never_open, &clock).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the breaker's `open_for` must be from 1ns to 4611686018s, but is 0ns",
/// );
/// assert_eq!(
///     error.summary(),
///     "the breaker's `open_for` must be from one tick of the clock to a quarter of its range",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside of what it may be.
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// What must be true of it, as a sentence.
        rule: &'static str,
        /// Its value.
        value: u64,
        /// The smallest value that would do.
        min: u64,
        /// The largest value that would do; `u64::MAX` where only the type is a limit.
        max: u64,
    },
    /// A time is shorter or longer than it may be.
    DurationOutOfRange {
        /// Which setting.
        what: &'static str,
        /// What must be true of it, as a sentence.
        rule: &'static str,
        /// Its value.
        value: Duration,
        /// The shortest time that would do.
        min: Duration,
        /// The longest time that would do, in whole seconds where it depends on the clock;
        /// `Duration::MAX` where only the type is a limit.
        max: Duration,
    },
    /// A ratio is outside of what it may be, or no number at all.
    RatioOutOfRange {
        /// What must be true of which setting, as a sentence.
        rule: &'static str,
        /// Its value.
        value: Ratio,
    },
    /// A window would never hold as many calls as a rate is judged from.
    MinimumAboveWindow {
        /// The calls that a rate needs.
        minimum: u32,
        /// The calls that the window can hold.
        window: u32,
    },
    /// A window cannot share its calls out evenly among its buckets.
    UnevenWindow {
        /// The calls of the window.
        calls: u32,
        /// Its buckets.
        buckets: u32,
        /// The nearest number of calls that would do.
        nearest: u32,
    },
    /// No rule could ever trip this breaker.
    NoTripRule,
    /// The rate, the burst, the longest wait and the lateness of a bucket together need more bits
    /// than a word has on this target.
    ///
    /// Each remedy is the most that fits with all else equal, and `None` where none would.
    RateNeedsMoreBits {
        /// The burst asked for.
        burst: u32,
        /// The largest burst.
        fitting_burst: Option<u32>,
        /// The largest lateness, in whole microseconds.
        fitting_lateness: Option<Duration>,
        /// The longest wait, in whole microseconds.
        fitting_wait: Option<Duration>,
    },
    /// The ratio's denominator, the reserve, the floor and the lateness of a budget together need
    /// more bits than a word has on this target.
    ///
    /// Each remedy is the most that fits with all else equal, and `None` where none would.
    BudgetNeedsMoreBits {
        /// The reserve asked for.
        reserve: u32,
        /// The floor asked for.
        floor: u32,
        /// The largest reserve.
        fitting_reserve: Option<u32>,
        /// The highest floor.
        fitting_floor: Option<u32>,
        /// The largest lateness, in whole microseconds.
        fitting_lateness: Option<Duration>,
    },
    /// Another live change of the same limits is under way. They do not wait for each other: one of
    /// them may have interrupted the other.
    ChangeUnderWay,
    /// Two members of a [`Group`](crate::Group) have the same name.
    DuplicateName,
}

/// A setting, named as the user wrote it, and its rule.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) what: &'static str,
    pub(crate) rule: &'static str,
}

/// A [`Setting`]: its name, and what must be true of it; in words of 32 bits, what is true there.
macro_rules! setting {
    ($what:literal must $rule:literal) => {
        $crate::error::Setting { what: $what, rule: concat!($what, " must ", $rule) }
    };
    ($what:literal must $wide:literal or $narrow:literal) => {
        $crate::error::Setting {
            what: $what,
            rule: if $crate::word::WORD_BITS == 64 {
                concat!($what, " must ", $wide)
            } else {
                concat!($what, " must ", $narrow)
            },
        }
    };
}
pub(crate) use setting;

/// `?` in a `const fn`.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}
pub(crate) use check;

impl Setting {
    /// The error that this number is not from `min` to `max`; `u64::MAX` where there is no most.
    pub(crate) const fn number(self, value: u64, min: u64, max: u64) -> ConfigError {
        ConfigError::OutOfRange { what: self.what, rule: self.rule, value, min, max }
    }

    /// The error that this time is not from `min` to `max`; `Duration::MAX` where there is no most.
    pub(crate) const fn duration(
        self,
        value: Duration,
        min: Duration,
        max: Duration,
    ) -> ConfigError {
        ConfigError::DurationOutOfRange { what: self.what, rule: self.rule, value, min, max }
    }

    /// The error that this ratio is not as its rule says.
    pub(crate) const fn ratio(self, value: Ratio) -> ConfigError {
        ConfigError::RatioOutOfRange { rule: self.rule, value }
    }

    /// Checks that this number is from `min` to `max`.
    pub(crate) const fn check(self, value: u64, min: u64, max: u64) -> Result<u64, ConfigError> {
        if value < min || value > max { Err(self.number(value, min, max)) } else { Ok(value) }
    }
}

impl ConfigError {
    /// What must be true, without the values: the text of the compile error for a bad `static`.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        match self {
            Self::OutOfRange { rule, .. }
            | Self::DurationOutOfRange { rule, .. }
            | Self::RatioOutOfRange { rule, .. } => rule,
            Self::MinimumAboveWindow { .. } => {
                "the window's `minimum_calls` must be at most the calls that it holds"
            }
            Self::UnevenWindow { .. } => {
                "the window's `calls` must be a multiple of its buckets (10 unless told otherwise)"
            }
            Self::NoTripRule => {
                "a breaker must have a rule that trips it: `consecutive_failures`, a rate over a \
                 window, or `trip_when`"
            }
            Self::RateNeedsMoreBits { .. } => {
                "a word cannot hold the bucket's `burst`, `max_wait` and `max_lateness` together at \
                 its rate"
            }
            Self::BudgetNeedsMoreBits { .. } => {
                "a word cannot hold the budget's `reserve`, `floor_per_second` and `max_lateness` \
                 together at its ratio"
            }
            Self::ChangeUnderWay => "another change of the same limits is under way",
            Self::DuplicateName => "each name in a group must be given once",
        }
    }

    /// Ends a constant constructor.
    #[track_caller]
    pub(crate) const fn fail(&self) -> ! {
        panic!("{}", self.summary())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfRange { what, value, min, max, .. } => {
                write_range(f, what, value, [min, max], [0, u64::MAX])
            }
            Self::DurationOutOfRange { what, value, min, max, .. } => {
                write_range(f, what, value, [min, max], [Duration::ZERO, Duration::MAX])
            }
            Self::RatioOutOfRange { rule, value } => write!(f, "{rule}, but is {value}"),
            Self::MinimumAboveWindow { minimum, window } => write!(
                f,
                "the window's `minimum_calls` is {minimum}, but it holds {window} calls: lower \
                 `minimum_calls` to {window} or widen the window"
            ),
            Self::UnevenWindow { calls, buckets, nearest } => write!(
                f,
                "the window's `calls` must be a multiple of its {buckets} buckets, such as \
                 {nearest}, but is {calls}"
            ),
            Self::RateNeedsMoreBits { burst, fitting_burst, fitting_lateness, fitting_wait } => {
                write!(
                    f,
                    "a word cannot hold the bucket's `burst` of {burst}, `max_wait` and \
                     `max_lateness` together at its rate: "
                )?;
                let mut remedies = Remedies { f, any: false };
                remedies.add("burst", fitting_burst)?;
                remedies.add("max_wait", fitting_wait)?;
                remedies.add("max_lateness", fitting_lateness)?;
                remedies.end()
            }
            Self::BudgetNeedsMoreBits {
                reserve,
                floor,
                fitting_reserve,
                fitting_floor,
                fitting_lateness,
            } => {
                write!(
                    f,
                    "a word cannot hold the budget's `reserve` of {reserve}, `floor_per_second` of \
                     {floor} and `max_lateness` together at its ratio: "
                )?;
                let mut remedies = Remedies { f, any: false };
                remedies.add("reserve", fitting_reserve)?;
                remedies.add("floor_per_second", fitting_floor)?;
                remedies.add("max_lateness", fitting_lateness)?;
                remedies.end()
            }
            Self::NoTripRule | Self::ChangeUnderWay | Self::DuplicateName => {
                f.write_str(self.summary())
            }
        }
    }
}

/// What a value must be, and what it is; bounds that are the type's own go without saying.
fn write_range<V: fmt::Debug + PartialEq>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    value: V,
    [min, max]: [V; 2],
    [least, most]: [V; 2],
) -> fmt::Result {
    write!(f, "{what} must be ")?;
    if max == most {
        write!(f, "at least {min:?}")?;
    } else if min == least {
        write!(f, "at most {max:?}")?;
    } else {
        write!(f, "from {min:?} to {max:?}")?;
    }
    write!(f, ", but is {value:?}")
}

/// The values any of which would do, one after another.
struct Remedies<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    any: bool,
}

impl Remedies<'_, '_> {
    fn add<V: fmt::Debug>(&mut self, what: &str, most: Option<V>) -> fmt::Result {
        let Some(most) = most else { return Ok(()) };
        let before = if self.any { ", or" } else { "lower" };
        self.any = true;
        write!(self.f, "{before} `{what}` to {most:?}")
    }

    fn end(self) -> fmt::Result {
        if self.any { Ok(()) } else { self.f.write_str("lower more than one of them") }
    }
}

impl core::error::Error for ConfigError {}
