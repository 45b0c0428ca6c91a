//! What a pipeline counts for people: an optional part.

use core::time::Duration;

use crate::error::Reason;
use crate::gate::Outcome;
use crate::histogram::LatencySummary;
use crate::meter::{Latencies, Stamp, Start, Streak, add, count, read};
use crate::pointer::through_pointers;
use crate::sync::{AtomicWord, array_of, constructor};
use crate::time::{Clock, Ticks};
use crate::word::{Word, widen};

/// The meter of a pipeline on the timer `T`: `()` for none, a [`PipelineMeter`], or a pointer to
/// one. Sealed.
pub trait PipelineMetering<T>: sealed::PipelineMetering<T> {}

/// How far a call had come when it ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub(super) how: How,
    /// Whether it was cut off.
    pub(super) timed_out: bool,
    /// When it began, where the meter wants to know.
    pub(super) start: Ticks,
    /// The number of its last attempt, if there was one.
    pub(super) attempt: u32,
    /// How often the operation was begun.
    pub(super) runs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// What the gates around the call are told.
    Judged(Outcome),
    Rejected(Reason),
    /// The call was dropped.
    Abandoned,
}

pub(super) mod sealed {
    use super::{Ended, Ticks};

    pub trait PipelineMetering<T> {
        /// Whether it counts at all.
        const IS_ON: bool;
        /// Whether it wants to know when a call began.
        const NEEDS_START: bool;

        fn begin(&self);
        /// Counts a call out; `now` is read on a failure, and for latencies.
        fn end(&self, call: Ended, now: impl Fn() -> Ticks);
        /// An attempt was cut off.
        fn cut_off(&self);
    }
}

impl<T> PipelineMetering<T> for () {}

impl<T> sealed::PipelineMetering<T> for () {
    const IS_ON: bool = false;
    const NEEDS_START: bool = false;

    #[inline]
    fn begin(&self) {}

    #[inline]
    fn end(&self, _call: Ended, _now: impl Fn() -> Ticks) {}

    #[inline]
    fn cut_off(&self) {}
}

macro_rules! pointer_metering {
    ($pointer:ty) => {
        impl<T, M: PipelineMetering<T>> PipelineMetering<T> for $pointer {}

        impl<T, M: PipelineMetering<T>> sealed::PipelineMetering<T> for $pointer {
            const IS_ON: bool = M::IS_ON;
            const NEEDS_START: bool = M::NEEDS_START;

            #[inline]
            fn begin(&self) {
                (**self).begin();
            }

            #[inline]
            fn end(&self, call: Ended, now: impl Fn() -> Ticks) {
                (**self).end(call, now);
            }

            #[inline]
            fn cut_off(&self) {
                (**self).cut_off();
            }
        }
    };
}

through_pointers!(pointer_metering, M);

/// Counts the calls through a pipeline, over the timer `C` of that pipeline: how they ended, how
/// many attempts they took, when the last one failed; and, if asked to, their
/// [latencies](Self::with_latencies).
///
/// It outlives the pipeline, which is made anew where it is used, so it is given to it by
/// reference, and several pipelines may share one.
///
/// A call that succeeds at the first attempt costs two shared read-modify-writes, with latencies
/// three, and two readings of the clock. Counters are words: where those are 32 bits they wrap at
/// 2^32, and the time of the last failure is kept to about a millisecond, for 24 days.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{
///     Backoff, Histogram, HistogramConfig, ManualClock, Pipeline, PipelineMeter, Retry,
/// };
///
/// static CLOCK: ManualClock = ManualClock::new();
/// static QUERIES: PipelineMeter<&ManualClock, Histogram<&ManualClock>> =
///     PipelineMeter::with_latencies(Histogram::new(HistogramConfig::standard()), &CLOCK);
///
/// # pollster::block_on(async {
/// let answer = Pipeline::new(&CLOCK)
///     .retry(Retry::new(Backoff::none()))
///     .metered(&QUERIES)
///     .call(|attempt| async move {
///         CLOCK.advance(Duration::from_millis(20));
///         if attempt.is_retry() { Ok("42 rows") } else { Err("deadlock") }
///     })
///     .await;
/// assert!(answer.is_ok());
///
/// let now = QUERIES.snapshot();
/// assert_eq!((now.calls, now.successes, now.attempts, now.retries), (1, 1, 2, 1));
/// assert!(now.latency.unwrap().p50 > Duration::from_millis(39));
/// # });
/// ```
#[derive(Debug)]
pub struct PipelineMeter<C, L = ()> {
    calls: AtomicWord,
    successes: Streak,
    failures: Streak,
    timed_out: AtomicWord,
    ignored: AtomicWord,
    abandoned: AtomicWord,
    rejected: [AtomicWord; REASONS],
    /// How often operations were begun, beyond once in each call that was judged.
    further: AtomicWord,
    retries: AtomicWord,
    attempts_timed_out: AtomicWord,
    last_failure: Stamp,
    latencies: L,
    clock: C,
}

