//! Retries.
//!
//! A [`Retry`] is plain data: how long to wait, how often to try, what to try again, and who pays
//! for it. It stops at the limit of attempts, at an error that is not worth it, at an empty budget,
//! and where the next attempt could not begin before the deadline; then the caller gets the last
//! error as it was.
//!
//! # Reasons
//!
//! *One decision, two ways to wait.* `after_failure` decides and never waits; [`Retry::call`]
//! awaits a timer, and the std adapter's `blocking::retry` puts the thread to sleep. Code with its
//! own idea of waiting (an interrupt handler, a simulation) can drive the same three steps:
//! `start`, `after_failure`, `resume`.
//!
//! *The deadline is checked before the wait.* The sleep counts into it, so a wait that would end at
//! or after the deadline is not begun: the caller learns now, not after a pointless sleep, and gets
//! the error that the last attempt met rather than one that says only that time is up. Timers wake
//! late, so the deadline is looked at once more after the wait.
//!
//! *The budget is asked last*, when everything else speaks for a retry, so that nothing is
//! withdrawn for a retry that does not happen. One that its gates refuse has cost the service
//! nothing, and is given back: an open breaker would otherwise drain the budget that all share.
//! That is done at the end of the call: given back at once, its price would pay for the next one,
//! and a call whose gates go on to refuse would never end by its budget. Until then the call holds
//! it.
//!
//! *An answer may be worth another attempt, too*, such as a response with the status 503. It is
//! judged apart from errors ([`DecideValue`]), so that those who do not care need no types for it,
//! and comes out as the answer that it is when there is no further attempt. It is not kept through
//! the wait, as it may hold a connection; nor are futures larger for it.
//!
//! *The attempt is plain data.* An `Attempt` with a lifetime would make the operation's closure
//! generic over it, and then `tokio::spawn` refuses the whole ("implementation of `Send` is not
//! general enough").

mod attempt;
mod bare;
mod call;
mod decide;
mod kind;
mod operation;
mod policy;
mod run;
mod state;
mod steps;

pub(crate) use attempt::{Due, Gated, Maker, PerAttempt, Report};
pub(crate) use bare::Bare;
pub use call::RetryCall;
pub use decide::{Decide, DecideValue, Decision, RetryAll, RetryIf, RetryNone};
pub(crate) use kind::{AttemptKind, AttemptLoop};
pub use kind::{AttemptPolicy, InTurn};
pub(crate) use operation::CallResult;
pub use operation::Operation;
pub use policy::{Budget, OnRetry, Retry, Retrying};
pub use state::{Attempt, RetryPolicy, RetryState, Verdict};
