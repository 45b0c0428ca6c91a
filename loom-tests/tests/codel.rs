//! `CoDel` under every interleaving.
//!
//! The orderings are all Relaxed, as the word guards nothing else: what the models hold is that
//! each change is one compare-and-swap.

mod bounded;

use bounded::model;
use fusebox_core::{Clock, CoDel, CoDelConfig, Ticks};
use loom::sync::Arc;
use loom::thread;

/// The models give the time themselves, in milliseconds.
struct Milliseconds;

impl Clock for Milliseconds {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        Ticks(0)
    }
}

type Queue = CoDel<Milliseconds>;

/// Whether a call that has waited for so many milliseconds at `now` is shed.
fn sheds(codel: &Queue, delay: u64, now: u64) -> bool {
    codel.admit_at(Ticks(now - delay), Ticks(now)).is_err()
}

/// A target of 5 ms, an interval of 100 ms, of which the first began at 1000 ms and has seen a long
/// delay only.
fn codel() -> Arc<Queue> {
    let codel = Arc::new(CoDel::new(CoDelConfig::new(), Milliseconds));
    assert!(!sheds(&codel, 30, 1_000));
    codel
}

/// Race: the last call of an interval was on target; another one ends the interval. Either that
/// call sees it, or the first one marks the next interval, but it is never lost. Fails where a
/// change is committed by a store: then both intervals may look as if nothing had been on target.
#[test]
fn a_call_on_target_counts_in_one_interval() {
    model(|| {
        let codel = codel();
        let thread = thread::spawn({
            let codel = Arc::clone(&codel);
            move || assert!(!sheds(&codel, 0, 1_099))
        });
        let first = sheds(&codel, 30, 1_100);
        thread.join().unwrap();
        let second = sheds(&codel, 30, 1_200);
        assert_eq!(u32::from(first) + u32::from(second), 1, "{first} {second}");
    });
}

/// Race: two calls find the interval over, and the one that was on target has read the clock a
/// little later. Fails where a reading that is late begins an interval in the past: the mark of the
/// call on target is lost.
#[test]
fn a_late_reading_begins_no_interval() {
    model(|| {
        let codel = codel();
        let thread = thread::spawn({
            let codel = Arc::clone(&codel);
            move || assert!(!sheds(&codel, 0, 1_110))
        });
        sheds(&codel, 30, 1_105);
        thread.join().unwrap();
        assert!(!sheds(&codel, 30, 1_212), "one was on target");
    });
}
