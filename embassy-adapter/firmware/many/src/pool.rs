//! Several permits, asked for one or more at a time, with a queue that is too short for all: never
//! more are out than there are, and all of them come back.

use core::sync::atomic::{AtomicU32, Ordering};

use fusebox_core::{Queue, Semaphore};
use fusebox_suite::{Checked, ensure, ensure_eq};

use crate::cores::{Enough, Phase, contend, contended};
use crate::waits::{Asker, Did, Waits};

pub(crate) const PHASE: Phase = Phase { name: "pool", work, verify };

const ENOUGH: Enough = Enough { rounds: 2_000, collisions: 10 };

const PERMITS: u32 = 3;

static POOL: Semaphore<Queue<2>> = Semaphore::new(PERMITS);

/// How many are out by the count of those who have them: they count up when they have them, and
/// down before they give them back.
static OUT: AtomicU32 = AtomicU32::new(0);
/// The most that were.
static MOST: AtomicU32 = AtomicU32::new(0);

static WAITS: Waits = Waits::none();

fn work(core: usize) {
    let asker = Asker::new(core, &WAITS);
    contend(core, &ENOUGH, || {
        let n = 1 + asker.below(PERMITS);
        if let Some(permit) = asker.ask(&POOL, n, |_| {}) {
            // Relaxed: to count what is out at a time needs only that each change is one.
            let out = OUT.fetch_add(n, Ordering::Relaxed) + n;
            MOST.fetch_max(out, Ordering::Relaxed);
            asker.linger();
            OUT.fetch_sub(n, Ordering::Relaxed);
            permit.success();
        }
    });
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    WAITS.print();
    report("pool: the cores collided", contended(&ENOUGH));
    report("pool: every way to ask was taken", WAITS.make_sense());
    report("pool: never more out than there are", never_too_many());
    report("pool: all permits are back", are_back());
}

fn never_too_many() -> Checked {
    ensure_eq!(MOST.load(Ordering::Relaxed), PERMITS, "as many were out as there are, not more");
    ensure!(WAITS.of(Did::QueueFull) > 0, "the queue was full at times");
    Ok(())
}

fn are_back() -> Checked {
    ensure_eq!(OUT.load(Ordering::Relaxed), 0);
    ensure_eq!(POOL.available(), PERMITS);
    ensure_eq!(POOL.waiting(), 0);
    Ok(())
}
