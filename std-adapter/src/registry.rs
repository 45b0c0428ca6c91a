//! Gates by name: made once, found from anywhere, looked at and reset all together.
//!
//! A sorted map behind a lock, as a registry has as many entries as a program has dependencies and
//! is asked when these are set up: whoever calls often keeps the [`Arc`] that it was given. No code
//! of the user's, not even a drop, runs under the lock, so a registry may be used from anything it
//! calls, and a panic there leaves it as it was.

mod switches;
mod traits;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fusebox_core::{ConfigError, Error, Gate};

pub use switches::{SwitchBoard, SwitchTextError, SwitchTextProblem};
pub use traits::{Configured, Inspect, Reset};

type Entries<G> = BTreeMap<Arc<str>, Arc<G>>;

/// Gates of one type by name, in a `static` or wherever it is kept.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use fusebox_std::Registry;
///
/// static BREAKERS: Registry<CircuitBreaker> = Registry::new();
///
/// // Whoever comes first makes it; all get the same one.
/// let db = BREAKERS.get_or_create("db", BreakerConfig::standard())?;
/// let rows = db.call(|| Ok::<_, std::io::Error>(3));
/// assert!(matches!(rows, Ok(3)));
///
/// BREAKERS.add("search", CircuitBreaker::new(BreakerConfig::aggressive(), StdClock))?;
/// for (name, breaker) in BREAKERS.snapshot() {
///     println!("{name}: {}", breaker.state);
/// }
/// BREAKERS.reset_all();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A breaker by itself counts only what it trips by. Without a [`Meter`](fusebox_core::Meter) all
/// else in its snapshot is 0 or `None`: with no window, all counts but the failures in a row.
///
/// ```
/// use fusebox_std::prelude::*;
///
/// type Metered = CircuitBreaker<StdClock, Consecutive, Meter>;
/// static BREAKERS: Registry<Metered> = Registry::new();
///
/// fn breaker(name: &str) -> std::sync::Arc<Metered> {
///     BREAKERS.get_or_create_with(name, || {
///         let config = BreakerConfig::standard();
///         CircuitBreaker::with_parts(config, Consecutive, Meter::new(), (), StdClock)
///     })
/// }
/// for _ in 0..3 {
///     breaker("db").call(|| Ok::<_, std::io::Error>(7))?;
/// }
/// let [(_, db)] = BREAKERS.snapshot().try_into().unwrap();
/// assert_eq!(db.totals.unwrap().successes, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A registry of configurations is a set of templates:
///
/// ```
/// use fusebox_std::prelude::*;
/// use fusebox_std::Registry;
/// use std::time::Duration;
///
/// static BREAKERS: Registry<CircuitBreaker> = Registry::new();
/// static TEMPLATES: Registry<BreakerConfig> = Registry::new();
///
/// TEMPLATES.add("internal", BreakerConfig::aggressive())?;
/// TEMPLATES.add("partner", BreakerConfig::conservative().open_for(Duration::from_secs(60)))?;
///
/// for (name, template) in [("users", "internal"), ("payments", "partner")] {
///     BREAKERS.get_or_create(name, *TEMPLATES.require(template)?)?;
/// }
/// assert_eq!(BREAKERS.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry<G> {
    entries: RwLock<Entries<G>>,
}

