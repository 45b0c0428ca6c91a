//! What many checks need.

use core::cell::Cell;
use core::future::Future;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{Event, Gate, GiveUp, Observer, Outcome, Reason, Rejection, State, WORD_BITS};

use crate::poll_once;

/// Every clock that the checks run on counts it in whole ticks.
pub(super) const EIGHTH: Duration = Duration::from_millis(125);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Whether a time is what it should be, as closely as a bucket promises: where words are 32 bits
/// wide its intervals are up to a thousandth longer, and a call may come early by a 256th of one;
/// and a tick of the slowest clock.
pub(super) fn is_about(time: Option<Duration>, exactly: Duration) -> bool {
    let (less, more) = match WORD_BITS {
        32 => (exactly / 256, exactly / 1_000),
        _ => (Duration::ZERO, exactly / 1_000_000),
    };
    let most = exactly + more + Duration::from_millis(1);
    time.is_some_and(|time| time >= exactly - less && time <= most)
}

/// Why it was refused, if it was.
pub(super) fn reason<T>(result: Result<T, Rejection>) -> Option<Reason> {
    result.err().map(|rejection| rejection.reason())
}

/// When to come back, if that was said.
pub(super) fn wait<T>(result: Result<T, Rejection>) -> Option<Duration> {
    result.err().and_then(|rejection| rejection.retry_after())
}

/// Polls a few times, while the clock stands still.
pub(super) fn finish<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    for _ in 0..50 {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return Poll::Ready(output);
        }
    }
    Poll::Pending
}

/// What a [`Journal`] knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Entered,
    Refused,
    Ended(Outcome),
    Ran(u32),
    Changed(State, State),
    Retrying(u32),
    GaveUp(u32, GiveUp),
    TimedOut(u32),
}

/// What happened, in order: the first few things, and how many there were.
#[derive(Debug)]
pub(super) struct Journal {
    notes: [Cell<Option<(&'static str, Note)>>; Self::LONGEST],
    length: Cell<usize>,
}

impl Journal {
    const LONGEST: usize = 20;

    pub(super) fn new() -> Self {
        Self { notes: [const { Cell::new(None) }; Self::LONGEST], length: Cell::new(0) }
    }

    pub(super) fn note(&self, who: &'static str, note: Note) {
        let length = self.length.get();
        if let Some(place) = self.notes.get(length) {
            place.set(Some((who, note)));
        }
        self.length.set(length + 1);
    }

    /// Whether it says exactly this. Begins a new one.
    pub(super) fn took(&self, expected: &[(&'static str, Note)]) -> bool {
        let length = self.length.replace(0);
        length == expected.len()
            && self.notes.iter().zip(expected).all(|(note, expected)| note.get() == Some(*expected))
    }
}

impl Observer for Journal {
    fn on_event(&self, event: &Event<'_>) {
        let note = match *event {
            Event::StateChanged { from, to, .. } => Note::Changed(from, to),
            Event::Rejected { .. } => Note::Refused,
            Event::Retrying { attempt, .. } => Note::Retrying(attempt),
            Event::GaveUp { attempts, cause, .. } => Note::GaveUp(attempts, cause),
            Event::TimedOut { attempt, .. } => Note::TimedOut(attempt),
            _ => return,
        };
        self.note("event", note);
    }
}

/// A gate that writes down what it is told, and refuses when told to.
#[derive(Debug)]
pub(super) struct Scribe<'a> {
    name: &'static str,
    journal: &'a Journal,
    pub(super) refusing: Cell<Option<Reason>>,
}

impl<'a> Scribe<'a> {
    pub(super) fn new(name: &'static str, journal: &'a Journal) -> Self {
        Self { name, journal, refusing: Cell::new(None) }
    }
}

impl Gate for Scribe<'_> {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        if let Some(reason) = self.refusing.get() {
            self.journal.note(self.name, Note::Refused);
            return Err(Rejection::new(reason));
        }
        self.journal.note(self.name, Note::Entered);
        Ok(())
    }

    fn exit(&self, (): (), outcome: Outcome) {
        self.journal.note(self.name, Note::Ended(outcome));
    }
}
