//! The algebra of gates.

use crate::ready;

use fusebox_core::{
    Classify, Deadline, FailureIf, Gate, Group, Guard, Idle, Immediate, Observed, Outcome, Permit,
    ResultClassify, Semaphore, Shadow, WaitGate,
};

use crate::{CLOCK, Watcher, any, keep, outcome, poll, use_gate};

static ONE: Semaphore = Semaphore::new(1);
static TWO: Semaphore = Semaphore::new(2);
static GROUP: Group<&Semaphore, 2> = Group::new([("one", &ONE), ("two", &TWO)]);
static SHADOW: Shadow<&Semaphore> = Shadow::new(&ONE);

pub(crate) fn all() {
    let gates = (&ONE, Some(&TWO), Immediate(&ONE), any(None::<&Semaphore>), &SHADOW);
    use_gate(&gates);
    let at_once = (Immediate(&ONE), Some(Immediate(&TWO)));
    poll(at_once.wait_enter(&CLOCK, Deadline::at(crate::now())));
    poll(at_once.0.observed("one", Watcher).wait_enter(&CLOCK, Deadline::NEVER));
    #[cfg(feature = "waits")]
    poll((&ONE, Some(&TWO), Immediate(&ONE)).wait_enter(&CLOCK, Deadline::at(crate::now())));
    permits();
    classes();
    groups();
    keep((gates.0.is_idle(), gates.1.is_stale(), gates.2.is_idle(), gates.4.is_stale()));
    keep((&ONE, Some(&TWO), ().observed("none", Watcher)).is_idle());

    let observed = (&ONE).observed("one", Watcher);
    use_gate(&observed);
    use_gate(Observed::new(&TWO, "two", Watcher).inner());
    #[cfg(feature = "waits")]
    poll(observed.wait_enter(&CLOCK, Deadline::NEVER));

    use_gate(&(&TWO).shadow().observed_by("two", Watcher));
    use_gate(&Shadow::with_observer(&TWO, ()));
    #[cfg(feature = "waits")]
    poll(SHADOW.wait_enter(&CLOCK, Deadline::NEVER));
    SHADOW.enforce();
    SHADOW.only_watch();
    keep((SHADOW.is_enforced(), SHADOW.spared(), SHADOW.inner().available()));
}

fn groups() {
    use_gate(&GROUP.get(any("two")));
    for (name, gate) in GROUP.iter() {
        keep((name, gate.available()));
    }
    keep(Group::try_new([(any("one"), &ONE), ("two", &TWO)]).is_ok());
}

fn permits() {
    for _ in 0..any(4) {
        let Ok(permit) = Permit::enter(&ONE) else { continue };
        keep(permit.gate().available());
        match any(0_u32) {
            0 => permit.success(),
            1 => permit.failure(),
            2 => permit.ignore(),
            3 => drop(permit),
            _ => permit.finish(outcome()),
        }
    }
    if let Ok(token) = TWO.enter() {
        drop(Permit::adopt(&TWO, token));
    }
}

fn classes() {
    let result = any(Err::<u32, u32>(1));
    keep((
        ResultClassify.classify(&result),
        FailureIf(|error: &u32| any(*error) > 1).classify(&result),
    ));
    let ignore = |_: &Result<u32, u32>| any(Outcome::Ignored);
    keep(ONE.call_with(ignore, || result));
    poll(Guard::new(&ONE, ready(result)).classify(ignore));
}
