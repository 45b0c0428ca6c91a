//! What the two machines do each in their own way: start, tell which core this is, count time, wait
//! for an event, report a fault.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "riscv64")]
mod riscv64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::*;
#[cfg(target_arch = "riscv64")]
pub(crate) use riscv64::*;

use crate::{CORES, end};

/// Bytes of stack for each core: a power of two, as the start shifts by it.
const STACK_SIZE: usize = 1 << STACK_SHIFT;
const STACK_SHIFT: usize = 16;

/// Where the cores have their stacks; the start of core `n` sets its stack pointer to the end of
/// the `n`th part. Not in `.bss`: nobody clears what is in use.
#[repr(C, align(16))]
struct Stacks(core::cell::UnsafeCell<[[u8; STACK_SIZE]; CORES]>);

// SAFETY: nothing but the stack pointers of the cores leads here, each to a part of its own.
unsafe impl Sync for Stacks {}

#[unsafe(link_section = ".stacks")]
static STACKS: Stacks = Stacks(core::cell::UnsafeCell::new([[0; STACK_SIZE]; CORES]));

/// The status for a fault.
const FAULT: i32 = 102;

/// Where a core goes that ran into a fault: anything is better than to hang.
extern "C" fn trapped(cause: usize, at: usize) -> ! {
    let core = core_index();
    end(FAULT, format_args!("core {core} ran into a fault: cause {cause:#x} at {at:#x}"))
}
