//! What the models of the breaker share: a clock that nobody reads, an observer that keeps the
//! transitions, a race.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use core::time::Duration;
use std::sync::{Arc as Shared, Mutex};

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Clock, Counts, Event, Gate, Named, Observer, State, Ticks,
};
use loom::sync::Arc;

/// A clock that stands still: models say the time themselves, through the `*_at` forms. One tick is
/// a second, so that a model's durations are its ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Still;

impl Clock for Still {
    const TICKS_PER_SECOND: u64 = 1;

    fn now(&self) -> Ticks {
        Ticks::ZERO
    }
}

/// Keeps the transitions. Not a loom mutex: it must not add an ordering of its own to what is
/// modelled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transitions(Shared<Mutex<Vec<(State, State, u64)>>>);

impl Observer for Transitions {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::StateChanged { from, to, counts, .. } = event {
            self.0.lock().unwrap().push((*from, *to, counts.consecutive_failures));
        }
    }
}

impl Transitions {
    /// How often `from` became `to`.
    pub(crate) fn count(&self, from: State, to: State) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| (seen.0, seen.1) == (from, to)).count()
    }

    /// All transitions so far.
    pub(crate) fn all(&self) -> Vec<(State, State, u64)> {
        self.0.lock().unwrap().clone()
    }
}

/// Ten seconds open, ten seconds for probes, readers up to twenty seconds late: small enough for
/// 32-bit words to hold unscaled.
pub(crate) fn config() -> BreakerConfig {
    BreakerConfig::standard()
        .consecutive_failures(1)
        .open_for(Duration::from_secs(10))
        .half_open_timeout(Duration::from_secs(10))
        .max_lateness(Duration::from_secs(19))
}

/// A rule of the user's own.
pub(crate) fn two_in_a_row(counts: &Counts) -> bool {
    counts.consecutive_failures >= 2
}

pub(crate) type Watched<W = fusebox_core::Consecutive> =
    CircuitBreaker<Still, W, (), Named<Transitions>>;

/// A breaker of this configuration, and what it tells its observer.
pub(crate) fn watched(config: BreakerConfig) -> (Arc<Watched>, Transitions) {
    let transitions = Transitions::default();
    let breaker = CircuitBreaker::new(config, Still).observed_by("model", transitions.clone());
    (Arc::new(breaker), transitions)
}

/// The same, opened at 0: the open time is over at 10.
pub(crate) fn opened(config: BreakerConfig) -> (Arc<Watched>, Transitions) {
    let (breaker, transitions) = watched(config);
    let token = breaker.enter_at(Ticks(0)).unwrap();
    breaker.exit_at(token, fusebox_core::Outcome::Failure, Ticks(0));
    assert_eq!(breaker.state(), State::Open);
    (breaker, transitions)
}

/// Runs `first` on a thread of its own against `second` on this one.
pub(crate) fn race<T: 'static, A: 'static, B>(
    shared: &Arc<T>,
    first: impl FnOnce(&T) -> A + 'static,
    second: impl FnOnce(&T) -> B,
) -> (A, B) {
    let other = Arc::clone(shared);
    let thread = loom::thread::spawn(move || first(&other));
    let second = second(shared);
    (thread.join().unwrap(), second)
}

/// A gate that lets a number of calls in at once.
#[derive(Debug)]
pub(crate) struct Places {
    taken: loom::sync::atomic::AtomicUsize,
    places: usize,
}

impl Places {
    pub(crate) fn new(places: usize) -> Self {
        Self { taken: loom::sync::atomic::AtomicUsize::new(0), places }
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(loom::sync::atomic::Ordering::Relaxed)
    }
}

impl Gate for Places {
    type Token = ();

    fn enter(&self) -> Result<(), fusebox_core::Rejection> {
        use loom::sync::atomic::Ordering::{AcqRel, Relaxed};
        let more = |taken| if taken < self.places { Some(taken + 1) } else { None };
        match self.taken.fetch_update(AcqRel, Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(fusebox_core::Rejection::new(fusebox_core::Reason::BulkheadFull)),
        }
    }

    fn exit(&self, _token: (), _outcome: fusebox_core::Outcome) {
        let before = self.taken.fetch_sub(1, loom::sync::atomic::Ordering::AcqRel);
        assert!(before > 0, "a place was given back twice");
    }
}
