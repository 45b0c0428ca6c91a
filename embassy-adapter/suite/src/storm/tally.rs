//! What a worker has counted.

/// What is counted. Sums over all workers, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// Steps that were begun.
    Steps,
    /// Steps during which another context has begun one.
    Interleaved,
    /// Compare-and-swaps that failed because another context was faster.
    Retries,
    /// Tokens of the bucket that were granted and not given back.
    Granted,
    /// Times that the guarded counter was raised.
    Guarded,
}

/// How many there are.
pub(super) const TALLIES: usize = Tally::Guarded as usize + 1;
