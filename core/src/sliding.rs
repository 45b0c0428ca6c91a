//! Limits on the calls of a window that slides along with the present: at most so many in the last
//! minute, at any moment.
//!
//! | | memory | how exact |
//! |---|---|---|
//! | [`SlidingLog`] | a word per call that the limit allows | exact: no window of that length ever holds more |
//! | [`SlidingWindowCounter`] | a word | an estimate: exact for calls that come evenly, less than twice the limit at worst |
//!
//! A token bucket of the same rate allows up to its burst and what flows in meanwhile in one
//! window, twice as much where the burst is a window's worth; what these allow is what providers
//! mean by "100 requests per minute". Where it matters only that the load is bounded, the bucket
//! is the better choice: it spreads calls out, while a window that is full lets the next ones
//! through as unevenly as the last ones came.

mod counter;
mod log;
mod span;

pub use counter::{CountedCall, SlidingWindowConfig, SlidingWindowCounter};
pub use log::{LogEntry, SlidingLog, SlidingLogConfig};

/// What a sliding limit knows at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct LimitSnapshot {
    /// How many calls a window may hold.
    pub limit: u32,
    /// How many the present one holds, at most [`limit`](Self::limit).
    pub used: u32,
}

impl LimitSnapshot {
    /// How many more calls would be let in now.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}