const REASONS: usize = Reason::ALL.len();

impl<C> PipelineMeter<C> {
    constructor! {
        /// A meter at 0, without latencies.
        #[must_use]
        pub const fn new(clock: C) -> Self {
            Self::with_latencies((), clock)
        }
    }
}

impl<C, L> PipelineMeter<C, L> {
    constructor! {
        /// A meter at 0 with the latencies of the calls that succeeded or failed, from the first
        /// poll to the answer: a [`Histogram`](crate::Histogram) or a
        /// [`WindowedHistogram`](crate::WindowedHistogram) over the same clock, or a reference to
        /// one.
        #[must_use]
        pub const fn with_latencies(latencies: L, clock: C) -> Self {
            Self {
                calls: AtomicWord::new(0),
                successes: Streak::new(),
                failures: Streak::new(),
                timed_out: AtomicWord::new(0),
                ignored: AtomicWord::new(0),
                abandoned: AtomicWord::new(0),
                rejected: array_of![AtomicWord::new(0); REASONS],
                further: AtomicWord::new(0),
                retries: AtomicWord::new(0),
                attempts_timed_out: AtomicWord::new(0),
                last_failure: Stamp::never(),
                latencies,
                clock,
            }
        }
    }
}

impl<C: Clock, L: Latencies<C>> PipelineMeter<C, L> {
    /// The counts at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PipelineSnapshot {
        self.snapshot_at(self.clock.now())
    }

    /// The [`snapshot`](Self::snapshot) as of `now`.
    #[must_use]
    pub fn snapshot_at(&self, now: Ticks) -> PipelineSnapshot {
        let mut rejected = [0; REASONS];
        for (copy, word) in rejected.iter_mut().zip(&self.rejected) {
            *copy = read(word);
        }
        let rejections = Rejections(rejected);
        let (successes, failures) = (self.successes.all(), self.failures.all());
        let (ignored, abandoned) = (read(&self.ignored), read(&self.abandoned));
        let judged = successes.wrapping_add(failures).wrapping_add(ignored);
        let ended = judged.wrapping_add(abandoned).wrapping_add(rejections.total());
        // After what has ended, so that it is no less, but where two readings change places.
        let calls = read(&self.calls);
        PipelineSnapshot {
            calls,
            running: outstanding(calls, ended),
            successes,
            failures,
            timed_out: read(&self.timed_out),
            ignored,
            abandoned,
            rejections,
            attempts: judged.wrapping_add(read(&self.further)),
            attempts_timed_out: read(&self.attempts_timed_out),
            retries: read(&self.retries),
            consecutive_successes: self.successes.in_a_row(),
            consecutive_failures: self.failures.in_a_row(),
            since_last_failure: self.last_failure.since(C::TICKS_PER_SECOND, now),
            latency: self.latencies.summary(|| now),
        }
    }
}

/// How many of the calls that began have not ended, though each count wraps with its word.
#[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
fn outstanding(calls: u64, ended: u64) -> u64 {
    let running = (calls as Word).wrapping_sub(ended as Word);
    // Below zero: the readings are not of one moment.
    if running > Word::MAX / 2 { 0 } else { widen(running) }
}

impl<C: Clock, L: Latencies<C>> PipelineMetering<C> for PipelineMeter<C, L> {}

impl<C: Clock, L: Latencies<C>> sealed::PipelineMetering<C> for PipelineMeter<C, L> {
    const IS_ON: bool = true;
    const NEEDS_START: bool = L::Start::IS_KNOWN;

