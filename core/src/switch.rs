//! Feature switches: what to leave out while something else is in trouble.
//!
//! A [`Switch`] is one word (`switch/state.rs` has the layout): what a person set, what drives it
//! says, and the share of calls it is on for. [`Switches`] are many plain ones in one word.
//!
//! **A person wins.** What is set by hand holds until it is taken back by hand; what drives the
//! switch goes on being noted meanwhile, and counts again from then on.
//!
//! **Late events lose.** A breaker's changes of state are committed in order, but the threads that
//! made them report on their own, so the news of an opening may come after that of the closing that
//! followed it. Taken as they come they would leave the switch off for good. So the word keeps the
//! generation of the last change it heard of, and drops what is older.
//!
//! **An even share.** Without a key, call number n is let in where the fractional part of n times
//! the golden ratio is below the share (Weyl's sequence; Knuth, The Art of Computer Programming
//! 3, section 6.4, on its spread): any run of calls gets its share to within a few calls, which
//! random numbers would not give, and it does not fall into step with traffic that has a period
//! of its own, which every n-th call would. With a key the answer depends on the key alone, and a
//! growing share only ever adds keys.
//!
//! # Synchronization
//!
//! Changes are Release and looks are Acquire: whoever finds a switch on comes after what was done
//! before it was put on, such as the setting up of what it is for.

mod set;
mod state;

use core::fmt;

pub use set::{Flag, Switches};

use crate::breaker::State;
use crate::error::{ConfigError, Reason, Rejection, setting};
use crate::event::{Event, Observer};
use crate::gate::{Gate, Idle, Outcome};
use crate::ratio::Ratio;
use crate::rng::{mix, spread};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::word::low_half;
use state::{Snapshot, WHOLE};

/// A feature that can be switched off, by hand or by a circuit breaker, for all calls or a share of
/// them.
///
/// It is a [`Gate`] that refuses with [`Reason::SwitchedOff`], and an [`Observer`] that a breaker
/// drives: off when it opens, on again when it closes. Let it switch off what is *not* behind that
/// breaker, such as the suggestions on a page while its database is in trouble: a switch in front
/// of the breaker's own calls would keep its probes away as well, and it would never close.
///
/// | set by hand | the breaker says | the switch is |
/// |---|---|---|
/// | [`disable`](Self::disable) | anything | off |
/// | [`force_on`](Self::force_on) | anything | on |
/// | [`enable`](Self::enable), as at the start | open | off |
/// | [`enable`](Self::enable), as at the start | closed, or there is none | on |
///
/// # Examples
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, ManualClock, Ratio, Switch};
///
/// static SUGGESTIONS: Switch = Switch::new();
///
/// fn page(suggest: impl FnOnce() -> Result<&'static str, ()>) -> &'static str {
///     SUGGESTIONS.call(suggest).unwrap_or("no suggestions today")
/// }
/// assert_eq!(page(|| Ok("you may like Volume 2")), "you may like Volume 2");
///
/// // Less load while the database is in trouble.
/// let clock: ManualClock = ManualClock::new();
/// let database = CircuitBreaker::new(BreakerConfig::standard(), &clock)
///     .observed_by("database", &SUGGESTIONS);
/// database.trip();
/// assert_eq!(page(|| Ok("you may like Volume 2")), "no suggestions today");
/// database.reset();
///
/// // For a quarter of the users, and for the same ones each time.
/// SUGGESTIONS.set_share(Ratio::percent(25))?;
/// let chosen = (0..1000).filter(|&user| SUGGESTIONS.is_enabled_for(user)).count();
/// assert!((200..300).contains(&chosen));
/// # Ok::<(), fusebox_core::ConfigError>(())
/// ```
///
/// # Interrupt safety
///
/// Lock-free: asking is one load, with a share and no key also one `fetch_add`; changing is a
/// compare-and-swap in a loop in which a failed swap is another change's success.
pub struct Switch {
    word: AtomicWord,
    /// How many calls were asked about while there was a share, wrapping.
    asked: AtomicWord,
    salt: u64,
}

/// A [`Switch`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SwitchSnapshot {
    /// Whether it is on, for its share of the calls.
    pub enabled: bool,
    /// What was set by hand, if anything: on for [`Switch::force_on`], off for
    /// [`Switch::disable`].
    pub by_hand: Option<bool>,
    /// Whether what drives it says that it should be off.
    pub driven_off: bool,
    /// The share of calls that it is on for.
    pub share: Ratio,
}

impl Switch {
    constructor! {
        /// A switch that is on.
        #[must_use]
        pub const fn new() -> Self {
            Self::salted(0)
        }
    }

    constructor! {
        /// A switch that is on, and whose share falls on other keys than that of a switch with
        /// another `salt`: otherwise the same users are the first to get every new feature.
        #[must_use]
        pub const fn salted(salt: u64) -> Self {
            Self { word: AtomicWord::new(Snapshot::NEW.0), asked: AtomicWord::new(0), salt }
        }
    }

    /// Off, until [`enable`](Self::enable) or [`force_on`](Self::force_on).
    pub fn disable(&self) {
        self.update(|old| Some(old.by_hand(Some(false))));
    }

    /// Takes back what was set by hand: on, unless what drives it says otherwise.
    pub fn enable(&self) {
        self.update(|old| Some(old.by_hand(None)));
    }

