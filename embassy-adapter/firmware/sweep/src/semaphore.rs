//! Races for the permits of a semaphore, and for the places in its queue.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use fusebox_core::{Acquire, Permit, Queue, Rejection, Semaphore};

use crate::answer;
use crate::explore::Case;
use crate::race::Race;

type Permits = Semaphore<Queue<2>>;
type Held<'a> = Option<Permit<&'a Permits>>;

pub(crate) const CASES: &[Case] = &[
    Case::new("semaphore: two want the last permit", last_permit),
    Case::twice("semaphore: a permit that two others preempt", three_permits),
    Case::new("semaphore: the permit is wanted as it comes back", take_and_give),
    Case::new("semaphore: two permits come back", give_and_give),
    Case::new("semaphore: a wait begins as the permit comes back", wait_and_give),
    Case::new("semaphore: the permit comes back as a wait begins", give_and_wait),
    Case::new("semaphore: a wait is polled anew as the permit comes back", poll_and_give),
    Case::new("semaphore: a wait is given up as the permit comes back", give_up_and_give),
    Case::new("semaphore: an older wait is given up as the permit comes back", older_gives_up),
    Case::new("semaphore: the permit comes back as an older wait is given up", give_and_older),
    Case::new("semaphore: a wait for two is given up as one comes back for the next", in_the_way),
    Case::new("semaphore: two permits come back for who needs both", both),
    Case::new("semaphore: nobody overtakes who waits", overtaking),
    Case::new("semaphore: two begin to wait", two_waits),
    Case::new("semaphore: two begin to wait where there is one place", one_place),
];

fn take<'a>(permits: &'a Permits, held: &mut Held<'a>) -> u32 {
    let (code, permit) = split(permits.try_acquire());
    *held = permit;
    code
}

fn split<'a>(taken: Result<Permit<&'a Permits>, Rejection>) -> (u32, Held<'a>) {
    match taken {
        Ok(permit) => (answer(Ok(())), Some(permit)),
        Err(refused) => (answer(Err(refused)), None),
    }
}

/// Gives a permit back.
fn give(held: &mut Held<'_>) -> u32 {
    u32::from(held.take().is_some())
}

/// Ends a race after which so many permits must be free, and nobody wait; `holds` says what else
/// must hold.
fn end(race: &mut Race, permits: &Permits, free: u32, holds: bool) {
    let left = [permits.available(), permits.waiting(), u32::from(holds)];
    race.end(holds && left[..2] == [free, 0], left);
}

/// One permit, and who holds it.
fn one(permits: &Permits) -> Held<'_> {
    permits.try_acquire().ok()
}

fn last_permit(race: &mut Race) {
    permits_are_taken(race, &Permits::new(1));
}

fn three_permits(race: &mut Race) {
    permits_are_taken(race, &Permits::new(3));
}

fn permits_are_taken(race: &mut Race, permits: &Permits) {
    let mut held = [None, None, None];
    let [own, others @ ..] = &mut held;
    let mut others = others.iter_mut();
    race.run([&mut || take(permits, own)], &mut || {
        others.next().map_or(0, |held| take(permits, held))
    });
    let held = held.iter().flatten().count();
    let free = permits.permits() - held as u32;
    end(race, permits, free, race.let_in() == held && (free == 0 || held == 3));
}

fn take_and_give(race: &mut Race) {
    let permits = Permits::new(1);
    let (mut held, mut taken) = (one(&permits), None);
    race.run([&mut || take(&permits, &mut taken)], &mut || give(&mut held));
    end(race, &permits, u32::from(taken.is_none()), true);
}

fn give_and_give(race: &mut Race) {
    let permits = Permits::new(3);
    let (mut first, mut second) = (one(&permits), one(&permits));
    race.run([&mut || give(&mut first)], &mut || give(&mut second));
    end(race, &permits, 3, true);
}

fn wait_and_give(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut wait = Wait::new(&permits, 1, &ALARMS[0]);
    race.run([&mut || wait.poll()], &mut || give(&mut held));
    let granted = wait.is_granted();
    end(race, &permits, 0, granted);
}

fn give_and_wait(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut wait = Wait::new(&permits, 1, &ALARMS[0]);
    race.run([&mut || give(&mut held)], &mut || wait.poll());
    let granted = wait.is_granted();
    end(race, &permits, 0, granted);
}

fn poll_and_give(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut wait = Wait::begun(&permits, 1, &ALARMS[0]);
    // With another waker than before, as of a task that has moved.
    wait.alarm = &ALARMS[1];
    race.run([&mut || wait.poll()], &mut || give(&mut held));
    let granted = wait.is_granted();
    end(race, &permits, 0, granted);
}

fn give_up_and_give(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut wait = Wait::begun(&permits, 1, &ALARMS[0]);
    race.run([&mut || wait.give_up()], &mut || give(&mut held));
    end(race, &permits, 1, true);
}

fn older_gives_up(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut older = Wait::begun(&permits, 1, &ALARMS[0]);
    let mut younger = Wait::begun(&permits, 1, &ALARMS[1]);
    race.run([&mut || older.give_up()], &mut || give(&mut held));
    let granted = younger.is_granted();
    end(race, &permits, 0, granted);
}

