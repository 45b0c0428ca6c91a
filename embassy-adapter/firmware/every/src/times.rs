//! Clocks, deadlines, timeouts, ratios, random numbers.

use core::future::pending;

use fusebox_core::{
    Clock, Counter, Deadline, Extended, Random, Ratio, Ticks, Timeout, Timer, duration_from_ticks,
    ticks_from_duration,
};

use crate::{CLOCK, RANDOM, any, keep, now, poll, ready, some_time, use_gate};

pub(crate) fn all() {
    CLOCK.advance(some_time());
    CLOCK.rewind(some_time());
    CLOCK.set(now());
    keep((CLOCK.now(), CLOCK.elapsed()));
    poll((&CLOCK).sleep_until(now()));

    let later = now().wrapping_add(any(1)).saturating_add(any(1));
    keep((later.saturating_since(now()), Ticks::ZERO, Ticks::MAX));
    keep(ticks_from_duration(some_time(), any(1)));
    keep(duration_from_ticks(any(1), any(1)));

    deadlines();

    let timeout = Timeout::new(some_time()).or(any(None));
    keep(timeout.duration());
    poll(timeout.run(&CLOCK, pending::<Result<(), u32>>()));
    poll(Timeout::FAST.run(&CLOCK, ready(any(Err::<(), u32>(1)))));

    static EXTENDED: Extended<Hardware> = Extended::new(Hardware);
    keep((EXTENDED.now(), EXTENDED.now()));

    ratios();
    keep((RANDOM.next_u64(), RANDOM.below(any(6))));
}

/// A timer of 16 bits.
struct Hardware;

impl Counter for Hardware {
    const TICKS_PER_SECOND: u64 = 32_768;
    const PERIOD: u64 = 1 << 16;

    fn read(&self) -> u32 {
        any(7)
    }
}

fn deadlines() {
    let deadline = Deadline::after(&CLOCK, some_time()).min(Deadline::at(now()));
    keep((deadline.ticks(), deadline.is_never(), deadline.expired_at(now())));
    keep((deadline.expired(&CLOCK), deadline.remaining(&CLOCK)));
    use_gate(&deadline.on(&CLOCK));
    poll(deadline.run(&CLOCK, pending::<Result<(), u32>>()));
}

fn ratios() {
    let ratio = Ratio::new(any(1), any(2));
    keep((ratio.numerator(), ratio.denominator(), ratio.is_reached(any(1), any(2))));
    keep((ratio.validate().is_ok(), Ratio::percent(any(3))));
}
