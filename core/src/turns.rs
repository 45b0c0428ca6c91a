//! Waiting for a turn: what the limiters have in common whose callers can take a turn that is yet
//! to come, and sleep until it has.
//!
//! # Reasons
//!
//! *The turn is taken first, and slept for after.* Who waits in such a limiter needs no queue:
//! turns are instants, handed out in the order of the calls, and a sleep that is over needs no
//! other look at the limiter. So a wait is a turn and a sleep, and cancelling it is giving back the
//! turn.
//!
//! *What cannot be waited for is refused at once*, with nothing taken: a limiter knows when the
//! next turn is.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use pin_project_lite::pin_project;

use crate::bucket::TakenTokens;
use crate::deadline::Deadline;
use crate::error::{Reason, Rejection};
use crate::time::scale::Scale;
use crate::time::{Clock, Ticks, Timer, ticks_from_duration};
use crate::word::Word;

/// A limiter that hands out turns. Public for [`Acquiring`] only, which is generic over it; as it
/// cannot be named outside of this crate, nobody else implements it.
pub trait Turns {
    /// The clock that turns are instants of.
    type Clock: Clock;
    /// What a turn takes: enough to give it back.
    type Turn: Copy;

    /// The clock that turns are instants of.
    fn clock(&self) -> &Self::Clock;

    /// Takes the next turn, if it is within so many ticks of `now`, and within the limiter's own
    /// longest wait in any case; says how many ticks after `now` it is.
    fn take_turn(&self, within: Option<u64>, now: Ticks) -> Result<(Self::Turn, u64), Rejection>;

    /// Why a turn that does not come by a deadline is refused: the deadline is too near, unless the
    /// turn could not have been waited for without it either.
    fn too_late(&self, now: Ticks) -> Rejection;

    /// Gives back a turn of a call that never ran.
    fn give_back_turn(&self, turn: Self::Turn, now: Ticks);

    /// Whether a turn is asked for that is always there.
    fn is_free(&self) -> bool {
        false
    }
}

/// How far ahead of what is there a task may reach that waits for so many ticks at most, in units
/// of `scale`, where `longest` is the limiter's own longest wait.
#[inline]
pub(crate) fn reach(scale: Scale, longest: Word, within: Option<u64>, now: Ticks) -> Word {
    let Some(ticks) = within else { return longest };
    Word::try_from(scale.units_within(ticks, now)).unwrap_or(Word::MAX).min(longest)
}

/// `ticks` of a clock at `from` per second, in ticks of one at `to` per second.
fn convert(ticks: u64, from: u64, to: u64, round_up: bool) -> u64 {
    // Both are constants where this is inlined; the same clock, the common case, needs no division.
    if from == to {
        return ticks;
    }
    let (product, from) = (u128::from(ticks) * u128::from(to), u128::from(from.max(1)));
    let converted = if round_up { product.div_ceil(from) } else { product / from };
    u64::try_from(converted).unwrap_or(u64::MAX)
}

/// How long a task waits; never longer than the limiter lets it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// This long after the first poll.
    For(Duration),
    Until(Deadline),
}

/// Takes a turn for a task that waits with `timer`, and says when to wake it, unless the turn has
/// come.
fn take<L: Turns, T: Timer>(
    limit: &L,
    timer: &T,
    patience: Patience,
) -> Result<(L::Turn, Option<Ticks>), Rejection> {
    let (hz, timer_hz) = (L::Clock::TICKS_PER_SECOND, T::TICKS_PER_SECOND);
    // In this order: the wait is counted from a reading that is no earlier than the one it was
    // reckoned from, so that it does not end early.
    // A timer of other ticks may read up to one of them behind the limiter's clock: that one is
    // waited for as well.
    let behind = u64::from(timer_hz != hz);
    let now = limit.clock().now();
    let timer_now = timer.now();
    let (turn, wait) = match patience {
        Patience::For(time) => limit.take_turn(Some(ticks_from_duration(time, hz)), now)?,
        Patience::Until(until) if until.is_never() => limit.take_turn(None, now)?,
        Patience::Until(until) if !limit.is_free() && until.expired_at(timer_now) => {
            return Err(Rejection::new(Reason::DeadlineExceeded));
        }
        Patience::Until(until) => {
            let left = until.ticks().saturating_since(timer_now).saturating_sub(behind);
            let left = convert(left, timer_hz, hz, false);
            limit.take_turn(Some(left), now).map_err(|refusal| match refusal.reason() {
                Reason::RateLimited => limit.too_late(now),
                _ => refusal,
            })?
        }
    };
    if wait == 0 {
        return Ok((turn, None));
    }
    let wait = convert(wait, hz, timer_hz, true).saturating_add(behind);
    Ok((turn, Some(timer_now.saturating_add(wait))))
}

