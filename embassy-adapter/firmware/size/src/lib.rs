//! What the programs share: a clock, work that may fail, futures that are polled, and the entry.
//!
//! Each program has two instances of its primitive, with different settings, and one function that
//! uses either: so what is weighed is the code that any number of instances share, and none of it
//! is left out because of what the settings happen to be.
#![no_std]

use core::future::Future;
use core::panic::PanicInfo;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use fusebox_core::{Clock, Counter, Extended, Ticks, Timer};

/// A 32-bit counter at 1 MHz, such as every microcontroller has.
#[derive(Debug)]
pub struct Hardware;

impl Counter for Hardware {
    const TICKS_PER_SECOND: u64 = 1_000_000;
    const PERIOD: u64 = 1 << 32;

    #[inline(never)]
    fn read(&self) -> u32 {
        input()
    }
}

pub static CLOCK: Extended<Hardware> = Extended::new(Hardware);
pub type Uptime = &'static Extended<Hardware>;

/// A timer that is polled, as [`run`] does.
#[derive(Clone, Copy, Debug)]
pub struct Sleep;
pub const SLEEP: Sleep = Sleep;

impl Clock for Sleep {
    const TICKS_PER_SECOND: u64 = <Extended<Hardware> as Clock>::TICKS_PER_SECOND;

    #[inline]
    fn now(&self) -> Ticks {
        CLOCK.now()
    }
}

impl Timer for Sleep {
    type Sleep = Until;

    #[inline]
    fn sleep_until(&self, at: Ticks) -> Until {
        Until(at)
    }
}

/// A sleep of [`Sleep`].
#[derive(Debug)]
pub struct Until(Ticks);

impl Future for Until {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if CLOCK.now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

static INPUT: u32 = 1;
static mut OUTPUT: u32 = 0;

/// A number from outside, such as a register holds.
#[inline]
pub fn input() -> u32 {
    // SAFETY: it is there, and never written.
    unsafe { core::ptr::read_volatile(&INPUT) }
}

/// Shows a number to the outside.
#[inline]
pub fn output(value: u32) {
    // SAFETY: one context writes it, and none reads it.
    unsafe { core::ptr::write_volatile(&raw mut OUTPUT, value) }
}

/// Work that may fail.
#[inline(never)]
pub fn work() -> Result<u32, u32> {
    let value = input();
    if value == 0 { Err(value) } else { Ok(value) }
}

/// The same as a future.
pub struct Work;

impl Future for Work {
    type Output = Result<u32, u32>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        if input() == 0 { Poll::Pending } else { Poll::Ready(work()) }
    }
}

/// Polls until it is ready, as an executor does, or until the outside says that it is enough.
#[inline]
pub fn run<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    while input() != 0 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

/// What every program does, the one without a primitive too.
#[inline(never)]
pub fn base() {
    output(CLOCK.now().0 as u32);
    output(work().is_ok().into());
    output(run(Work).is_some().into());
}

/// The entry of a program that uses both instances.
#[macro_export]
macro_rules! program {
    ($use:expr, $first:expr, $second:expr) => {
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            $crate::base();
            loop {
                $use($first);
                $use($second);
            }
        }
    };
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
