//! The changes of a breaker's state, each told once.

use fusebox_core::{Event, Observer, State};
use portable_atomic::{AtomicU32, Ordering};

const STATES: [State; 7] = [
    State::Closed,
    State::Open,
    State::HalfOpen,
    State::ForcedOpen,
    State::Disabled,
    State::MetricsOnly,
    State::RampingUp,
];

/// How often a breaker has entered and left each state.
///
/// Each change begins in the state that the one before has led to: so whatever is entered is left
/// once, but for the state that it is in now. A change that was lost, or made twice, shows.
#[derive(Debug)]
pub(super) struct Changes {
    entered: [AtomicU32; STATES.len()],
    left: [AtomicU32; STATES.len()],
}

impl Changes {
    pub(super) const fn new() -> Self {
        Self {
            entered: [const { AtomicU32::new(0) }; STATES.len()],
            left: [const { AtomicU32::new(0) }; STATES.len()],
        }
    }

    /// How often it has opened.
    pub(super) fn opened(&self) -> u32 {
        self.entered[State::Open as usize].load(Ordering::Relaxed)
    }

    /// Whether they lead from closed to `state`.
    pub(super) fn lead_to(&self, state: State) -> bool {
        STATES.iter().zip(self.entered.iter().zip(&self.left)).all(|(&each, (entered, left))| {
            let (entered, left) = (entered.load(Ordering::Relaxed), left.load(Ordering::Relaxed));
            let (first, now) = (u32::from(each == State::Closed), u32::from(each == state));
            entered.wrapping_add(first) == left.wrapping_add(now)
        })
    }
}

impl Observer for Changes {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::StateChanged { from, to, .. } = *event {
            // Relaxed: counters, read when all is over.
            for (counters, state) in [(&self.left, from), (&self.entered, to)] {
                if let Some(counter) = counters.get(state as usize) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}
