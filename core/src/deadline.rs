//! The instant by which a call must be done, as a value.

use core::time::Duration;

use crate::error::{Reason, Rejection};
use crate::gate::{Gate, Outcome};
use crate::time::{Clock, Ticks, duration_from_ticks, ticks_of};

/// An instant of some clock by which a call must be done.
///
/// It is plain data that can be stored, compared and handed on; the clock it belongs to is passed
/// where it matters. Deadlines of different clocks must not be mixed.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Deadline, ManualClock};
///
/// let clock: ManualClock = ManualClock::new();
/// let request = Deadline::after(&clock, Duration::from_secs(2));
/// let query = request.min(Deadline::after(&clock, Duration::from_secs(5)));
/// clock.advance(Duration::from_millis(500));
/// assert_eq!(query.remaining(&clock), Duration::from_millis(1500));
/// assert!(!query.expired(&clock));
/// clock.advance(Duration::from_millis(1500));
/// assert!(query.expired(&clock));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deadline(Ticks);

impl Deadline {
    /// No deadline: it never expires.
    pub const NEVER: Self = Self(Ticks::MAX);

    /// The deadline at the instant `at`.
    #[must_use]
    pub const fn at(at: Ticks) -> Self {
        Self(at)
    }

    /// The deadline `duration` from now, rounded up to a tick; [`Deadline::NEVER`] where that is
    /// further than the clock can count.
    // One copy for each clock where words are short, as of all that compares with one.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    #[must_use]
    pub fn after<C: Clock + ?Sized>(clock: &C, duration: Duration) -> Self {
        Self::NEVER.within(ticks_of::<C>(duration), clock)
    }

    /// The instant.
    #[must_use]
    pub const fn ticks(self) -> Ticks {
        self.0
    }

    /// Whether there is no deadline.
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0.0 == u64::MAX
    }

    /// The earlier of the two.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.0.0 <= other.0.0 { self } else { other }
    }

    /// The earlier of it and the instant so many ticks from now; it as it is, and no look at the
    /// clock, with `u64::MAX` of them.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(crate) fn within<C: Clock + ?Sized>(self, ticks: u64, clock: &C) -> Self {
        if ticks == u64::MAX {
            return self;
        }
        self.min(Self(clock.now().saturating_add(ticks)))
    }

    /// Whether the deadline has been reached at `now`.
    #[must_use]
    pub const fn expired_at(self, now: Ticks) -> bool {
        !self.is_never() && now.0 >= self.0.0
    }

    /// Whether the deadline has been reached.
    #[must_use]
    pub fn expired<C: Clock + ?Sized>(self, clock: &C) -> bool {
        !self.is_never() && self.expired_at(clock.now())
    }

    /// The time left, rounded up to the nanosecond; zero once expired, [`Duration::MAX`] without a
    /// deadline.
    #[must_use]
    pub fn remaining<C: Clock + ?Sized>(self, clock: &C) -> Duration {
        if self.is_never() {
            return Duration::MAX;
        }
        duration_from_ticks(self.0.saturating_since(clock.now()), C::TICKS_PER_SECOND)
    }

    /// The deadline as a [`Gate`] that refuses with [`Reason::DeadlineExceeded`] once it has
    /// expired.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Deadline, Gate, ManualClock};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let deadline = Deadline::after(&clock, Duration::from_secs(1));
    /// assert!(deadline.on(&clock).permit().is_ok());
    /// clock.advance(Duration::from_secs(1));
    /// assert!(deadline.on(&clock).permit().is_err());
    /// ```
    #[must_use]
    pub const fn on<C: Clock>(self, clock: C) -> DeadlineGate<C> {
        DeadlineGate { deadline: self, clock }
    }
}

impl Default for Deadline {
    /// No deadline.
    fn default() -> Self {
        Self::NEVER
    }
}

/// A [`Deadline`] as a gate; see [`Deadline::on`].
#[derive(Clone, Copy, Debug)]
pub struct DeadlineGate<C> {
    deadline: Deadline,
    clock: C,
}

impl<C: Clock> Gate for DeadlineGate<C> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        if self.deadline.expired(&self.clock) {
            Err(Rejection::new(Reason::DeadlineExceeded))
        } else {
            Ok(())
        }
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}
