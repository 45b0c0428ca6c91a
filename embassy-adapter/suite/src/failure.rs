//! What a check says when it fails.

use core::fmt;
use core::panic::Location;
use core::time::Duration;

use fusebox_core::{State, Ticks};

/// What a check comes to.
pub type Checked = Result<(), Failure>;

/// What did not hold, and where. Its `Display` is a line for a log.
///
/// It keeps numbers, and formats them when it is printed: a passing check pays for none of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a failure that nobody reports might as well not be found"]
pub struct Failure {
    at: &'static Location<'static>,
    what: &'static str,
    /// The two sides of an equation that does not hold.
    figures: Option<(u64, u64)>,
}

impl Failure {
    /// `what` does not hold at the caller's line; use [`ensure!`](crate::ensure).
    #[cold]
    #[track_caller]
    pub const fn new(what: &'static str) -> Self {
        Self { at: Location::caller(), what, figures: None }
    }

    /// `what` says that two figures are related as these are not; use
    /// [`ensure_eq!`](crate::ensure_eq).
    #[cold]
    #[track_caller]
    pub const fn of(what: &'static str, left: u64, right: u64) -> Self {
        Self { at: Location::caller(), what, figures: Some((left, right)) }
    }

    /// The file of the check.
    #[must_use]
    pub const fn file(&self) -> &'static str {
        self.at.file()
    }

    /// The line in that file.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.at.line()
    }

    /// What does not hold.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.file(), self.line())?;
        // Of a condition as the source has it, in one line.
        for word in self.what.split_ascii_whitespace() {
            write!(f, " {word}")?;
        }
        match self.figures {
            Some((left, right)) => write!(f, " ({left}, {right})"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Failure {}

/// A value that a [`Failure`] can show.
pub trait Figure: Copy + PartialEq {
    /// The value as a number: a duration in nanoseconds, a state by its place in the enum.
    fn figure(self) -> u64;
}

macro_rules! figure {
    ($($type:ty: $value:ident => $figure:expr;)+) => {
        $(impl Figure for $type {
            #[inline]
            fn figure(self) -> u64 {
                let $value = self;
                $figure
            }
        })+
    };
}

figure! {
    bool: value => u64::from(value);
    u16: value => u64::from(value);
    u32: value => u64::from(value);
    u64: value => value;
    usize: value => value as u64;
    Ticks: value => value.0;
    Duration: value => u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
    State: value => value as u64;
}

/// Ends the check with a [`Failure`] unless the condition holds. A text may follow that says why it
/// must.
///
/// ```
/// use fusebox_suite::{Checked, ensure};
///
/// fn check() -> Checked {
///     ensure!(1 + 1 == 2);
///     ensure!(2 + 2 == 5, "arithmetic works");
///     Ok(())
/// }
/// assert_eq!(check().unwrap_err().what(), "arithmetic works");
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr $(,)?) => {
        $crate::ensure!($condition, ::core::stringify!($condition))
    };
    ($condition:expr, $what:expr $(,)?) => {
        if !$condition {
            return ::core::result::Result::Err($crate::Failure::new($what));
        }
    };
}

/// Ends the check with a [`Failure`] that shows both [`Figure`]s, unless they are equal.
///
/// ```
/// use fusebox_suite::{Checked, ensure_eq};
///
/// fn check(permits: u32) -> Checked {
///     ensure_eq!(permits, 3);
///     Ok(())
/// }
/// assert!(check(3).is_ok());
/// let text = check(2).unwrap_err().to_string();
/// assert!(text.ends_with("permits == 3 (2, 3)"), "{text}");
/// ```
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr $(,)?) => {
        $crate::ensure_eq!(
            $left,
            $right,
            ::core::concat!(::core::stringify!($left), " == ", ::core::stringify!($right))
        )
    };
    ($left:expr, $right:expr, $what:expr $(,)?) => {{
        let (left, right) = ($left, $right);
        if left != right {
            let (left, right) = ($crate::Figure::figure(left), $crate::Figure::figure(right));
            return ::core::result::Result::Err($crate::Failure::of($what, left, right));
        }
    }};
}
