//! Cortex-M: how it starts, and how it fails.

#[cfg(feature = "timer")]
pub(crate) mod systick;

use cortex_m_rt::{ExceptionFrame, entry, exception};
use semihosting::println;

#[cfg(feature = "timer")]
pub(crate) use systick as timer;

/// The machine, for the reader of a run.
pub const NAME: &str = if cfg!(machine = "microbit") {
    "Cortex-M0 (QEMU microbit)"
} else if cfg!(machine = "mps2-an386") {
    "Cortex-M4 (QEMU mps2-an386)"
} else {
    "Cortex-M3 (QEMU lm3s6965evb)"
};

/// Whether this core writes an atomic by a store that fails if something came in between.
pub const STORES_CONDITIONALLY: bool = !cfg!(machine = "microbit");

#[entry]
fn enter() -> ! {
    crate::start()
}

/// An instruction that the core does not know, a wild access, a stack that is full: the end of the
/// run.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    println!("HARD FAULT at {:#010x}", frame.pc());
    crate::exit(102)
}

#[cfg(feature = "timer")]
pub(crate) fn wait_for_interrupt() {
    cortex_m::asm::wfi();
}

/// Whether the instruction at `address` is a store-conditional (`STREX`, `STREXB` or `STREXH`).
pub fn stores_conditionally(address: usize) -> bool {
    let read = |address: usize| {
        // SAFETY: an instruction is there, in flash, at least two bytes long.
        unsafe { (address as *const u16).read_volatile() }
    };
    let first = read(address);
    // 32-bit encodings T1 of the Armv7-M manual, A7.7.
    first & 0xFFF0 == 0xE840
        || (first & 0xFFF0 == 0xE8C0 && matches!(read(address + 2) >> 4 & 0xF, 4 | 5))
}
