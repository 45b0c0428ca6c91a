//! What refuses early: the load shedder, `CoDel`, the adaptive throttle.

use fusebox_core::{
    AdaptiveThrottle, CoDel, CoDelConfig, Idle, Load, LoadShedder, Priority, Ratio, Rng,
    ShedderConfig, ThrottleConfig,
};
#[cfg(feature = "waits")]
use fusebox_core::{Bulkhead, BulkheadConfig, Deadline, Queue, WaitGate};

use crate::{CLOCK, RANDOM, Us, any, keep, now, outcome, some_time, use_gate};

static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(8));
static CODEL: CoDel<&Us> = CoDel::new(CoDelConfig::new(), &CLOCK);
static THROTTLE: AdaptiveThrottle<&Us, &Rng> =
    AdaptiveThrottle::new(ThrottleConfig::new(), &CLOCK, &RANDOM);

pub(crate) fn all() {
    keep((SHEDDER.is_idle(), THROTTLE.is_idle()));
    use_shedder(&SHEDDER);
    if let Ok(shedder) = LoadShedder::try_new(ShedderConfig::new(any(8)).share(priority(), share()))
    {
        use_shedder(&shedder);
    }

    use_codel(&CODEL);
    let config = CoDelConfig::new().target(some_time()).interval(some_time());
    if let Ok(codel) = CoDel::try_new(config.max_lateness(some_time()), &CLOCK) {
        use_codel(&codel);
    }
    #[cfg(feature = "waits")]
    waits();

    use_throttle(&THROTTLE);
    let config = ThrottleConfig::new().multiplier(share()).max_rejection(share());
    let config = config.window(some_time()).max_lateness(some_time());
    if let Ok(throttle) = AdaptiveThrottle::<_, _, 7>::try_new(config, &CLOCK, &RANDOM) {
        use_throttle(&throttle);
    }
}

pub(crate) fn share() -> Ratio {
    Ratio::new(any(3), any(2))
}

pub(crate) fn priority() -> Priority {
    match any(0_u32) {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Critical,
    }
}

fn load(load: Load) {
    let load = any(load);
    keep((load.limit(), load.in_flight(), load.percent()));
}

fn use_shedder(shedder: &LoadShedder) {
    use_gate(shedder);
    let at = shedder.at(priority());
    use_gate(&at);
    keep((at.priority(), shedder.limit(), shedder.in_flight()));
    load(shedder.snapshot());
    keep(shedder.set_limit(any(5)).is_ok());
}

fn use_codel(codel: &CoDel<&'static Us>) {
    use_gate(&codel.since(now()));
    use_gate(&codel.queue(&SHEDDER));
    keep((codel.admit(now()).is_ok(), codel.admit_at(now(), now()).is_ok()));
    keep((codel.is_overloaded(), codel.clock(), codel.queue(()).inner()));
}

#[cfg(feature = "waits")]
fn waits() {
    static WORKERS: Bulkhead<Queue<4>> = Bulkhead::new(BulkheadConfig::new(1));
    let held = WORKERS.semaphore().try_acquire();
    crate::poll(CODEL.queue(&WORKERS).wait_enter(&CLOCK, Deadline::at(now())));
    drop(held);
    crate::poll(CODEL.queue(&WORKERS).wait_enter(&CLOCK, Deadline::at(now())));
}

fn use_throttle<const B: usize>(throttle: &AdaptiveThrottle<&'static Us, &Rng, B>) {
    use_gate(throttle);
    if throttle.enter_at(now()).is_ok() {
        throttle.exit_at(outcome(), now());
    }
    let snapshot = any(throttle.snapshot());
    keep((snapshot.requests(), snapshot.accepts(), snapshot.rejection_ppm()));
    keep((throttle.snapshot_at(now()), throttle.clock()));
}
