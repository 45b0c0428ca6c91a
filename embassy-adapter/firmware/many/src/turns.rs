//! One permit from hand to hand, with nothing else going on: each hand-over has to wake the one core
//! whose turn it is, as no other event would.
//!
//! Core 0 holds the permit, has the others line up in an order that it draws, one of them leave
//! again at times, and lets go. In `lock` and `pool` a wake-up that is lost may be made good by the
//! next one; here the core sleeps on, and the run fails.

use core::pin::pin;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use fusebox_core::{Acquire, Queue, Random, Rng, Semaphore};
use fusebox_suite::{Checked, ensure, ensure_eq};

use crate::CORES;
use crate::arch::{self, TICKS_PER_SECOND, ticks};
use crate::cores::{Phase, Tallies, phase_began, wait_until};
use crate::executor::Task;

pub(crate) const PHASE: Phase = Phase { name: "turns", work, verify };

/// Those who line up: all cores but core 0.
const LINE: usize = CORES - 1;

type Baton = Semaphore<Queue<LINE>>;

static BATON: Baton = Semaphore::new(1);

/// What core 0 asks of each of the others.
static ORDERS: [AtomicU32; CORES] = [const { AtomicU32::new(DONE) }; CORES];
/// The last order was carried out.
const DONE: u32 = 0;
const LINE_UP: u32 = 1;
/// Stand in line, but only to leave it when told.
const LINE_UP_TO_LEAVE: u32 = 2;
const LEAVE: u32 = 3;
const GO_HOME: u32 = 4;

/// Who has been served in this turn, in order, and how many.
static SERVED: [AtomicUsize; LINE] = [const { AtomicUsize::new(0) }; LINE];
static SERVED_COUNT: AtomicUsize = AtomicUsize::new(0);

/// At least so many turns, and for so many milliseconds.
const TURNS: u64 = 20;
const TIME: u64 = 1_000;

static TALLIES: Tallies<4> = Tallies::new(["turns", "wrong turns", "slept", "left"]);
const TURN: usize = 0;
const WRONG: usize = 1;
const SLEPT: usize = 2;
const LEFT: usize = 3;

fn work(core: usize) {
    if core != 0 {
        while obey(core) {}
        return;
    }
    let random = Rng::from_seed(7);
    loop {
        let right = turn(&random);
        TALLIES.add(0, if right { TURN } else { WRONG }, 1);
        let elapsed = (ticks() - phase_began().0) / (TICKS_PER_SECOND / 1_000);
        let turns = TALLIES.total(TURN) + TALLIES.total(WRONG);
        if turns >= TURNS && elapsed >= TIME {
            break;
        }
    }
    for core in 1..CORES {
        order(core, GO_HOME);
    }
}

/// Core 0 gives an order. Release, and Acquire where it is read: what core 0 did before is done; and
/// back again when the order is carried out.
fn order(core: usize, order: u32) {
    ORDERS[core].store(order, Ordering::Release);
    arch::wake(core);
}

fn is_done(core: usize) -> bool {
    ORDERS[core].load(Ordering::Acquire) == DONE
}

/// A turn of the permit through all hands; whether it went as it should.
fn turn(random: &Rng) -> bool {
    let Ok(permit) = BATON.try_acquire() else { return false };
    let mut line = [1, 2, 3];
    line.swap(0, random.below(3) as usize);
    line.swap(1, 1 + random.below(2) as usize);
    // The place of the one that leaves; in each fourth turn nobody does.
    let leaves = random.below(LINE as u64 + 1) as usize;
    SERVED_COUNT.store(0, Ordering::Relaxed);
    for (place, &core) in line.iter().enumerate() {
        order(core, if place == leaves { LINE_UP_TO_LEAVE } else { LINE_UP });
        wait_until("a core to line up", u64::MAX, || is_done(core));
    }
    if let Some(&core) = line.get(leaves) {
        order(core, LEAVE);
        wait_until("a core to leave the line", u64::MAX, || is_done(core));
    }
    let expected = LINE - usize::from(leaves < LINE);
    let waiting = BATON.waiting();
    permit.success();
    // Acquire: pairs with the Release of those who were served.
    wait_until("all to be served", u64::MAX, || SERVED_COUNT.load(Ordering::Acquire) == expected);
    wait_until("the permit to come back", u64::MAX, || BATON.available() == 1);
    let served = SERVED.iter().map(|served| served.load(Ordering::Relaxed)).take(expected);
    let in_line = line.into_iter().enumerate().filter(|&(place, _)| place != leaves);
    waiting as usize == expected && served.eq(in_line.map(|(_, core)| core))
}

/// One of the others carries out an order; whether there may be more.
fn obey(core: usize) -> bool {
    wait_until("an order", u64::MAX, || !is_done(core));
    let order = ORDERS[core].load(Ordering::Acquire);
    if order == GO_HOME {
        return false;
    }
    {
        let wait = pin!(Acquire::new(&BATON, 1));
        let mut task = Task::new(wait);
        if task.poll().is_ready() {
            TALLIES.add(core, WRONG, 1);
        }
        carried_out(core);
        if order == LINE_UP {
            serve(core, task);
            return true;
        }
        wait_until("the order to leave", u64::MAX, || !is_done(core));
    }
    // The wait has been dropped.
    TALLIES.add(core, LEFT, 1);
    carried_out(core);
    true
}

fn carried_out(core: usize) {
    ORDERS[core].store(DONE, Ordering::Release);
    arch::wake(0);
}

/// Waits to the end, and notes who was served.
fn serve(core: usize, mut task: Task<'_, Acquire<&'static Baton>>) {
    let answer = task.finish();
    TALLIES.add(core, SLEPT, task.slept);
    let Ok(permit) = answer else {
        TALLIES.add(core, WRONG, 1);
        return;
    };
    // Relaxed, both: who holds the permit comes after who held it before.
    let place = SERVED_COUNT.load(Ordering::Relaxed);
    SERVED[place].store(core, Ordering::Relaxed);
    // Release: pairs with the Acquire in `turn`.
    SERVED_COUNT.store(place + 1, Ordering::Release);
    permit.success();
    arch::wake(0);
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    TALLIES.print();
    report("turns: everybody is woken in turn", in_turn());
    report("turns: the permit is back", is_back());
}

fn in_turn() -> Checked {
    ensure_eq!(TALLIES.total(WRONG), 0);
    ensure!(TALLIES.total(TURN) >= TURNS);
    ensure!(TALLIES.total(SLEPT) >= TURNS, "cores slept and were woken");
    ensure!(TALLIES.total(LEFT) > 0, "cores left the line");
    Ok(())
}

fn is_back() -> Checked {
    ensure_eq!(BATON.available(), 1);
    ensure_eq!(BATON.waiting(), 0);
    Ok(())
}
