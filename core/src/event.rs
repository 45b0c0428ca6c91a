//! What primitives tell an observer.

use core::fmt;
use core::time::Duration;

use crate::breaker::{Counts, State};
use crate::error::Rejection;
use crate::pointer::through_pointers;

/// Something that happened. Its `Display` is a line for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event<'a> {
    /// A circuit breaker went from one state to another; never from a state to itself.
    StateChanged {
        /// The breaker's name.
        name: &'a str,
        /// The state it left.
        from: State,
        /// The state it is in now.
        to: State,
        /// What had been counted in the state it left.
        counts: Counts,
        /// The number of the new state: grows by one with each change and wraps at 2^16, where
        /// words are 32 bits 2^6. Threads report on their own, so events may come in another
        /// order than the changes did; this tells which of two is the later one.
        generation: u16,
    },
    /// A gate refused a call.
    Rejected {
        /// The gate's name.
        name: &'a str,
        /// Why, and when to come back.
        rejection: Rejection,
    },
    /// A gate in shadow mode let a call in that it would have refused.
    WouldReject {
        /// The gate's name.
        name: &'a str,
        /// Why, and when to come back.
        rejection: Rejection,
    },
    /// A tier further down answered in place of the first.
    FellBack {
        /// The name of the call.
        name: &'a str,
        /// The tier that answered: 1 for the first one after the call itself.
        tier: u32,
    },
    /// An attempt failed and another will follow.
    Retrying {
        /// The name of the retry or pipeline.
        name: &'a str,
        /// The number of the attempt that failed; the first is 1.
        attempt: u32,
        /// The wait before the next one.
        delay: Duration,
    },
    /// A hedged call starts another attempt.
    Hedged {
        /// The name of the hedge or pipeline.
        name: &'a str,
        /// The number of the attempt that is started: 2 or more.
        attempt: u32,
        /// How many attempts still run beside it; 0 where all before it have failed.
        running: u32,
    },
    /// The last attempt failed and no other will follow.
    GaveUp {
        /// The name of the retry or pipeline.
        name: &'a str,
        /// How many attempts were made.
        attempts: u32,
        /// What ended it.
        cause: GiveUp,
    },
    /// An attempt or a call was cancelled because its time was up.
    TimedOut {
        /// The name of the pipeline.
        name: &'a str,
        /// The number of the attempt; the first is 1.
        attempt: u32,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateChanged { name, from, to, .. } => write!(f, "{name}: {from} -> {to}"),
            Self::Rejected { name, rejection } => write!(f, "{name}: rejected: {rejection}"),
            Self::WouldReject { name, rejection } => {
                write!(f, "{name}: let in, but would be rejected: {rejection}")
            }
            Self::FellBack { name, tier } => write!(f, "{name}: answered by fallback tier {tier}"),
            Self::Retrying { name, attempt, delay } => {
                write!(f, "{name}: attempt {attempt} failed, the next one follows in {delay:?}")
            }
            Self::Hedged { name, attempt, running: 0 } => {
                write!(f, "{name}: all attempts so far have failed, attempt {attempt} starts")
            }
            Self::Hedged { name, attempt, .. } => {
                write!(f, "{name}: no answer so far, attempt {attempt} starts as well")
            }
            Self::GaveUp { name, attempts, cause } => {
                let plural = if *attempts == 1 { "" } else { "s" };
                write!(f, "{name}: gave up after {attempts} attempt{plural}: {cause}")
            }
            Self::TimedOut { name, attempt } => write!(f, "{name}: timed out in attempt {attempt}"),
        }
    }
}

/// Why no further attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GiveUp {
    /// The error is not one to retry.
    NotRetryable,
    /// All attempts were made.
    Attempts,
    /// The next attempt would have begun at or after the deadline.
    Deadline,
    /// The retry budget is spent.
    Budget,
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetryable => "the error is not one to retry",
            Self::Attempts => "all attempts were made",
            Self::Deadline => "the next attempt would have come after the deadline",
            Self::Budget => "the retry budget is spent",
        })
    }
}

/// Whoever wants to know what happened.
///
/// `on_event` is called after the change is committed, outside of every retry loop and under no
/// lock, on the thread or in the interrupt that caused it: it may call back into the primitive, and
/// should be quick. `()` observes nothing and costs nothing.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Event, ManualClock, Observer, State};
///
/// struct Log;
///
/// impl Observer for Log {
///     fn on_event(&self, event: &Event<'_>) {
///         println!("{event}");
///         if let Event::StateChanged { from, to, .. } = event {
///             assert_eq!((*from, *to), (State::Closed, State::ForcedOpen));
///         }
///     }
/// }
///
/// let clock: ManualClock = ManualClock::new();
/// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock).observed_by("db", Log);
/// breaker.force_open();
/// ```
pub trait Observer {
    /// Takes note of `event`.
    fn on_event(&self, event: &Event<'_>);

    /// Whether anything is observed at all; where not, nothing is gathered for an event.
    #[inline]
    fn is_active(&self) -> bool {
        true
    }

    /// The name under which a primitive that has no name of its own reports.
    #[doc(hidden)]
    fn name(&self) -> &'static str {
        ""
    }
}

impl Observer for () {
    #[inline]
    fn on_event(&self, _event: &Event<'_>) {}

    #[inline]
    fn is_active(&self) -> bool {
        false
    }
}

/// Both are told, the first one first. The name is that of the first one.
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Event, ManualClock, Observer, Switch};
///
/// # struct Log;
/// # impl Observer for Log { fn on_event(&self, event: &Event<'_>) { println!("{event}"); } }
/// static SUGGESTIONS: Switch = Switch::new();
///
/// let clock: ManualClock = ManualClock::new();
/// let db = CircuitBreaker::new(BreakerConfig::standard(), &clock)
///     .observed_by("db", (Log, &SUGGESTIONS));
/// db.force_open();
/// assert!(!SUGGESTIONS.is_enabled());
/// ```
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on_event(&self, event: &Event<'_>) {
        self.0.on_event(event);
        self.1.on_event(event);
    }

    #[inline]
    fn is_active(&self) -> bool {
        self.0.is_active() || self.1.is_active()
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }
}

macro_rules! pointer_observer {
    ($pointer:ty) => {
        impl<O: Observer + ?Sized> Observer for $pointer {
            fn on_event(&self, event: &Event<'_>) {
                (**self).on_event(event);
            }

            #[inline]
            fn is_active(&self) -> bool {
                (**self).is_active()
            }

            fn name(&self) -> &'static str {
                (**self).name()
            }
        }
    };
}

through_pointers!(pointer_observer, O);
