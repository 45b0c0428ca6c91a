//! Feature switches.

use fusebox_core::{BreakerConfig, CircuitBreaker, Idle, Ratio, Switch, Switches};

use crate::{CLOCK, any, keep, use_gate};

static SWITCH: Switch = Switch::new();
static SALTED: Switch = Switch::salted(1);
static SWITCHES: Switches = Switches::new();

pub(crate) fn all() {
    use_gate(&SWITCH);
    keep(SWITCH.is_idle());
    use_gate(&SALTED.of(Switch::key(any(b"key"))));
    match any(0_u32) {
        0 => SWITCH.disable(),
        1 => SWITCH.enable(),
        2 => SWITCH.force_on(),
        _ => SWITCH.drive(any(true)),
    }
    keep(SWITCH.set_share(Ratio::new(any(1), any(2))).is_ok());
    keep((SWITCH.is_enabled(), SWITCH.is_enabled_for(any(1)), SWITCH.snapshot()));
    if let Ok(driver) = CircuitBreaker::try_new(BreakerConfig::standard(), &CLOCK) {
        driver.observed_by("driver", (&SWITCH, ())).trip();
    }

    use_gate(&SWITCHES.at::<1>());
    if let Some(flag) = SWITCHES.get(any(2)) {
        flag.disable();
        flag.enable();
        keep(flag.is_enabled());
    }
    SWITCHES.set_all(any(3));
    keep(SWITCHES.all());
}
