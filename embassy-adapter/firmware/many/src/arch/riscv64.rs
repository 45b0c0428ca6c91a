//! RV64 in machine mode, as QEMU's `virt` machine starts it without firmware: all harts at once, at
//! the beginning of the memory.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU32, Ordering};

use super::{STACK_SHIFT, STACKS, trapped};
use crate::{CORES, core_main};

pub(crate) const NAME: &str = "riscv64";

/// The frequency of the machine's timer, which the counter `time` shows.
pub(crate) const TICKS_PER_SECOND: u64 = 10_000_000;

/// Not 0 once the other harts may run. In `.data`, as they look at it while `.bss` is cleared.
#[unsafe(link_section = ".data")]
static RELEASED: AtomicU32 = AtomicU32::new(0);

// Only hart 0 goes on at once. `mstatus.FS` allows floating point, which the compiler may use for
// anything; `mie` allows no interrupt.
global_asm!(
    ".section .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "    csrw mie, zero",
    "    csrr a0, mhartid",
    "    li   t0, {cores}",
    "    bgeu a0, t0, 5f",
    "    la   t0, 6f",
    "    csrw mtvec, t0",
    "    li   t0, 0x2000",
    "    csrs mstatus, t0",
    "    la   sp, {stacks}",
    "    addi t0, a0, 1",
    "    slli t0, t0, {stack_shift}",
    "    add  sp, sp, t0",
    "    bnez a0, 3f",
    "    la   t0, bss_start",
    "    la   t1, bss_end",
    "1:  bgeu t0, t1, 2f",
    "    sd   zero, (t0)",
    "    addi t0, t0, 8",
    "    j    1b",
    "2:  tail {core_main}",
    "3:  la   t0, {released}",
    "4:  lw   t1, (t0)",
    "    beqz t1, 4b",
    "    fence r, rw",
    "    tail {core_main}",
    "5:  wfi",
    "    j    5b",
    "    .balign 4",
    "6:  csrr a0, mcause",
    "    csrr a1, mepc",
    "    tail {trapped}",
    ".previous",
    cores = const CORES,
    stacks = sym STACKS,
    stack_shift = const STACK_SHIFT,
    core_main = sym core_main,
    released = sym RELEASED,
    trapped = sym trapped,
);

/// Starts the other cores.
pub(crate) fn start_others() {
    // Release: publishes the cleared `.bss`; pairs with the fence at the start of the others.
    RELEASED.store(1, Ordering::Release);
}

/// The number of the core this runs on.
pub(crate) fn core_index() -> usize {
    let hart: usize;
    // SAFETY: reads a register that has no effect on anything.
    unsafe { asm!("csrr {}, mhartid", out(reg) hart, options(nomem, nostack, preserves_flags)) };
    hart
}

/// The time since the machine's start, the same on all cores.
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter. Not `nomem`: no access moves to the other side of a reading.
    unsafe { asm!("rdtime {}", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// The frequency of the counter as far as the machine tells: not at all.
pub(crate) fn frequency() -> u64 {
    TICKS_PER_SECOND
}

/// The machine's CLINT: per hart a word that interrupts it, and the time at which it is
/// interrupted.
const CLINT: usize = 0x0200_0000;
const TIME_TO_INTERRUPT: usize = CLINT + 0x4000;

fn interrupt_word(core: usize) -> *mut u32 {
    (CLINT + 4 * core) as *mut u32
}

/// Lets this core be woken from [`idle_until`]. No interrupt is ever taken: they only end the wait.
pub(crate) fn begin() {
    const SOFTWARE_AND_TIMER: usize = 1 << 3 | 1 << 7;
    // SAFETY: `mstatus.MIE` is clear since the start, so that no handler is called.
    unsafe { asm!("csrs mie, {}", in(reg) SOFTWARE_AND_TIMER, options(nostack)) };
}

/// Waits until `at`, or until another core [`wake`]s this one; a wake-up since the last wait
/// counts.
pub(crate) fn idle_until(at: u64) {
    let core = core_index();
    // SAFETY: the registers of this hart alone. The fences order them with memory: what a core did
    // before it woke this one is seen after this.
    unsafe {
        ((TIME_TO_INTERRUPT + 8 * core) as *mut u64).write_volatile(at);
        asm!("fence iorw, iorw", "wfi", options(nostack));
        interrupt_word(core).write_volatile(0);
        asm!("fence iorw, iorw", options(nostack));
    }
}

/// Ends the [`idle_until`] of a core, or its next one.
pub(crate) fn wake(core: usize) {
    // SAFETY: interrupts that hart, which is ready for it.
    unsafe {
        asm!("fence iorw, iorw", options(nostack));
        interrupt_word(core).write_volatile(1);
    }
}
