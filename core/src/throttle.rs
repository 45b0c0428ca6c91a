//! The adaptive throttle: a client that sees refusals holds some of its calls back.
//!
//! **Background.** A server that is overloaded spends work on refusing, too, and with enough
//! clients does nothing else. So each client throttles itself: the "Site Reliability Engineering"
//! book (chapter 21, "Handling Overload", section "Client-Side Throttling") refuses a call locally
//! with the probability
//!
//! ```text
//! max(0, (requests - K * accepts) / (requests + 1))
//! ```
//!
//! over the last two minutes, where `requests` are all calls of the application, also those refused
//! here, and `accepts` those that the server accepted. While at least one call in K is accepted,
//! nothing is refused here; when less is, what goes out is about K times what is accepted.
//!
//! **Solution.** The counts are the ring of buckets that the breaker's window of time has
//! (`breaker/ring.rs`), and the draw compares integers: a random number below `(requests + 1) * d`
//! with `requests * d - n * accepts`, for K = n / d. So the probability is that of the formula, to
//! the 2^-64 of the draw.
//!
//! **Two choices.** A call is counted when it ends, not when it begins: calls that are under way
//! would count as not accepted, and of the first two that a program makes at once, the second would
//! be refused half of the time. And some calls always go through: with no accepts at all the
//! formula lets one call through in as many as there were in two minutes, so that a client with
//! 1000 calls per second would need minutes to notice that the server is back.
//! [`ThrottleConfig::max_rejection`] says how many are refused at most.
//!
//! # Synchronization
//!
//! That of the ring. The decision is made by a sum of buckets that other calls are adding to, and
//! is as good as any made a moment earlier or later.

use core::fmt;
use core::time::Duration;

use crate::breaker::Slide;
use crate::error::{ConfigError, Reason, Rejection, Setting, check, setting};
use crate::gate::{Gate, Idle, Outcome};
use crate::ratio::Ratio;
use crate::rng::Random;
use crate::sync::constructor;
use crate::time::scale::DEFAULT_LATENESS;
use crate::time::{Clock, Ticks, ticks_from_duration};

const MULTIPLIER: Setting =
    setting!("the throttle's `multiplier`" must "be at least 1, its parts at most 65535");
const MAX_REJECTION: Setting = setting!(
    "the throttle's `max_rejection`" must "be more than 0 % and at most 100 %, its parts at most 65535"
);
const WINDOW: Setting = setting!(
    "the throttle's `window`"
        must "be from a unit of its time for each bucket to a quarter of the clock's range"
);
const LATENESS: Setting =
    setting!("the throttle's `max_lateness`" must "be at most a quarter of the clock's range");

/// The settings of an [`AdaptiveThrottle`].
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Ratio, ThrottleConfig};
///
/// // Notices trouble and its end sooner, and sends less of what will be refused.
/// const CONFIG: ThrottleConfig =
///     ThrottleConfig::new().multiplier(Ratio::new(3, 2)).window(Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a configuration does nothing by itself"]
pub struct ThrottleConfig {
    multiplier: Ratio,
    max_rejection: Ratio,
    window: Duration,
    lateness: Duration,
}

impl ThrottleConfig {
    /// K = 2 over two minutes, as published; at most 99 % of the calls are refused.
    pub const fn new() -> Self {
        Self {
            multiplier: Ratio::new(2, 1),
            max_rejection: Ratio::percent(99),
            window: Duration::from_secs(120),
            lateness: DEFAULT_LATENESS,
        }
    }

    /// K: about so many calls go out for each one that is accepted. At least 1; numerator and
    /// denominator, in lowest terms, at most 65535.
    ///
    /// The lower it is, the less work the server has with refusing, and the longer its clients take
    /// to notice that it has recovered.
    pub const fn multiplier(mut self, k: Ratio) -> Self {
        self.multiplier = k;
        self
    }

    /// The largest probability with which a call is refused; above 0 % and at most 100 %. At 99 %,
    /// one call in a hundred finds out whether the server is back.
    pub const fn max_rejection(mut self, probability: Ratio) -> Self {
        self.max_rejection = probability;
        self
    }

    /// The time that the counts cover, in steps of one bucket.
    pub const fn window(mut self, span: Duration) -> Self {
        self.window = span;
        self
    }

