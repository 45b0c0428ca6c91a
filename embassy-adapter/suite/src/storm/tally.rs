//! What a worker has counted.

/// What is counted. Of all workers the sum matters, and of the last few the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// Steps that were begun.
    Steps,
    /// Steps during which another context has begun one.
    Interleaved,
    /// Compare-and-swaps that failed because another context was faster.
    Retries,

    /// Calls of the breaker that ended well, badly, and saying nothing.
    Succeeded,
    Failed,
    Ignored,
    /// Calls that it refused.
    Refused,
    /// Probes that it let in for certain.
    Probes,

    /// The same five of the breaker with a window.
    WindowedSucceeded,
    WindowedFailed,
    WindowedIgnored,
    WindowedRefused,
    WindowedProbes,

    /// Tokens of the bucket that were granted and kept.
    Granted,
    /// Calls that the bucket refused.
    Limited,

    /// Permits of the semaphore that were taken and given back.
    Permits,
    /// Waits that ended with permits, and waits that were given up.
    Waited,
    GaveUp,
    /// Times that the guarded counter was raised.
    Guarded,

    /// Calls that the budget was told of, retries it paid for, and those that it got back.
    Deposits,
    Withdrawals,
    Refunds,

    /// The most that were out at once: probes of either breaker, tokens of the ledger, permits.
    MostProbes,
    MostWindowedProbes,
    MostTokens,
    MostPermits,
}

/// How many there are.
pub(super) const TALLIES: usize = Tally::MostPermits as usize + 1;
/// The first of those that are maxima.
pub(super) const FIRST_MAXIMUM: usize = Tally::MostProbes as usize;

/// Where the calls of a breaker are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTallies {
    pub(super) succeeded: Tally,
    pub(super) failed: Tally,
    pub(super) ignored: Tally,
    pub(super) refused: Tally,
    pub(super) probes: Tally,
    pub(super) most_probes: Tally,
}

/// Those of the breaker.
pub(super) const CALLS: CallTallies = CallTallies {
    succeeded: Tally::Succeeded,
    failed: Tally::Failed,
    ignored: Tally::Ignored,
    refused: Tally::Refused,
    probes: Tally::Probes,
    most_probes: Tally::MostProbes,
};

/// Those of the breaker with a window.
pub(super) const WINDOWED: CallTallies = CallTallies {
    succeeded: Tally::WindowedSucceeded,
    failed: Tally::WindowedFailed,
    ignored: Tally::WindowedIgnored,
    refused: Tally::WindowedRefused,
    probes: Tally::WindowedProbes,
    most_probes: Tally::MostWindowedProbes,
};
