//! Races of readers of a clock over a counter that is too narrow.

use core::sync::atomic::{AtomicU32, Ordering};

use fusebox_core::{Clock, Counter, Extended};

use crate::explore::Case;
use crate::race::Race;

pub(crate) const CASES: &[Case] = &[
    Case::new("clock: two readings as half a period begins", |race| two_readings(race, 0, 130)),
    Case::new("clock: two readings as the counter wraps", |race| two_readings(race, 128, 2)),
    Case::twice("clock: three readings in three halves", |race| two_readings(race, 0, 130)),
];

/// A counter of eight bits.
struct Narrow(AtomicU32);

impl Counter for Narrow {
    const TICKS_PER_SECOND: u64 = 1_000;
    const PERIOD: u64 = 256;

    fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed) % 256
    }
}

/// Reads the clock at `first`, as the counter goes on to `then` (of its next period, if that is
/// less) and is read there; and once more as far from there, should there be another interrupt.
fn two_readings(race: &mut Race, first: u32, then: u32) {
    let (step, begins) = ((then.wrapping_sub(first)) % 256, first);
    let counter = Narrow(AtomicU32::new(0));
    let clock = Extended::new(&counter);
    counter.0.store(begins, Ordering::Relaxed);
    let begun = clock.now().0 as u32;
    let mut at = begins;
    race.run([&mut || clock.now().0 as u32], &mut || {
        at += step;
        counter.0.store(at, Ordering::Relaxed);
        clock.now().0 as u32
    });
    let end = clock.now().0 as u32;
    race.end(begun == begins && end == at && race.interrupt() == begins + step, [end, 0, 0]);
}