    /// How late a reading of the clock may be when it is used; one second unless told otherwise.
    /// What is later may be taken for time that has passed, and forget the counts.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    const fn check(self) -> Result<(), ConfigError> {
        let k = self.multiplier;
        if k.denominator() == 0 || k.numerator() < k.denominator() || !is_small(k) {
            return Err(MULTIPLIER.ratio(k));
        }
        if !self.max_rejection.is_share() || !is_small(self.max_rejection) {
            return Err(MAX_REJECTION.ratio(self.max_rejection));
        }
        Ok(())
    }
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the products below stay within 64 bits: counts have less than 25.
const fn is_small(ratio: Ratio) -> bool {
    ratio.numerator() <= u16::MAX as u32 && ratio.denominator() <= u16::MAX as u32
}

/// Holds back calls to a server that refuses most of them ("adaptive throttling").
///
/// A success counts as accepted, a failure as not; calls that were ignored, abandoned or refused by
/// a later gate are not counted at all. Where failures are not about load, say which ones are, with
/// [`FailureIf`](crate::FailureIf) for example.
///
/// `B` is the number of buckets, at most 64, where words are 32 bits wide 16. A bucket that is full
/// (2^17 - 1 calls, where words are 32 bits wide 511) is halved, as in
/// [`LastTime`](crate::LastTime): shares stay what they are.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{AdaptiveThrottle, Gate, ManualClock, Reason, Rng, ThrottleConfig};
///
/// static CLOCK: ManualClock = ManualClock::new();
/// static SEARCH: AdaptiveThrottle<&ManualClock, Rng> =
///     AdaptiveThrottle::new(ThrottleConfig::new(), &CLOCK, Rng::from_seed(7));
///
/// // The server refuses nine calls in ten.
/// let mut sent = 0;
/// for number in 0..10_000 {
///     CLOCK.advance(Duration::from_millis(10));
///     let Ok(call) = SEARCH.permit() else { continue };
///     sent += 1;
///     if sent % 10 == 0 { call.success() } else { call.failure() }
/// }
/// assert!(sent < 3_000, "{sent}");
/// assert_eq!(SEARCH.permit().map(|_| ()).unwrap_err().reason(), Reason::Overloaded);
/// ```
///
/// # Interrupt safety
///
/// Lock-free.
pub struct AdaptiveThrottle<C, R, const B: usize = 10> {
    slide: Slide<B>,
    multiplier: Ratio,
    max_rejection: Ratio,
    /// In ticks.
    lateness: u64,
    random: R,
    clock: C,
}

impl<C: Clock, R: Random, const B: usize> AdaptiveThrottle<C, R, B> {
    constructor! {
        /// A throttle that has counted nothing yet, and refuses nothing.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) has an error; in a `static`, that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: ThrottleConfig, clock: C, random: R) -> Self {
            let slide = match Self::slide(config) {
                Ok(slide) => slide,
                Err(error) => error.fail(),
            };
            let ThrottleConfig { multiplier, max_rejection, lateness, .. } = config;
            let lateness = ticks_from_duration(lateness, C::TICKS_PER_SECOND);
            Self { slide, multiplier, max_rejection, lateness, random, clock }
        }
    }

    /// [`new`](Self::new) for settings that are known only at run time.
    ///
    /// # Errors
    ///
    /// A ratio or a time that is outside of what it may be; see [`ThrottleConfig`].
    pub fn try_new(config: ThrottleConfig, clock: C, random: R) -> Result<Self, ConfigError> {
        let slide = Self::slide(config)?;
        let ThrottleConfig { multiplier, max_rejection, lateness, .. } = config;
        let lateness = ticks_from_duration(lateness, C::TICKS_PER_SECOND);
        Ok(Self { slide, multiplier, max_rejection, lateness, random, clock })
    }

    constructor! {
        const fn slide(config: ThrottleConfig) -> Result<Slide<B>, ConfigError> {
            check!(config.check());
            let (window, lateness) = ((WINDOW, config.window), (LATENESS, config.lateness));
            Slide::new(window, lateness, C::TICKS_PER_SECOND)
        }
    }

    /// Asks to be let in at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`Reason::Overloaded`]. When to come back is not known: it is a matter of chance.
    pub fn enter_at(&self, now: Ticks) -> Result<(), Rejection> {
        let rejection = self.snapshot_at(now).rejection();
        if rejection.part > 0 && self.random.below(rejection.whole) < rejection.part {
            self.count(false, now);
            return Err(Rejection::new(Reason::Overloaded));
        }
        Ok(())
    }

    /// Tells how a call ended, at a time of the caller's choice.
    pub fn exit_at(&self, outcome: Outcome, now: Ticks) {
        match outcome {
            Outcome::Success => self.count(true, now),
            Outcome::Failure => self.count(false, now),
            Outcome::Ignored | Outcome::Abandoned | Outcome::Refused => {}
        }
    }

    /// What it goes by now.
    pub fn snapshot(&self) -> ThrottleSnapshot {
        self.snapshot_at(self.clock.now())
    }

    /// What it goes by at `now`.
    pub fn snapshot_at(&self, now: Ticks) -> ThrottleSnapshot {
        let sums = self.slide.sums(GENERATION, now);
        ThrottleSnapshot {
            requests: u64::from(sums.requests),
            accepts: u64::from(sums.requests.saturating_sub(sums.failures)),
            multiplier: self.multiplier,
            max_rejection: self.max_rejection,
        }
    }

    /// The clock it goes by.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    fn count(&self, accepted: bool, now: Ticks) {
        self.slide.record(GENERATION, (!accepted, false), now, || false);
    }
}

