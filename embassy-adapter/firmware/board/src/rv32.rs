//! QEMU's "virt" machine with RISC-V of 32 bits: how it starts, and how it fails.

#[cfg(feature = "timer")]
pub(crate) mod mtimer;

use riscv::register::{mcause, mepc, mtval};
use semihosting::println;

#[cfg(feature = "timer")]
pub(crate) use mtimer as timer;

/// The machine, for the reader of a run.
pub const NAME: &str = if cfg!(target_feature = "a") {
    "RV32IMAC (QEMU virt)"
} else {
    "RV32IMC (QEMU virt without atomic instructions)"
};

/// Whether this core writes an atomic by a store that fails if something came in between.
pub const STORES_CONDITIONALLY: bool = cfg!(target_feature = "a");

#[riscv_rt::entry]
fn entry() -> ! {
    #[cfg(feature = "timer")]
    timer::enable();
    // SAFETY: no critical section is open.
    unsafe { riscv::interrupt::enable() };
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

#[cfg(feature = "timer")]
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
