//! QEMU's "virt" machine: RISC-V with a core-local interruptor.

use riscv::interrupt::Interrupt;
use riscv::register::{mcause, mepc, mie, mtval};
use semihosting::println;

use crate::timer;

/// The machine, for the reader of a run.
pub const NAME: &str = if cfg!(target_feature = "a") {
    "RV32IMAC (QEMU virt)"
} else {
    "RV32IMC (QEMU virt without atomic instructions)"
};

pub(crate) const TICKS_PER_SECOND: u64 = 10_000_000;

/// Whether this core writes an atomic by a store that fails if something came in between.
pub const STORES_CONDITIONALLY: bool = cfg!(target_feature = "a");

/// The machine timer's registers of the core-local interruptor, two words each.
const MTIMECMP: *mut u32 = 0x0200_4000 as _;
const MTIME: *mut u32 = 0x0200_BFF8 as _;

#[riscv_rt::entry]
fn entry() -> ! {
    stop();
    // SAFETY: no critical section is open, and the handler can take what comes.
    unsafe {
        mie::set_mtimer();
        riscv::interrupt::enable();
    }
    crate::start()
}

/// An instruction that the core does not know, a wild access: the end of the run.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_registers: &riscv_rt::TrapFrame) -> ! {
    println!(
        "EXCEPTION {} at {:#010x}, value {:#010x}",
        mcause::read().code(),
        mepc::read(),
        mtval::read()
    );
    crate::exit(102)
}

pub(crate) fn wait_for_interrupt() {
    riscv::asm::wfi();
}

/// Whether the instruction at `address` is a store-conditional.
pub fn stores_conditionally(address: usize) -> bool {
    // SAFETY: an instruction is there, in RAM, at least two bytes long.
    let low = unsafe { (address as *const u16).read_volatile() };
    if low & 0x7F != 0x2F {
        return false; // Not of the atomic instructions, which are four bytes long.
    }
    // SAFETY: as above, and this one is four bytes long.
    let high = unsafe { (address as *const u16).add(1).read_volatile() };
    high >> 11 == 0b00011
}

fn read(register: *mut u32, word: usize) -> u32 {
    // SAFETY: only called with the registers above, which may be read at any time.
    unsafe { register.add(word).read_volatile() }
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

pub(crate) fn after(ticks: u32) {
    once(ticks);
}

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
    timer::interrupt(mepc::read());
}