    /// On, whatever drives it says, until [`enable`](Self::enable) or [`disable`](Self::disable).
    pub fn force_on(&self) {
        self.update(|old| Some(old.by_hand(Some(true))));
    }

    /// The share of calls that it is on for, from 0 to 100 %, rounded down to a hundredth of a
    /// percent.
    ///
    /// # Errors
    ///
    /// A share that is more than the whole, or no number.
    pub fn set_share(&self, share: Ratio) -> Result<(), ConfigError> {
        let whole = u64::from(WHOLE) * u64::from(share.numerator());
        match whole.checked_div(u64::from(share.denominator())) {
            Some(parts) if parts <= u64::from(WHOLE) => {
                self.update(|old| Some(old.with_share(parts as u32)));
                Ok(())
            }
            _ => Err(setting!("a switch's share" must "be at most 100 %").ratio(share)),
        }
    }

    /// Off as long as `off`, unless it is set by hand; for what drives it and is no breaker.
    pub fn drive(&self, off: bool) {
        self.update(|old| Some(old.driven(off)));
    }

    /// Whether it is on, for any calls at all.
    #[must_use]
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.load().share_now() > 0
    }

    /// Whether it is on for `key`: always the same answer for the same key, salt and share.
    ///
    /// Any number that stands for a user or a tenant will do; [`key`](Self::key) makes one of
    /// text.
    #[must_use]
    pub fn is_enabled_for(&self, key: u64) -> bool {
        let place = (mix(key ^ mix(self.salt)) >> 32) as u32;
        is_within(place, self.load().share_now())
    }

    /// A number for a key that is text or other bytes: FNV-1a (Fowler, Noll, Vo; RFC 9923), the
    /// same in every process and on every target.
    #[must_use]
    pub const fn key(bytes: &[u8]) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut rest = bytes;
        while let Some((&first, others)) = rest.split_first() {
            hash = (hash ^ first as u64).wrapping_mul(0x0000_0100_0000_01b3);
            rest = others;
        }
        hash
    }

    /// The gate for the calls of `key`; see [`is_enabled_for`](Self::is_enabled_for).
    #[must_use]
    pub const fn of(&self, key: u64) -> SwitchFor<'_> {
        SwitchFor { switch: self, key }
    }

    /// The switch at this moment.
    #[must_use]
    pub fn snapshot(&self) -> SwitchSnapshot {
        let word = self.load();
        SwitchSnapshot {
            enabled: word.share_now() > 0,
            by_hand: word.hand(),
            driven_off: word.is_driven_off(),
            share: Ratio::new(word.share(), WHOLE),
        }
    }

    #[inline]
    fn load(&self) -> Snapshot {
        // Acquire: pairs with the Release of `update`; see the module docs.
        Snapshot(self.word.load(Ordering::Acquire))
    }

    /// Commits what `next` says, if it says anything.
    fn update(&self, next: impl Fn(Snapshot) -> Option<Snapshot>) {
        // Relaxed: only the old value is wanted; the swap makes sure of it.
        let mut old = Snapshot(self.word.load(Ordering::Relaxed));
        while let Some(new) = next(old) {
            // Release: publishes what was done before the switch was turned, to the Acquire of
            // `load`. Relaxed in failure: as above. Not AcqRel: nothing is read by whoever turns
            // it; a chain of changes stays a release sequence, as each is a read-modify-write.
            match self.word.compare_exchange_weak(
                old.0,
                new.0,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(found) => old = Snapshot(found),
            }
        }
    }

    /// Whether the next call is within the share.
    fn take_turn(&self, share: u32) -> bool {
        // Relaxed: a figure; publishes nothing.
        let number = low_half(self.asked.fetch_add(1, Ordering::Relaxed));
        is_within(spread(number), share)
    }
}

/// Whether `place`, uniform over all 32-bit numbers, is within the first `share` parts of the
/// whole.
const fn is_within(place: u32, share: u32) -> bool {
    (place as u64 * WHOLE as u64) >> 32 < share as u64
}

const fn switched(on: bool) -> Result<(), Rejection> {
    if on { Ok(()) } else { Err(Rejection::new(Reason::SwitchedOff)) }
}

impl Default for Switch {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate for Switch {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        let share = self.load().share_now();
        switched(share == WHOLE || (share > 0 && self.take_turn(share)))
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}

/// On for all calls, with nothing set by hand and nothing that drives it off.
impl Idle for Switch {
    fn is_idle(&self) -> bool {
        let word = self.load();
        word.share_now() == WHOLE && word.hand().is_none()
    }
}

impl Observer for Switch {
    /// Off when a breaker opens, on when it closes or judges no more; half-open and ramping up
    /// change nothing.
    fn on_event(&self, event: &Event<'_>) {
        let Event::StateChanged { to, generation, .. } = *event else { return };
        let off = match to {
            State::Open | State::ForcedOpen => Some(true),
            State::Closed | State::Disabled | State::MetricsOnly => Some(false),
            State::HalfOpen | State::RampingUp => None,
        };
        self.update(|old| old.transition_told(generation, off));
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

/// A [`Switch`] for the calls of one key; see [`Switch::of`].
#[derive(Clone, Copy, Debug)]
pub struct SwitchFor<'a> {
    switch: &'a Switch,
    key: u64,
}

impl Gate for SwitchFor<'_> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        switched(self.switch.is_enabled_for(self.key))
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}
