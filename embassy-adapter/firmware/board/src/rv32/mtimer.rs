//! The machine timer of RISC-V, in the core-local interruptor.

use riscv::interrupt::Interrupt;
use riscv::register::{mepc, mie};

/// As fast as QEMU's counts.
pub(crate) const TICKS_PER_SECOND: u64 = 10_000_000;

/// The machine timer's registers of the core-local interruptor, two words each.
const MTIMECMP: *mut u32 = 0x0200_4000 as _;
const MTIME: *mut u32 = 0x0200_BFF8 as _;

fn read(register: *mut u32, word: usize) -> u32 {
    // SAFETY: only called with the registers above, which may be read at any time.
    unsafe { register.add(word).read_volatile() }
}

/// Lets the timer interrupt from now on, once it is asked to.
pub(crate) fn enable() {
    stop();
    // SAFETY: the handler is in place.
    unsafe { mie::set_mtimer() };
}

pub(crate) fn now() -> u64 {
    loop {
        let (high, low) = (read(MTIME, 1), read(MTIME, 0));
        if read(MTIME, 1) == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// Interrupts at `time`, or at once where that has passed.
#[inline(always)]
fn set_compare(time: u64) {
    // SAFETY: the compare register is used here only; no interrupt comes before the last store, as
    // until then the time to wait for is far away.
    unsafe {
        MTIMECMP.add(1).write_volatile(u32::MAX);
        MTIMECMP.write_volatile(time as u32);
        MTIMECMP.add(1).write_volatile((time >> 32) as u32);
    }
}

/// Time goes on by itself here, whoever asks for an interrupt.
pub(crate) use self::once as after;

#[inline(always)]
pub(crate) fn once(ticks: u32) {
    set_compare(now() + u64::from(ticks));
}

#[inline(always)]
pub(crate) fn stop() {
    set_compare(u64::MAX);
}

#[inline(always)]
pub(crate) fn stamp() -> u32 {
    read(MTIME, 0)
}

#[inline(always)]
pub(crate) fn ticks_between(earlier: u32, later: u32) -> u32 {
    later.wrapping_sub(earlier)
}

#[riscv_rt::core_interrupt(Interrupt::MachineTimer)]
fn machine_timer() {
    crate::timer::interrupt(mepc::read());
}