impl<G> Registry<G> {
    /// An empty registry.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: RwLock::new(BTreeMap::new()) }
    }

    /// Adds `gate` under `name`.
    ///
    /// # Errors
    ///
    /// There is one of that name, and it stays.
    pub fn add(&self, name: &str, gate: G) -> Result<Arc<G>, DuplicateName> {
        let gate = Arc::new(gate);
        let (found, unused) = self.insert(name, gate);
        // The one that was not taken is dropped here, after the lock.
        match unused {
            None => Ok(found),
            Some(_) => Err(DuplicateName(name.into())),
        }
    }

    /// What has this name, if anything.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<G>> {
        self.read().get(name).cloned()
    }

    /// What has this name.
    ///
    /// # Errors
    ///
    /// Nothing has.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::prelude::*;
    /// use fusebox_std::Registry;
    ///
    /// static BREAKERS: Registry<CircuitBreaker> = Registry::new();
    ///
    /// BREAKERS.get_or_create("db", BreakerConfig::standard())?;
    /// let db = BREAKERS.require("db")?;
    /// let answer = db.call(|| Ok::<_, ()>(42));
    /// assert_eq!(answer, Ok(42));
    ///
    /// let error = BREAKERS.require("bd").unwrap_err();
    /// assert_eq!(error.to_string(), "nothing is registered as `bd`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn require(&self, name: &str) -> Result<Arc<G>, UnknownName> {
        self.get(name).ok_or_else(|| UnknownName(name.into()))
    }

    /// What has this name, made by `config` if nothing has.
    ///
    /// A configuration counts only for whoever comes first: what is there is not changed.
    ///
    /// # Errors
    ///
    /// Nothing has the name, and `config` is not valid.
    pub fn get_or_create(&self, name: &str, config: G::Config) -> Result<Arc<G>, ConfigError>
    where
        G: Configured,
    {
        self.try_get_or_create_with(name, || G::configured(config))
    }

    /// What has this name, or what `make` makes if nothing has.
    ///
    /// Two that come at the same time may both make one; both get the one that was added.
    pub fn get_or_create_with(&self, name: &str, make: impl FnOnce() -> G) -> Arc<G> {
        match self.get(name) {
            Some(gate) => gate,
            None => self.insert(name, Arc::new(make())).0,
        }
    }

    /// [`get_or_create_with`](Self::get_or_create_with) where making one may fail.
    ///
    /// # Errors
    ///
    /// Nothing has the name, and `make` failed.
    pub fn try_get_or_create_with<E>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<G, E>,
    ) -> Result<Arc<G>, E> {
        match self.get(name) {
            Some(gate) => Ok(gate),
            None => Ok(self.insert(name, Arc::new(make()?)).0),
        }
    }

    /// Takes what has this name out. Whoever holds it goes on with it.
    pub fn remove(&self, name: &str) -> Option<Arc<G>> {
        let removed = self.write().remove_entry(name);
        removed.map(|(_, gate)| gate)
    }

    /// All there is now, by name and sorted by it.
    pub fn iter(&self) -> impl Iterator<Item = (Arc<str>, Arc<G>)> + use<G> {
        // Copied, so that the lock is not held while somebody looks at it.
        let entries: Vec<_> =
            self.read().iter().map(|(name, gate)| (Arc::clone(name), Arc::clone(gate))).collect();
        entries.into_iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A snapshot of each, by name and sorted by it; one after another, not all at one moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Arc<str>, G::Snapshot)>
    where
        G: Inspect,
    {
        self.iter().map(|(name, gate)| (name, gate.inspect())).collect()
    }

    /// Puts each back to how it started, as [`Reset`] says for its type.
    pub fn reset_all(&self)
    where
        G: Reset,
    {
        self.iter().for_each(|(_, gate)| gate.reset());
    }

    /// Runs `operation` behind the gate of this name; [`require`](Self::require) is for all else.
    ///
    /// # Errors
    ///
    /// Outside, that nothing has the name; inside, as [`Gate::call`].
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::prelude::*;
    /// use fusebox_std::Registry;
    ///
    /// fn title(breakers: &Registry<CircuitBreaker>) -> Result<String, Box<dyn std::error::Error>> {
    ///     Ok(breakers.call("files", || std::fs::read_to_string("/no/such/file"))??)
    /// }
    /// let breakers = Registry::new();
    /// assert_eq!(title(&breakers).unwrap_err().to_string(), "nothing is registered as `files`");
    /// ```
    pub fn call<T, E>(
        &self,
        name: &str,
        operation: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, Error<E>>, UnknownName>
    where
        G: Gate,
    {
        Ok(self.require(name)?.call(operation))
    }

    /// Adds `gate`, or finds what has the name already and hands `gate` back.
    fn insert(&self, name: &str, gate: Arc<G>) -> (Arc<G>, Option<Arc<G>>) {
        let mut entries = self.write();
        if let Some(found) = entries.get(name) {
            return (Arc::clone(found), Some(gate));
        }
        entries.insert(name.into(), Arc::clone(&gate));
        (gate, None)
    }

    // A panic under the lock could only come from the allocator, and leaves the map whole.

    fn read(&self) -> RwLockReadGuard<'_, Entries<G>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries<G>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G> Default for Registry<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: fmt::Debug> fmt::Debug for Registry<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// There is something of this name in the [`Registry`] already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateName(Box<str>);

impl DuplicateName {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DuplicateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is registered already", self.0)
    }
}

impl StdError for DuplicateName {}

/// There is nothing of this name in the [`Registry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName(Box<str>);

impl UnknownName {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing is registered as `{}`", self.0)
    }
}

impl StdError for UnknownName {}
