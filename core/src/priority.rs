//! What goes first when there is not enough for all.

use core::fmt;

use crate::error::{ConfigError, Setting, setting};
use crate::inflight::Share;
use crate::ratio::Ratio;

const SHARES: Setting = setting!(
    "the shares of the priorities"
        must "be more than 0 % and at most 100 %, and none above that of a higher priority"
);

/// How much a call matters when there is too much load: the less it does, the earlier it is
/// refused.
///
/// Each priority may use a share of a limit: a call is let in while less than that share is in
/// flight, whatever the priorities of what is in flight. So the last places are kept for those that
/// matter most. Levels and their order follow the criticality of the "Site Reliability Engineering"
/// book (chapter 21, "Handling Overload").
///
/// Take it from what the caller is, not from what it says it is.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Gate, LoadShedder, Priority, ShedderConfig};
///
/// static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(10));
///
/// fn priority(path: &str, paying: bool) -> Priority {
///     match path {
///         "/health" => Priority::Critical,
///         "/export" => Priority::Low,
///         _ if paying => Priority::High,
///         _ => Priority::Normal,
///     }
/// }
///
/// // Half of the limit is in use.
/// let calls: Vec<_> = (0..5).map(|_| SHEDDER.permit().unwrap()).collect();
/// assert!(SHEDDER.at(priority("/export", true)).permit().is_err());
/// assert!(SHEDDER.at(priority("/search", false)).permit().is_ok());
/// # drop(calls);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Priority {
    /// Can be done later, or not at all: batch jobs, prefetching, exports. Half of the limit.
    Low,
    /// What most calls are. 80 % of the limit.
    Normal,
    /// Those who pay, those who wait at a screen to pay. 90 % of the limit.
    High,
    /// Goes last: health checks, control, what ends the overload. The whole limit.
    Critical,
}

impl Priority {
    /// From the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// The share of each priority, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharesConfig([Ratio; 4]);

impl SharesConfig {
    pub(crate) const STANDARD: Self =
        Self([Ratio::percent(50), Ratio::percent(80), Ratio::percent(90), Ratio::percent(100)]);

    pub(crate) const fn with(mut self, priority: Priority, share: Ratio) -> Self {
        self.0[priority as usize] = share;
        self
    }

    pub(crate) const fn resolve(self) -> Result<Shares, ConfigError> {
        let mut shares = [Share::WHOLE; 4];
        let mut level = 0;
        while level < shares.len() {
            let share = self.0[level];
            if !share.is_share() {
                return Err(SHARES.ratio(share));
            }
            shares[level] = Share::new(share.numerator(), share.denominator());
            if level > 0 && !at_least(share, self.0[level - 1]) {
                return Err(SHARES.ratio(share));
            }
            level += 1;
        }
        Ok(Shares(shares))
    }
}

const fn at_least(ratio: Ratio, other: Ratio) -> bool {
    ratio.numerator() as u64 * other.denominator() as u64
        >= other.numerator() as u64 * ratio.denominator() as u64
}

/// The share of each priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares([Share; 4]);

impl Shares {
    #[inline]
    pub(crate) const fn of(&self, priority: Priority) -> Share {
        self.0[priority as usize]
    }
}

/// A limit as a gate for the calls of one priority; see [`LoadShedder::at`](crate::LoadShedder::at)
/// and [`AdaptiveLimit::at`](crate::AdaptiveLimit::at).
pub struct AtPriority<'a, G> {
    pub(crate) gate: &'a G,
    pub(crate) priority: Priority,
}

impl<G> AtPriority<'_, G> {
    /// The priority of the calls that enter here.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }
}

impl<G> Clone for AtPriority<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G> Copy for AtPriority<'_, G> {}

impl<G: fmt::Debug> fmt::Debug for AtPriority<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtPriority")
            .field("gate", &self.gate)
            .field("priority", &self.priority)
            .finish()
    }
}
