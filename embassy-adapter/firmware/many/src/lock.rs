//! One permit that all cores want: it excludes, orders memory as a lock does, and is handed on in
//! turn, while waits are cut short and given up.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use fusebox_core::{Queue, Semaphore};
use fusebox_suite::{Checked, ensure_eq};

use crate::CORES;
use crate::cores::{Enough, Phase, contend, contended};
use crate::waits::{Asker, Did, Waits};

pub(crate) const PHASE: Phase = Phase { name: "lock", work, verify };

const ENOUGH: Enough = Enough { rounds: 2_000, collisions: 10 };

static LOCK: Semaphore<Queue<3>> = Semaphore::new(1);

/// What the permit guards: no atomic, so that it is right only if the permit excludes and orders.
struct Guarded(UnsafeCell<u64>);

// SAFETY: only who holds the permit touches it, which is what is to be shown.
unsafe impl Sync for Guarded {}

static GUARDED: Guarded = Guarded(UnsafeCell::new(0));

/// Whether somebody holds the permit, and how often somebody else came in nevertheless.
static INSIDE: AtomicBool = AtomicBool::new(false);
static INTRUSIONS: AtomicU32 = AtomicU32::new(0);

/// Instants in an order that all cores agree on.
static NEXT_INSTANT: AtomicU64 = AtomicU64::new(1);
/// By when each core was waiting; 0 where it is not.
static WAITING_BY: [AtomicU64; CORES] = [const { AtomicU64::new(0) }; CORES];
/// How often one was served that had asked after another had been waiting.
static OVERTAKEN: AtomicU32 = AtomicU32::new(0);

static WAITS: Waits = Waits::none();

// SeqCst: one order of all instants and what is noted by them.
fn instant() -> u64 {
    NEXT_INSTANT.fetch_add(1, Ordering::SeqCst)
}

fn work(core: usize) {
    let asker = Asker::new(core, &WAITS);
    contend(core, &ENOUGH, || {
        let asked = instant();
        let waiting = |waits| {
            let by = if waits { instant() } else { 0 };
            WAITING_BY[core].store(by, Ordering::SeqCst);
        };
        if let Some(permit) = asker.ask(&LOCK, 1, waiting) {
            hold(asked);
            // Long enough for others to come.
            asker.linger();
            INSIDE.store(false, Ordering::Relaxed);
            permit.success();
        }
    });
}

/// What a core does that holds the permit, and `asked` for it at that instant.
fn hold(asked: u64) {
    // Relaxed, here and where it is cleared: should the permit not order it, that is found.
    if INSIDE.swap(true, Ordering::Relaxed) {
        INTRUSIONS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the permit excludes everybody else.
    unsafe {
        let seen = GUARDED.0.get().read_volatile();
        GUARDED.0.get().write_volatile(seen + 1);
    }
    // Who waits for the only permit now has not been served since, so that whoever was waiting
    // before this core asked has been overtaken.
    for by in &WAITING_BY {
        let by = by.load(Ordering::SeqCst);
        if by != 0 && by < asked {
            OVERTAKEN.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    WAITS.print();
    report("lock: the cores collided", contended(&ENOUGH));
    report("lock: every way to ask was taken", WAITS.make_sense());
    report("lock: one permit excludes and orders memory", excludes());
    report("lock: nobody overtakes", in_turn());
    report("lock: the permit is back", is_back());
}

fn excludes() -> Checked {
    ensure_eq!(INTRUSIONS.load(Ordering::Relaxed), 0);
    // SAFETY: all other cores wait for this one.
    let guarded = unsafe { GUARDED.0.get().read() };
    ensure_eq!(guarded, WAITS.of(Did::Served));
    Ok(())
}

fn in_turn() -> Checked {
    ensure_eq!(OVERTAKEN.load(Ordering::Relaxed), 0);
    Ok(())
}

fn is_back() -> Checked {
    ensure_eq!(LOCK.available(), 1);
    ensure_eq!(LOCK.waiting(), 0);
    Ok(())
}