    #[inline]
    fn begin(&self) {
        count(&self.calls);
    }

    #[inline]
    fn end(&self, call: Ended, now: impl Fn() -> Ticks) {
        let judged = match call.how {
            How::Rejected(reason) => {
                if let Some(word) = self.rejected.get(reason as usize) {
                    count(word);
                }
                false
            }
            How::Abandoned => {
                count(&self.abandoned);
                false
            }
            How::Judged(outcome) => {
                self.judge(outcome, call.start, now);
                true
            }
        };
        // Mostly all three are 0, and nothing is written.
        add(&self.further, call.runs.saturating_sub(judged.into()));
        add(&self.retries, call.attempt.saturating_sub(1));
        add(&self.timed_out, (judged && call.timed_out).into());
    }

    #[inline]
    fn cut_off(&self) {
        count(&self.attempts_timed_out);
    }
}

impl<C: Clock, L: Latencies<C>> PipelineMeter<C, L> {
    #[inline]
    fn judge(&self, outcome: Outcome, start: Ticks, now: impl Fn() -> Ticks) {
        let start = L::Start::at(start);
        match outcome {
            Outcome::Success => {
                self.successes.count();
                self.failures.end();
                self.latencies.record(start, now);
            }
            Outcome::Failure => {
                self.failures.count();
                self.successes.end();
                let now = now();
                self.last_failure.set(C::TICKS_PER_SECOND, now);
                self.latencies.record(start, || now);
            }
            Outcome::Ignored | Outcome::Abandoned | Outcome::Refused => count(&self.ignored),
        }
    }
}

/// What a [`PipelineMeter`] has counted. Each call is in one of `successes`, `failures`, `ignored`,
/// `abandoned` and `rejections` once it has ended, and in `running` until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PipelineSnapshot {
    /// All calls that were polled.
    pub calls: u64,
    /// Calls running now, or waiting to be let in.
    pub running: u64,
    /// Calls that succeeded in the end.
    pub successes: u64,
    /// Calls that failed in the end, or were cut off.
    pub failures: u64,
    /// Those of the failures that were cut off: their answer was
    /// [`Error::TimedOut`](crate::Error::TimedOut).
    pub timed_out: u64,
    /// Calls that ended in what says nothing, by the pipeline's
    /// [`Classify`](crate::Classify).
    pub ignored: u64,
    /// Calls whose future was dropped before it was ready.
    pub abandoned: u64,
    /// Calls that were refused in the end, by reason.
    pub rejections: Rejections,
    /// How often the operation was begun, in calls that have ended.
    pub attempts: u64,
    /// How often it was cut off, whatever came of the call.
    pub attempts_timed_out: u64,
    /// How often another attempt was made, in calls that have ended. One that a gate refused
    /// counts here, and not among the `attempts`.
    pub retries: u64,
    /// Calls that succeeded since the last one that failed.
    pub consecutive_successes: u64,
    /// Calls that failed since the last one that succeeded. Two calls that end at the same moment,
    /// one well and one badly, may each count themselves as the last, until the next one ends.
    pub consecutive_failures: u64,
    /// How long ago a call last failed, where one did.
    pub since_last_failure: Option<Duration>,
    /// How long the calls took that succeeded or failed, where there were any and the meter keeps
    /// [latencies](PipelineMeter::with_latencies).
    pub latency: Option<LatencySummary>,
}

/// Refusals by reason.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Gate, ManualClock, Pipeline, PipelineMeter, Reason, Semaphore};
///
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let (permits, meter): (Semaphore, _) = (Semaphore::new(1), PipelineMeter::new(&clock));
/// let pipeline = Pipeline::new(&clock).per_call(&permits).metered(&meter);
///
/// let _held = permits.permit();
/// assert!(pipeline.call(|_| async { Ok::<_, ()>(()) }).await.is_err());
/// let rejections = meter.snapshot().rejections;
/// assert_eq!((rejections.total(), rejections.of(Reason::BulkheadFull)), (1, 1));
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rejections([u64; REASONS]);

impl Rejections {
    /// How many there were for `reason`.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many there were for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().copied().fold(0, u64::wrapping_add)
    }

    /// All reasons for which there were any.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.0).filter(|(_, refusals)| *refusals > 0)
    }
}
