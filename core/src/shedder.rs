//! The load shedder: a fixed number at once, and nobody waits.
//!
//! A queue in front of a service that is overloaded only makes everybody late; who is refused at
//! once can try elsewhere, or come back. All its state is the word of `inflight.rs`. A priority is
//! a share of the limit: what it may use is compared with all that is in flight, so that the rest
//! is kept for what matters more, and nothing has to be counted per priority.

use core::fmt;

use crate::error::{ConfigError, Reason, Rejection, Setting, check, setting};
use crate::gate::{Gate, Idle, Outcome};
use crate::inflight::{InFlight, Limit, MAX_LIMIT, Share};
use crate::priority::{AtPriority, Priority, Shares, SharesConfig};
use crate::ratio::Ratio;
use crate::sync::constructor;

const LIMIT: Setting =
    setting!("the shedder's limit" must "be from 1 to 2^24 - 1" or "be from 1 to 4095");

/// What a [`LoadShedder`] allows.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Priority, Ratio, ShedderConfig};
///
/// // Three quarters for what most calls are, and the rest for those that pay.
/// const CONFIG: ShedderConfig = ShedderConfig::new(200)
///     .share(Priority::Normal, Ratio::percent(75))
///     .share(Priority::High, Ratio::percent(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a configuration does nothing by itself"]
pub struct ShedderConfig {
    limit: u32,
    shares: SharesConfig,
}

impl ShedderConfig {
    /// At most `limit` calls at once: 1 to 2^24 - 1, where words are 32 bits wide to 4095.
    pub const fn new(limit: u32) -> Self {
        Self { limit, shares: SharesConfig::STANDARD }
    }

    /// What `priority` may use of the limit: more than 0 %, at most 100 %, and no more than a
    /// higher priority. It is kept in units of 1/32768, and never less than one call.
    ///
    /// Unless told otherwise: low 50 %, normal 80 %, high 90 %, critical 100 %.
    pub const fn share(mut self, priority: Priority, share: Ratio) -> Self {
        self.shares = self.shares.with(priority, share);
        self
    }
}

/// Refuses what is too much at once, those first that matter least.
///
/// As a [`Gate`] it lets calls in while less than its limit is in flight.
/// [`at`](LoadShedder::at) is a gate for calls of one [`Priority`], each of which may use a
/// share of the limit. Calls that enter without a priority are not held back from any of it.
///
/// It differs from a [`Bulkhead`](crate::Bulkhead), which protects what is called and may wait:
/// this protects who is called, and never does.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Error, Gate, LoadShedder, Priority, Reason, ShedderConfig};
///
/// static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(100));
///
/// fn handle(paying: bool) -> u16 {
///     let priority = if paying { Priority::High } else { Priority::Normal };
///     match SHEDDER.at(priority).call(|| Ok::<u16, u16>(200)) {
///         Ok(status) | Err(Error::Inner(status)) => status,
///         Err(_) => 503,
///     }
/// }
///
/// let busy: Vec<_> = (0..85).map(|_| SHEDDER.permit().unwrap()).collect();
/// assert_eq!((handle(true), handle(false)), (200, 503));
/// # drop(busy);
/// ```
///
/// # Interrupt safety
///
/// Lock-free: entering and leaving are one compare-and-swap each.
///
/// # Memory ordering
///
/// What a call did before it left happens before what the next one does in its place.
pub struct LoadShedder {
    load: InFlight,
    shares: Shares,
}

/// One word and the shares.
#[cfg(all(not(loom), target_pointer_width = "64"))]
const _: () = assert!(size_of::<LoadShedder>() <= 16);

impl LoadShedder {
    constructor! {
        /// A shedder with nothing in flight.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) has an error; in a `static`, that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: ShedderConfig) -> Self {
            match Self::try_new(config) {
                Ok(shedder) => shedder,
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        /// [`new`](Self::new) for settings that are known only at run time.
        ///
        /// # Errors
        ///
        /// A limit or a share that is outside of what it may be; see [`ShedderConfig`].
        pub const fn try_new(config: ShedderConfig) -> Result<Self, ConfigError> {
            let limit = check!(limit(config.limit));
            let shares = check!(config.shares.resolve());
            Ok(Self { load: InFlight::new(limit), shares })
        }
    }

    /// A gate for calls of this priority.
    #[inline]
    #[must_use]
    pub const fn at(&self, priority: Priority) -> AtPriority<'_, Self> {
        AtPriority { gate: self, priority }
    }

    /// The most calls at once.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.snapshot().limit()
    }

    /// How many calls are running.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.snapshot().in_flight()
    }

    /// Both, of one instant.
    pub fn snapshot(&self) -> Load {
        Load::new(self.load.load())
    }

    /// Allows `limit` calls at once from now on. Those that are running go on, also where they are
    /// more; until enough have ended, none is let in.
    ///
    /// # Errors
    ///
    /// A limit of 0, or above 2^24 - 1, where words are 32 bits wide 4095. Nothing has changed
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{Gate, LoadShedder, ShedderConfig};
    ///
    /// let shedder = LoadShedder::new(ShedderConfig::new(2));
    /// let calls = [shedder.permit().unwrap(), shedder.permit().unwrap()];
    /// shedder.set_limit(1)?;
    /// assert_eq!(shedder.in_flight(), 2);
    /// drop(calls);
    /// assert!(shedder.permit().is_ok());
    /// # Ok::<(), fusebox_core::ConfigError>(())
    /// ```
    pub fn set_limit(&self, limit: u32) -> Result<(), ConfigError> {
        self.load.set_limit(self::limit(limit)?);
        Ok(())
    }

    #[inline]
    fn admit(&self, share: Share) -> Result<(), Rejection> {
        if self.load.enter(share) { Ok(()) } else { Err(Rejection::new(Reason::Overloaded)) }
    }
}

const fn limit(calls: u32) -> Result<Limit, ConfigError> {
    check!(LIMIT.check(calls as u64, 1, MAX_LIMIT as u64));
    Ok(Limit::of(calls))
}

impl Gate for LoadShedder {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.admit(Share::WHOLE)
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {
        self.load.leave();
    }
}

/// Idle when nothing is in flight.
impl Idle for LoadShedder {
    fn is_idle(&self) -> bool {
        self.in_flight() == 0
    }
}

impl Gate for AtPriority<'_, LoadShedder> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.gate.admit(self.gate.shares.of(self.priority))
    }

    #[inline]
    fn exit(&self, token: (), outcome: Outcome) {
        self.gate.exit(token, outcome);
    }
}

impl fmt::Debug for LoadShedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = self.snapshot();
        f.debug_struct("LoadShedder")
            .field("limit", &load.limit)
            .field("in_flight", &load.in_flight)
            .finish_non_exhaustive()
    }
}

/// How much was in flight at some instant, and how much may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Load {
    limit: u32,
    in_flight: u32,
}

impl Load {
    pub(crate) const fn new(snapshot: crate::inflight::Snapshot) -> Self {
        Self { limit: snapshot.limit().calls(), in_flight: snapshot.in_flight() }
    }

    /// The most calls at once.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many calls were running: more than the limit, where that has shrunk.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// What is in flight in percent of the limit, rounded down.
    #[must_use]
    pub const fn percent(&self) -> u32 {
        // The limit is never 0; but the compiler cannot know that, and would link a panic.
        match (self.in_flight as u64 * 100).checked_div(self.limit as u64) {
            Some(percent) => percent as u32,
            None => 0,
        }
    }
}