pin_project! {
    /// The wait of a [`TokenBucket`](crate::TokenBucket) or a [`WarmUp`](crate::WarmUp) as a
    /// [`WaitGate`](crate::WaitGate): what is taken already, and the sleep until it is there.
    #[derive(Debug)]
    pub struct Reserved<S, K = TakenTokens> {
        turn: Option<K>,
        #[pin]
        sleep: Option<S>,
    }
}

impl<S, K> Default for Reserved<S, K> {
    #[inline]
    fn default() -> Self {
        Self { turn: None, sleep: None }
    }
}

impl<S: Future<Output = ()>, K: Copy> Reserved<S, K> {
    /// Waits for a turn of `limit`.
    pub(crate) fn poll<L: Turns<Turn = K>, T: Timer<Sleep = S>>(
        self: Pin<&mut Self>,
        limit: &L,
        timer: &T,
        patience: Patience,
        cx: &mut Context<'_>,
    ) -> Poll<Result<K, Rejection>> {
        let mut this = self.project();
        let turn = match *this.turn {
            Some(turn) => turn,
            None => {
                let (turn, at) = take(limit, timer, patience)?;
                // Before the timer is asked for anything: should it panic, the turn goes back.
                *this.turn = Some(turn);
                // What is there already needs no timer.
                this.sleep.set(at.map(|at| timer.sleep_until(at)));
                turn
            }
        };
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
            this.sleep.set(None);
        }
        // The caller owns the turn from here on.
        *this.turn = None;
        Poll::Ready(Ok(turn))
    }
}

impl<S, K> Reserved<S, K> {
    /// Gives the turn back, where the wait holds one.
    pub(crate) fn cancel<L: Turns<Turn = K>>(self: Pin<&mut Self>, limit: &L) {
        if let Some(turn) = self.project().turn.take() {
            limit.give_back_turn(turn, limit.clock().now());
        }
    }
}

pin_project! {
    /// The future of `acquire`, `acquire_before` and `acquire_timeout` of a
    /// [`TokenBucket`](crate::TokenBucket) and of a [`WarmUp`](crate::WarmUp).
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquiring<L, T>
    where
        L: Turns,
        T: Timer,
    {
        limit: L,
        timer: T,
        patience: Patience,
        #[pin]
        reserved: Reserved<T::Sleep, L::Turn>,
        // Has had its answer: polled again, it has none left, and stays pending.
        done: bool,
    }

    impl<L: Turns, T: Timer> PinnedDrop for Acquiring<L, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.reserved.cancel(this.limit);
        }
    }
}

impl<L: Turns, T: Timer> Acquiring<L, T> {
    pub(crate) fn new(limit: L, timer: T, patience: Patience) -> Self {
        Self { limit, timer, patience, reserved: Reserved::default(), done: false }
    }
}

impl<L: Turns, T: Timer> Future for Acquiring<L, T> {
    type Output = Result<(), Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.done {
            return Poll::Pending;
        }
        let answer = this.reserved.poll(this.limit, this.timer, *this.patience, cx);
        *this.done = answer.is_ready();
        answer.map_ok(|_| ())
    }
}

impl<L: Turns + fmt::Debug, T: Timer> fmt::Debug for Acquiring<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquiring")
            .field("limit", &self.limit)
            .field("patience", &self.patience)
            .field("waiting", &self.reserved.turn.is_some())
            .finish_non_exhaustive()
    }
}
