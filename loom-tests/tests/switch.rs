//! Models of switches and of shadow mode.

mod bounded;
mod breaker_parts;

use std::sync::Arc as Shared;

use bounded::model;
use breaker_parts::{Places, Still, config, race};
use fusebox_core::{CircuitBreaker, Event, Gate, Observer, Shadow, State, Switch, Switches};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};

/// Passes events on to a switch that others look at as well.
struct Drives(Shared<Switch>);

impl Observer for Drives {
    fn on_event(&self, event: &Event<'_>) {
        self.0.on_event(event);
    }
}

#[test]
fn changes_reported_out_of_order() {
    // Race: one thread opens a breaker and another closes it again; each reports its own change, so
    // the opening may be reported last. Whatever the breaker is in the end, the switch says the
    // same. Fails when `transition_told` takes late reports.
    model(|| {
        let switch = Shared::new(Switch::new());
        let driver = Drives(Shared::clone(&switch));
        let breaker = CircuitBreaker::new(config(), Still).observed_by("db", driver);
        let breaker = Arc::new(breaker);
        race(&breaker, |breaker| breaker.trip(), |breaker| breaker.reset());
        assert_eq!(switch.is_enabled(), breaker.state() == State::Closed);
    });
}

#[test]
fn a_person_against_a_driver() {
    // Race: a person turns the switch off while what drives it reports that all is well. Both are
    // noted, so it is off, and on once the person lets go. Fails when `update` stores what it
    // made of the word it loaded.
    model(|| {
        let switch = Arc::new(Switch::new());
        switch.drive(true);
        race(&switch, Switch::disable, |switch| switch.drive(false));
        let now = switch.snapshot();
        assert_eq!((now.by_hand, now.driven_off), (Some(false), false));
        switch.enable();
        assert!(switch.is_enabled());
    });
}

/// Something that is set up before a switch is put on.
#[derive(Default)]
struct SetUp<S> {
    switch: S,
    done: AtomicUsize,
}

#[test]
fn a_switch_is_on_after_what_it_is_for() {
    // Race: one thread sets something up and puts the switch on, another finds it on and uses it.
    // Fails when `update` is Relaxed, and when `load` is.
    model(|| {
        let shared = Arc::new(SetUp::<Switch>::default());
        shared.switch.disable();
        race(
            &shared,
            |shared| {
                shared.done.store(1, Ordering::Relaxed);
                shared.switch.enable();
            },
            |shared| {
                if shared.switch.permit().is_ok() {
                    assert_eq!(shared.done.load(Ordering::Relaxed), 1);
                }
            },
        );
    });
}

#[test]
fn a_flag_is_on_after_what_it_is_for() {
    // Race: as above, for one of many switches, while another one is turned. Fails when
    // `Flag::enable` or `Switches::load` is Relaxed, and when a change is a load and a store.
    model(|| {
        let shared = Arc::new(SetUp::<Switches>::default());
        shared.switch.at::<0>().disable();
        race(
            &shared,
            |shared| {
                shared.done.store(1, Ordering::Relaxed);
                shared.switch.at::<0>().enable();
            },
            |shared| {
                shared.switch.at::<1>().disable();
                if shared.switch.at::<0>().permit().is_ok() {
                    assert_eq!(shared.done.load(Ordering::Relaxed), 1);
                }
            },
        );
        assert_eq!(!shared.switch.all(), 0b10);
    });
}

#[test]
fn calls_spared_while_shadow_mode_ends() {
    // Race: a call is spared while refusals begin to count, and another is asked about at the same
    // moment. Each is either refused or counted as spared, and the setting stays. Fails when
    // the counter is raised by a load and a store.
    model(|| {
        let shadow = Arc::new(Shadow::new(Places::new(0)));
        let (one, two) = race(
            &shadow,
            |shadow| shadow.enter().is_ok(),
            |shadow| {
                shadow.enforce();
                shadow.enter().is_ok()
            },
        );
        assert!(!two && shadow.is_enforced());
        assert_eq!(shadow.spared(), u64::from(one));
    });
}

#[test]
fn a_place_taken_in_shadow_mode() {
    // Race: two calls come for one place in shadow mode. One holds it, the other holds nothing, and
    // both leave: the place is free, and was given back once. Fails when `exit` tells the gate
    // of a call that it refused.
    model(|| {
        let shadow = Arc::new(Shadow::new(Places::new(1)));
        let (one, two) = race(&shadow, |shadow| shadow.enter(), |shadow| shadow.enter());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(u8::from(one.is_some()) + u8::from(two.is_some()), 1);
        assert_eq!((shadow.inner().taken(), shadow.spared()), (1, 1));
        shadow.enforce();
        race(
            &shadow,
            move |shadow| shadow.exit(one, fusebox_core::Outcome::Success),
            |shadow| shadow.exit(two, fusebox_core::Outcome::Failure),
        );
        assert_eq!(shadow.inner().taken(), 0);
    });
}