/// A throttle has but one generation. It is not the one of a new ring, so that the first call
/// begins afresh, at its own time.
const GENERATION: u16 = 1;

/// Idle when its window holds no call, for readers that are late by as much as is supported either.
impl<C: Clock, R: Random, const B: usize> Idle for AdaptiveThrottle<C, R, B> {
    fn is_idle(&self) -> bool {
        let now = self.clock.now();
        let late = Ticks(now.0.wrapping_sub(self.lateness));
        self.snapshot_at(now).requests() == 0 && self.snapshot_at(late).requests() == 0
    }
}

impl<C: Clock, R: Random, const B: usize> Gate for AdaptiveThrottle<C, R, B> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.enter_at(self.clock.now())
    }

    #[inline]
    fn exit(&self, (): (), outcome: Outcome) {
        if matches!(outcome, Outcome::Success | Outcome::Failure) {
            self.exit_at(outcome, self.clock.now());
        }
    }
}

impl<C: Clock, R: Random, const B: usize> fmt::Debug for AdaptiveThrottle<C, R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("AdaptiveThrottle")
            .field("requests", &snapshot.requests)
            .field("accepts", &snapshot.accepts)
            .finish_non_exhaustive()
    }
}

/// What an [`AdaptiveThrottle`] went by at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct ThrottleSnapshot {
    requests: u64,
    accepts: u64,
    multiplier: Ratio,
    max_rejection: Ratio,
}

/// A probability.
struct Odds {
    part: u64,
    whole: u64,
}

impl ThrottleSnapshot {
    /// Calls in the window, those that were refused here included.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Calls in the window that were accepted.
    #[must_use]
    pub const fn accepts(&self) -> u64 {
        self.accepts
    }

    /// With what probability a call is refused, in parts per million, rounded down.
    #[must_use]
    pub const fn rejection_ppm(&self) -> u32 {
        let Odds { part, whole } = self.rejection();
        // At most a million. The whole is never 0; but the compiler cannot know that.
        match (part as u128 * 1_000_000).checked_div(whole as u128) {
            Some(parts) => parts as u32,
            None => 0,
        }
    }

    const fn rejection(&self) -> Odds {
        let (k, d) = (self.multiplier.numerator() as u64, self.multiplier.denominator() as u64);
        let (requests, accepts) = (self.requests, self.accepts);
        let part = requests.saturating_mul(d).saturating_sub(accepts.saturating_mul(k));
        let whole = requests.saturating_add(1).saturating_mul(d);
        let most = self.max_rejection;
        if part > 0 && most.is_reached(part, whole) {
            return Odds { part: most.numerator() as u64, whole: most.denominator() as u64 };
        }
        Odds { part, whole }
    }
}
