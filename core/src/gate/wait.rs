//! Waiting at a gate: the second trait, for the gates that can.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Gate, Outcome};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::on_drop::OnDrop;
use crate::time::Timer;

/// A gate that a task can wait at.
///
/// Semaphores and bulkheads wait in their queue, token buckets for their reservation. A tuple waits
/// at its gates from left to right, holding what it has; where one refuses or the wait is
/// cancelled, what it holds goes back as [`Outcome::Refused`] from right to left. [`Immediate`]
/// puts a gate that cannot wait, such as a breaker, into such a tuple.
#[diagnostic::on_unimplemented(
    note = "wrap a gate that cannot wait, such as a circuit breaker, in `Immediate(..)`"
)]
pub trait WaitGate<T: Timer>: Gate {
    /// The wait. It does nothing before it is first polled, and gives back what it took when
    /// dropped.
    type Entering<'a>: Future<Output = Result<Self::Token, Rejection>>
    where
        Self: 'a,
        T: 'a;

    /// Waits to be let in, at most until `until`, an instant of `timer`.
    ///
    /// # Errors
    ///
    /// The future ends in the gate's refusal, which takes nothing: at once where waiting is of no
    /// use, or when `until` has come.
    fn wait_enter<'a>(&'a self, timer: &'a T, until: Deadline) -> Self::Entering<'a>;
}

/// A gate that lets in or refuses at once, where a gate that can wait is called for.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Deadline, Immediate, ManualClock, Semaphore, TokenBucket, BucketConfig, WaitGate};
///
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let permits: Semaphore = Semaphore::new(1);
/// let bucket = TokenBucket::new(BucketConfig::per_second(10), &clock);
/// // Refused at once when all permits are out, but waits for its token.
/// let gates = (Immediate(&permits), &bucket);
/// assert!(gates.wait_enter(&&clock, Deadline::NEVER).await.is_ok());
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Immediate<G>(
    /// The gate.
    pub G,
);

impl<G: Gate> Gate for Immediate<G> {
    type Token = G::Token;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        self.0.enter()
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        self.0.exit(token, outcome);
    }
}

impl<T: Timer, G: Gate> WaitGate<T> for Immediate<G> {
    type Entering<'a>
        = EnterNow<'a, G>
    where
        Self: 'a,
        T: 'a;

    #[inline]
    fn wait_enter<'a>(&'a self, _timer: &'a T, _until: Deadline) -> Self::Entering<'a> {
        EnterNow { gate: &self.0 }
    }
}

/// The wait of an [`Immediate`] gate: its first poll decides.
#[must_use = "futures do nothing unless polled"]
pub struct EnterNow<'a, G> {
    gate: &'a G,
}

impl<G: Gate> Future for EnterNow<'_, G> {
    type Output = Result<G::Token, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(self.gate.enter())
    }
}

impl<G> fmt::Debug for EnterNow<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterNow").finish_non_exhaustive()
    }
}

pin_project! {
    /// The wait at a tuple of gates: this gate, then the rest.
    #[must_use = "futures do nothing unless polled"]
    pub struct EnterAll<'a, G, F, R>
    where
        G: Gate,
    {
        // Dropped before `held`: given back from right to left.
        #[pin]
        rest: R,
        held: Held<'a, G>,
        #[pin]
        entering: F,
    }
}

impl<'a, G: Gate, F, R> EnterAll<'a, G, F, R> {
    pub(super) fn new(gate: &'a G, entering: F, rest: R) -> Self {
        Self { rest, held: Held { gate, token: None }, entering }
    }
}

/// A token that goes back as refused unless it is taken out.
struct Held<'a, G: Gate> {
    gate: &'a G,
    token: Option<G::Token>,
}

impl<G: Gate> Drop for Held<'_, G> {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.gate.exit(token, Outcome::Refused);
        }
    }
}

impl<G, F, R, K> Future for EnterAll<'_, G, F, R>
where
    G: Gate,
    F: Future<Output = Result<G::Token, Rejection>>,
    R: Future<Output = Result<K, Rejection>>,
{
    type Output = Result<(G::Token, K), Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let token = match this.held.token {
            Some(token) => token,
            None => {
                let token = ready!(this.entering.poll(cx))?;
                this.held.token = Some(token);
                token
            }
        };
        let rest = ready!(this.rest.poll(cx));
        if rest.is_ok() {
            // The caller owns it from here on.
            this.held.token = None;
        } else if let Some(token) = this.held.token.take() {
            this.held.gate.exit(token, Outcome::Refused);
        }
        Poll::Ready(rest.map(|rest| (token, rest)))
    }
}

impl<G: Gate, F, R> fmt::Debug for EnterAll<'_, G, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterAll").field("held", &self.held.token.is_some()).finish_non_exhaustive()
    }
}

/// Enters `gate`, then the `rest`; gives the first token back where the rest refuses.
#[inline]
pub(super) fn enter_then<G: Gate, K>(
    gate: &G,
    rest: impl FnOnce() -> Result<K, Rejection>,
) -> Result<(G::Token, K), Rejection> {
    let token = gate.enter()?;
    // Given back unless the rest lets in as well, a panic there included.
    let refused = OnDrop(|| gate.exit(token, Outcome::Refused));
    let rest = rest()?;
    core::mem::forget(refused);
    Ok((token, rest))
}
