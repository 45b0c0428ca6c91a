//! A mistake, which the sweep must find.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::explore::Case;
use crate::race::Race;

pub(crate) const CASES: &[Case] = if cfg!(feature = "planted-lost-update") {
    &[Case::new("planted: two count by a load and a store", count)]
} else {
    &[]
};

fn count(race: &mut Race) {
    let counter = AtomicU32::new(0);
    let raise = || {
        let count = counter.load(Ordering::SeqCst);
        counter.store(count + 1, Ordering::SeqCst);
        0
    };
    race.run([&mut { raise }], &mut { raise });
    let count = counter.load(Ordering::SeqCst);
    race.end(count == 2, [count, 0, 0]);
}
