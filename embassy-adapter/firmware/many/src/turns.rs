//! Permits from hand to hand, with nothing else going on: each hand-over has to wake the one core
//! whose turn it is, as no other event would.
//!
//! Core 0 holds the permits, has the others line up in an order that it draws, one of them leave
//! again at times, and lets go. In `lock` and `pool` a wake-up that is lost may be made good by the
//! next one; here the core sleeps on, and the run fails.

use core::pin::pin;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::task::Poll;

use fusebox_core::{Acquire, Permit, Queue, Random, Rejection, Rng, Semaphore};
use fusebox_suite::{Checked, ensure, ensure_eq};

use crate::CORES;
use crate::arch::{self, TICKS_PER_SECOND, ticks};
use crate::cores::{Phase, Tallies, phase_began, wait_until};
use crate::executor::Task;

pub(crate) const PHASE: Phase = Phase { name: "turns", work, verify };

/// Those who line up: all cores but core 0.
const LINE: usize = CORES - 1;

type Baton = Semaphore<Queue<LINE>>;

static BATON: Baton = Semaphore::new(BOTH);

/// The permits that there are.
const BOTH: u32 = 2;

/// What core 0 asks of each of the others.
static ORDERS: [AtomicU32; CORES] = [const { AtomicU32::new(DONE) }; CORES];
/// The last order was carried out.
const DONE: u32 = 0;
/// Stand in line for so many permits..
const LINE_UP_FOR_ONE: u32 = 1;
const LINE_UP_FOR_BOTH: u32 = 2;
/// ..or for both, but only to leave the line when told.
const LINE_UP_TO_LEAVE: u32 = 3;
const LEAVE: u32 = 4;
const GO_HOME: u32 = 5;

/// Who has been served in this turn, in order, and how many.
static SERVED: [AtomicUsize; LINE] = [const { AtomicUsize::new(0) }; LINE];
static SERVED_COUNT: AtomicUsize = AtomicUsize::new(0);

/// At least so many turns, and for so many milliseconds.
const TURNS: u64 = 20;
const TIME: u64 = 500;

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

/// Core 0 gives an order.
fn order(core: usize, order: u32) {
    // Release, as where it is carried out, and Acquire where it is read: what either side did
    // before is done.
    ORDERS[core].store(order, Ordering::Release);
    arch::wake(core);
}

/// The same, and waits until it is carried out.
fn give_order(core: usize, what: u32) {
    order(core, what);
    wait_until("an order to be carried out", u64::MAX, || is_done(core));
}

fn is_done(core: usize) -> bool {
    ORDERS[core].load(Ordering::Acquire) == DONE
}

/// A turn of the permits through all hands; whether it went as it should.
fn turn(random: &Rng) -> bool {
    let mut line = [1, 2, 3];
    line.swap(0, random.below(3) as usize);
    line.swap(1, 1 + random.below(2) as usize);
    // The place of the one that leaves; in each fourth turn nobody does.
    let leaves = random.below(LINE as u64 + 1) as usize;
    // The first one leaves such that nothing else can be what ends the waits of the others: they
    // need one permit each, which is free all the time, while it needs both.
    let first_leaves = leaves == 0;
    let (held, line_up) = if first_leaves { (1, LINE_UP_FOR_ONE) } else { (2, LINE_UP_FOR_BOTH) };

    let Ok(held) = BATON.try_acquire_many(held) else { return false };
    SERVED_COUNT.store(0, Ordering::Relaxed);
    for (place, &core) in line.iter().enumerate() {
        give_order(core, if place == leaves { LINE_UP_TO_LEAVE } else { line_up });
    }
    let overtaken = BATON.try_acquire().is_ok();
    let mut comes_back = None;
    if let Some(&core) = line.get(leaves) {
        give_order(core, LEAVE);
        if !first_leaves {
            // It is the last one then, though not by its place in the queue.
            give_order(core, LINE_UP_FOR_BOTH);
            comes_back = Some(core);
        }
    }
    // What core 0 goes on to hold while the others are served.
    let held = Some(held).filter(|_| first_leaves);
    let stayed = line.into_iter().enumerate().filter(|&(place, _)| place != leaves);
    let expected = stayed.map(|(_, core)| core).chain(comes_back);
    let count = LINE - usize::from(first_leaves);
    // Acquire: pairs with the Release of those who were served.
    let all_served = || SERVED_COUNT.load(Ordering::Acquire) == count;
    wait_until("all to be served", u64::MAX, all_served);
    drop(held);
    wait_until("the permits to come back", u64::MAX, || BATON.available() == BOTH);
    let served = SERVED.iter().map(|served| served.load(Ordering::Relaxed)).take(count);
    !overtaken && served.eq(expected)
}

/// One of the others carries out an order; whether there may be more.
fn obey(core: usize) -> bool {
    wait_until("an order", u64::MAX, || !is_done(core));
    let order = ORDERS[core].load(Ordering::Acquire);
    if order == GO_HOME {
        return false;
    }
    let permits = if order == LINE_UP_FOR_ONE { 1 } else { BOTH };
    {
        let wait = pin!(Acquire::new(&BATON, permits));
        let mut task = Task::new(wait);
        let polled = task.poll();
        carried_out(core);
        if let Poll::Ready(answer) = polled {
            TALLIES.add(core, WRONG, 1);
            serve(core, answer);
            return true;
        }
        if order != LINE_UP_TO_LEAVE {
            let answer = task.finish();
            TALLIES.add(core, SLEPT, task.slept);
            serve(core, answer);
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

/// Notes who was served.
fn serve(core: usize, answer: Result<Permit<&'static Baton>, Rejection>) {
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
    report("turns: the permits are back", is_back());
}

fn in_turn() -> Checked {
    ensure_eq!(TALLIES.total(WRONG), 0);
    ensure!(TALLIES.total(TURN) >= TURNS);
    ensure!(TALLIES.total(SLEPT) >= TURNS, "cores slept and were woken");
    ensure!(TALLIES.total(LEFT) > 0, "cores left the line");
    Ok(())
}

fn is_back() -> Checked {
    ensure_eq!(BATON.available(), BOTH);
    ensure_eq!(BATON.waiting(), 0);
    Ok(())
}