fn give_and_older(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut older = Wait::begun(&permits, 1, &ALARMS[0]);
    let mut younger = Wait::begun(&permits, 1, &ALARMS[1]);
    race.run([&mut || give(&mut held)], &mut || older.give_up());
    let granted = younger.is_granted();
    end(race, &permits, 0, granted);
}

/// The older one needs more than will be there, and holds up the younger one until it gives up.
fn in_the_way(race: &mut Race) {
    let permits = Permits::new(2);
    let (_kept, mut held) = (one(&permits), one(&permits));
    let mut older = Wait::begun(&permits, 2, &ALARMS[0]);
    let mut younger = Wait::begun(&permits, 1, &ALARMS[1]);
    race.run([&mut || older.give_up()], &mut || give(&mut held));
    let granted = younger.is_granted();
    end(race, &permits, 0, granted);
}

fn both(race: &mut Race) {
    let permits = Permits::new(2);
    let (mut first, mut second) = (one(&permits), one(&permits));
    let mut wait = Wait::begun(&permits, 2, &ALARMS[0]);
    race.run([&mut || give(&mut first)], &mut || give(&mut second));
    let granted = wait.is_granted();
    end(race, &permits, 0, granted);
}

fn overtaking(race: &mut Race) {
    let permits = Permits::new(1);
    let (mut held, mut taken) = (one(&permits), None);
    let mut wait = Wait::begun(&permits, 1, &ALARMS[0]);
    race.run([&mut || give(&mut held)], &mut || take(&permits, &mut taken));
    let granted = wait.is_granted();
    end(race, &permits, 0, granted && taken.is_none());
}

fn two_waits(race: &mut Race) {
    let permits = Permits::new(1);
    let mut held = one(&permits);
    let mut own = Wait::new(&permits, 1, &ALARMS[0]);
    let mut other = Wait::new(&permits, 1, &ALARMS[1]);
    race.run([&mut || own.poll()], &mut || other.poll());
    // Whoever came first has it first, and the other one after that.
    give(&mut held);
    let own_first = own.is_granted();
    let (first, second) = if own_first { (&mut own, &mut other) } else { (&mut other, &mut own) };
    let in_turn = first.is_granted() && !second.is_granted();
    first.give_up();
    let in_turn = in_turn && second.is_granted();
    race.end(in_turn, [permits.available(), permits.waiting(), u32::from(own_first)]);
}

fn one_place(race: &mut Race) {
    let permits = Permits::new(1);
    let _held = one(&permits);
    let _before = Wait::begun(&permits, 1, &ALARMS[0]);
    let mut own = Wait::new(&permits, 1, &ALARMS[0]);
    let mut other = Wait::new(&permits, 1, &ALARMS[1]);
    race.run([&mut || own.poll()], &mut || other.poll());
    // Those two wait, and the third one was told that the queue is full.
    race.end(permits.waiting() == 2, [permits.available(), permits.waiting(), 0]);
}

/// Somebody who waits for permits, and then holds them.
struct Wait<'a> {
    future: Option<Acquire<&'a Permits>>,
    permit: Held<'a>,
    alarm: &'static Alarm,
}

impl<'a> Wait<'a> {
    fn new(permits: &'a Permits, n: u32, alarm: &'static Alarm) -> Self {
        Self { future: Some(permits.acquire_many(n)), permit: None, alarm }
    }

    /// One who is waiting already.
    fn begun(permits: &'a Permits, n: u32, alarm: &'static Alarm) -> Self {
        let mut wait = Self::new(permits, n, alarm);
        wait.poll();
        wait
    }

    fn poll(&mut self) -> u32 {
        const PENDING: u32 = u32::MAX;
        let Some(future) = &mut self.future else { return 0 };
        self.alarm.0.store(false, Ordering::Relaxed);
        let waker = self.alarm.waker();
        match Pin::new(future).poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => PENDING,
            Poll::Ready(taken) => {
                self.future = None;
                let (code, permit) = split(taken);
                self.permit = permit;
                code
            }
        }
    }

    /// Whether it holds permits now, as far as it was woken to find out.
    fn is_granted(&mut self) -> bool {
        if self.permit.is_none() && self.alarm.0.load(Ordering::Relaxed) {
            self.poll();
        }
        self.permit.is_some()
    }

    /// Gives up waiting, or what it holds.
    fn give_up(&mut self) -> u32 {
        self.future = None;
        self.permit = None;
        0
    }
}

/// Set by a waker.
struct Alarm(AtomicBool);

static ALARMS: [Alarm; 2] = [Alarm(AtomicBool::new(false)), Alarm(AtomicBool::new(false))];

impl Alarm {
    fn waker(&'static self) -> Waker {
        const VTABLE: RawWakerVTable =
            RawWakerVTable::new(|alarm| RawWaker::new(alarm, &VTABLE), ring, ring, |_| {});
        // SAFETY: the data is a static, and the functions of the table take it as what it is.
        unsafe { Waker::new(core::ptr::from_ref(self).cast(), &VTABLE) }
    }
}

fn ring(alarm: *const ()) {
    // SAFETY: it is the static of `Alarm::waker`.
    let alarm = unsafe { &*alarm.cast::<Alarm>() };
    alarm.0.store(true, Ordering::Relaxed);
}
