//! `CoDel` around a gate that waits.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::CoDel;
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::gate::{Gate, Outcome, WaitGate};
use crate::on_drop::OnDrop;
use crate::time::{Clock, Ticks, Timer};

/// A gate that sheds what has waited too long in the gate `G`; see [`CoDel::queue`].
///
/// The delay of a call is the time from when it began to wait until its turn came. A call that was
/// let in at once has not waited.
pub struct CoDelQueue<'a, C, G> {
    codel: &'a CoDel<C>,
    gate: G,
}

impl<'a, C, G> CoDelQueue<'a, C, G> {
    pub(super) const fn new(codel: &'a CoDel<C>, gate: G) -> Self {
        Self { codel, gate }
    }

    /// The gate that calls wait in.
    #[must_use]
    pub const fn inner(&self) -> &G {
        &self.gate
    }
}

/// Asks the gate, which answers at once: nobody waits, so nobody is shed.
impl<C: Clock, G: Gate> Gate for CoDelQueue<'_, C, G> {
    type Token = G::Token;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        let began = self.codel.clock.now();
        let token = self.gate.enter()?;
        admit(self.codel, &self.gate, token, began, || began)
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        self.gate.exit(token, outcome);
    }
}

/// Judges a call whose turn has come; gives its token back where it is shed.
#[inline]
fn admit<C: Clock, G: Gate>(
    codel: &CoDel<C>,
    gate: &G,
    token: G::Token,
    began: Ticks,
    now: impl FnOnce() -> Ticks,
) -> Result<G::Token, Rejection> {
    // Given back unless it is let in, should the clock panic as well.
    let shed = OnDrop(|| gate.exit(token, Outcome::Refused));
    codel.admit_at(began, now())?;
    core::mem::forget(shed);
    Ok(token)
}

pin_project! {
    /// A wait at a [`CoDelQueue`]: that at its gate, and since when.
    #[derive(Debug, Default)]
    pub struct Sojourn<W> {
        began: Option<Ticks>,
        #[pin]
        waiting: W,
    }
}

impl<T: Timer, C: Clock, G: WaitGate<T>> WaitGate<T> for CoDelQueue<'_, C, G> {
    type Waiting = Sojourn<G::Waiting>;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>> {
        let this = waiting.project();
        let began = *this.began.get_or_insert_with(|| self.codel.clock.now());
        let token = ready!(self.gate.poll_enter(this.waiting, timer, until, cx))?;
        Poll::Ready(admit(self.codel, &self.gate, token, began, || self.codel.clock.now()))
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
        self.gate.cancel_enter(waiting.project().waiting, timer);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.gate.may_wait()
    }
}

impl<C: Clock, G: fmt::Debug> fmt::Debug for CoDelQueue<'_, C, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoDelQueue").field("codel", &self.codel).field("gate", &self.gate).finish()
    }
}
