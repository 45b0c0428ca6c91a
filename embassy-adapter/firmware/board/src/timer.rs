//! The machine's timer: time for the primitives, and interrupts at times of the program's choice.

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use critical_section::Mutex;
use fusebox_core::{Clock, Ticks, Timer};

use crate::machine::timer as machine;

/// The ticks of the timer in a second.
pub const TICKS_PER_SECOND: u64 = machine::TICKS_PER_SECOND;

/// The ticks of a millisecond.
pub const MILLISECOND: u32 = (TICKS_PER_SECOND / 1_000) as u32;

/// What an interrupt of the timer does; it is given the address of the instruction before which it
/// came.
pub type Action = fn(usize);

static ACTION: Mutex<Cell<Action>> = Mutex::new(Cell::new(nothing));
static PERIODS: Mutex<Cell<Option<Periods>>> = Mutex::new(Cell::new(None));

fn nothing(_interrupted: usize) {}

/// Lengths of periods that a program cannot fall into step with.
#[derive(Clone, Copy)]
struct Periods {
    shortest: u32,
    longest: u32,
    /// The state of a xorshift generator; never 0.
    random: u32,
}

impl Periods {
    fn draw(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.shortest + self.random % (self.longest - self.shortest + 1)
    }
}

/// Interrupts again and again: from the end of an action to the next one it is `shortest` to
/// `longest` ticks, drawn anew each time, so that the interrupts meet the program everywhere.
/// Starts [`Uptime`] where it has not started.
pub fn start(shortest: u32, longest: u32, action: Action) {
    let mut periods = Periods { shortest, longest, random: 0x9E37_79B9 };
    let first = periods.draw();
    critical_section::with(|cs| {
        ACTION.borrow(cs).set(action);
        PERIODS.borrow(cs).set(Some(periods));
    });
    machine::after(first);
}

/// Interrupts once, `ticks` ticks from now: from when this is about to return. [`Uptime`] must not
/// be in use.
#[inline(always)]
pub fn once(ticks: u32, action: Action) {
    critical_section::with(|cs| {
        ACTION.borrow(cs).set(action);
        PERIODS.borrow(cs).set(None);
    });
    machine::once(ticks);
}

/// No more interrupts. Returns when none is left that could still come.
#[inline(always)]
pub fn stop() {
    machine::stop();
}

/// A reading of the timer, for [`since`].
#[derive(Clone, Copy)]
pub struct Stamp(u32);

/// The timer's reading, by a few instructions, after [`once`].
#[inline(always)]
pub fn stamp() -> Stamp {
    Stamp(machine::stamp())
}

/// The ticks since `stamp`, where the time of [`once`] was not yet over.
#[inline(always)]
pub fn since(stamp: Stamp) -> u32 {
    machine::ticks_between(stamp.0, machine::stamp())
}

/// The interrupt.
pub(crate) fn interrupt(interrupted: usize) {
    let (action, periods) =
        critical_section::with(|cs| (ACTION.borrow(cs).get(), PERIODS.borrow(cs).get()));
    let Some(mut periods) = periods else {
        // It may ask for the next one.
        machine::stop();
        return action(interrupted);
    };
    action(interrupted);
    let next = periods.draw();
    critical_section::with(|cs| PERIODS.borrow(cs).set(Some(periods)));
    machine::after(next);
}

/// The time since the timer was started.
#[derive(Clone, Copy, Debug)]
pub struct Uptime;

impl Clock for Uptime {
    const TICKS_PER_SECOND: u64 = TICKS_PER_SECOND;

    fn now(&self) -> Ticks {
        Ticks(machine::now())
    }
}

impl Timer for Uptime {
    type Sleep = Sleep;

    fn sleep_until(&self, at: Ticks) -> Sleep {
        Sleep(at)
    }
}

/// The sleep of [`Uptime`], for [`block_on`](crate::block_on): it wakes nobody, as that polls after
/// each interrupt of the timer anyway.
#[derive(Debug)]
pub struct Sleep(Ticks);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Uptime.now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
