//! The word of what is in flight, under every interleaving: load shedders have nothing else.

mod bounded;

use bounded::model;
use fusebox_core::{Gate, LoadShedder, Outcome, Priority, Reason, ShedderConfig};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

fn shedder(limit: u32) -> Arc<LoadShedder> {
    Arc::new(LoadShedder::new(ShedderConfig::new(limit)))
}

/// Runs `own` and `other` at once on one shedder.
fn race<A, B: 'static>(
    shedder: &Arc<LoadShedder>,
    own: impl FnOnce(&LoadShedder) -> A,
    other: impl FnOnce(&LoadShedder) -> B + 'static,
) -> (A, B) {
    let thread = thread::spawn({
        let shedder = Arc::clone(shedder);
        move || other(&shedder)
    });
    let own = own(shedder);
    (own, thread.join().unwrap())
}

/// Race: three calls for two places. Fails where entering compares and then counts: all three get
/// in.
#[test]
fn no_more_than_the_limit_get_in() {
    model(|| {
        let shedder = shedder(2);
        let third = thread::spawn({
            let shedder = Arc::clone(&shedder);
            move || shedder.enter()
        });
        let (own, other) = race(&shedder, |shedder| shedder.enter(), |shedder| shedder.enter());
        let answers = [own, other, third.join().unwrap()];
        let refused: Vec<_> = answers.iter().filter_map(|answer| answer.err()).collect();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].reason(), Reason::Overloaded);
        assert_eq!(shedder.in_flight(), 2);
    });
}

/// Race: two calls of a low priority for the last place that theirs may use, which is not the last
/// place of all. Fails as above, and where the share is taken of another limit than is compared.
#[test]
fn the_last_places_are_kept() {
    model(|| {
        let shedder = shedder(2);
        let low = |shedder: &LoadShedder| shedder.at(Priority::Low).enter().is_ok();
        let (own, other) = race(&shedder, low, low);
        assert_eq!(u32::from(own) + u32::from(other), 1, "half of two");
        assert!(shedder.at(Priority::Critical).enter().is_ok());
    });
}

/// Race: the only place is left while another call wants it. Whoever gets it comes after the one
/// who left. Fails where entering is Relaxed, and where leaving is.
#[test]
fn the_last_place_is_handed_over() {
    model(|| {
        let shedder = shedder(1);
        let inside = Arc::new(UnsafeCell::new(0));
        let left = Arc::clone(&inside);
        shedder.enter().unwrap();
        race(
            &shedder,
            |shedder| {
                if shedder.enter().is_ok() {
                    inside.with_mut(|_| ());
                    shedder.exit((), Outcome::Success);
                }
            },
            move |shedder| {
                left.with_mut(|_| ());
                shedder.exit((), Outcome::Success);
            },
        );
        assert_eq!(shedder.in_flight(), 0);
    });
}

/// Race: a call leaves while the limit shrinks below what is in flight. Fails where the limit is
/// set by a store: the call is never counted out, and its place is lost for good.
#[test]
fn a_change_of_the_limit_loses_nobody() {
    model(|| {
        let shedder = shedder(2);
        shedder.enter().unwrap();
        shedder.enter().unwrap();
        race(
            &shedder,
            |shedder| shedder.set_limit(1).unwrap(),
            |shedder| shedder.exit((), Outcome::Success),
        );
        assert_eq!((shedder.limit(), shedder.in_flight()), (1, 1));
        assert!(shedder.enter().is_err(), "one is in flight");
        shedder.exit((), Outcome::Success);
        assert!(shedder.enter().is_ok());
    });
}

/// Race: the limit shrinks while two want in. Fails where a call compares with a limit that it has
/// read before: it gets in although the limit is reached.
#[test]
fn the_limit_that_stands_is_kept() {
    model(|| {
        let shedder = shedder(2);
        let (in_first, ()) = race(
            &shedder,
            |shedder| [shedder.enter().is_ok(), shedder.enter().is_ok()],
            |shedder| shedder.set_limit(1).unwrap(),
        );
        assert!(in_first[0], "one is always let in");
        assert_eq!(shedder.in_flight(), 1 + u32::from(in_first[1]));
        assert!(shedder.enter().is_err(), "nobody else is");
    });
}
