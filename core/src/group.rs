//! Gates by name, a fixed number of them.
//!
//! A plain array of names and gates, which a `static` holds: firmware knows its dependencies when
//! it is built. That leaves nothing to allocate, to lock, or to run out of, and lets the compiler
//! find a name that is given twice. A map whose entries come and go (heapless has one) would have
//! to be behind a lock to be shared, and a binary search would gain nothing among so few.

use core::fmt;
use core::slice;

use crate::error::ConfigError;

/// `N` gates of one type by name: for a command line, a diagnostic message, or to do something with
/// all of them.
///
/// # Examples
///
/// ```
/// # use fusebox_core::{Clock, Ticks};
/// # struct Rtc;
/// # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, Group};
///
/// static RADIO: CircuitBreaker<Rtc> = CircuitBreaker::new(BreakerConfig::standard(), Rtc);
/// static SENSOR: CircuitBreaker<Rtc> = CircuitBreaker::new(BreakerConfig::aggressive(), Rtc);
/// static BREAKERS: Group<&CircuitBreaker<Rtc>, 2> =
///     Group::new([("radio", &RADIO), ("sensor", &SENSOR)]);
///
/// // What came in over the wire.
/// let command = "reset radio";
/// if let Some(breaker) = command.strip_prefix("reset ").and_then(|name| BREAKERS.get(name)) {
///     breaker.reset();
/// }
/// for (name, breaker) in &BREAKERS {
///     println!("{name}: {}", breaker.state());
/// }
/// assert!(BREAKERS.get("radio").is_some_and(|radio| radio.permit().is_ok()));
/// ```
///
/// A name that is given twice does not compile:
///
/// ```compile_fail,E0080
/// use fusebox_core::{Group, Semaphore};
///
/// static PERMITS: Group<Semaphore, 2> =
///     Group::new([("bus", Semaphore::new(1)), ("bus", Semaphore::new(2))]);
/// ```
pub struct Group<G, const N: usize> {
    members: [(&'static str, G); N],
}

impl<G, const N: usize> Group<G, N> {
    /// A group of these.
    ///
    /// # Panics
    ///
    /// Where two have the same name; in a `static`, that is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn new(members: [(&'static str, G); N]) -> Self {
        if has_duplicate(&members) {
            ConfigError::DuplicateName.fail();
        }
        Self { members }
    }

    /// [`new`](Self::new) for names that are known only at run time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DuplicateName`].
    pub fn try_new(members: [(&'static str, G); N]) -> Result<Self, ConfigError> {
        if has_duplicate(&members) {
            return Err(ConfigError::DuplicateName);
        }
        Ok(Self { members })
    }

    /// What has this name. Looks at one after another.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&G> {
        self.iter().find_map(|(own, gate)| (own == name).then_some(gate))
    }

    /// All of them by name, in the order in which they were given.
    #[must_use]
    pub fn iter(&self) -> GroupIter<'_, G> {
        GroupIter { members: self.members.iter() }
    }
}

const fn has_duplicate<G>(mut members: &[(&'static str, G)]) -> bool {
    while let Some(((name, _), mut others)) = members.split_first() {
        members = others;
        while let Some(((other, _), rest)) = others.split_first() {
            if is_same(name.as_bytes(), other.as_bytes()) {
                return true;
            }
            others = rest;
        }
    }
    false
}

/// Equality, which a constant function has to spell out.
const fn is_same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let (Some((x, xs)), Some((y, ys))) = (a.split_first(), b.split_first()) {
        if *x != *y {
            return false;
        }
        (a, b) = (xs, ys);
    }
    a.is_empty() && b.is_empty()
}

impl<'a, G, const N: usize> IntoIterator for &'a Group<G, N> {
    type Item = (&'static str, &'a G);
    type IntoIter = GroupIter<'a, G>;

    fn into_iter(self) -> GroupIter<'a, G> {
        self.iter()
    }
}

impl<G: fmt::Debug, const N: usize> fmt::Debug for Group<G, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// The iterator over a [`Group`].
#[derive(Debug)]
pub struct GroupIter<'a, G> {
    members: slice::Iter<'a, (&'static str, G)>,
}

impl<'a, G> Iterator for GroupIter<'a, G> {
    type Item = (&'static str, &'a G);

    fn next(&mut self) -> Option<Self::Item> {
        self.members.next().map(|(name, gate)| (*name, gate))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.members.size_hint()
    }
}

impl<G> ExactSizeIterator for GroupIter<'_, G> {}
