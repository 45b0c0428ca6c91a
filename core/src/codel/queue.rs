//! `CoDel` around a gate that waits.

use core::fmt;
use core::future::Future;
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

impl<T: Timer, C: Clock, G: WaitGate<T>> WaitGate<T> for CoDelQueue<'_, C, G> {
    type Entering<'w>
        = EnterCoDel<'w, C, G, G::Entering<'w>>
    where
        Self: 'w,
        T: 'w;

    fn wait_enter<'w>(&'w self, timer: &'w T, until: Deadline) -> Self::Entering<'w> {
        let entering = self.gate.wait_enter(timer, until);
        EnterCoDel { codel: self.codel, gate: &self.gate, began: None, entering }
    }
}

impl<C: Clock, G: fmt::Debug> fmt::Debug for CoDelQueue<'_, C, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoDelQueue").field("codel", &self.codel).field("gate", &self.gate).finish()
    }
}

pin_project! {
    /// The wait at a [`CoDelQueue`].
    #[must_use = "futures do nothing unless polled"]
    pub struct EnterCoDel<'w, C, G, F> {
        codel: &'w CoDel<C>,
        gate: &'w G,
        began: Option<Ticks>,
        #[pin]
        entering: F,
    }
}

impl<C, G, F> Future for EnterCoDel<'_, C, G, F>
where
    C: Clock,
    G: Gate,
    F: Future<Output = Result<G::Token, Rejection>>,
{
    type Output = Result<G::Token, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let codel = *this.codel;
        let began = *this.began.get_or_insert_with(|| codel.clock.now());
        let token = ready!(this.entering.poll(cx))?;
        Poll::Ready(admit(codel, *this.gate, token, began, || codel.clock.now()))
    }
}

impl<C, G, F> fmt::Debug for EnterCoDel<'_, C, G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterCoDel").field("began", &self.began).finish_non_exhaustive()
    }
}
