//! AArch64 at EL1, as QEMU's `virt` machine starts it: core 0 alone, the others on request.

use core::arch::{asm, global_asm};

use super::{STACK_SHIFT, STACKS, trapped};
use crate::{CORES, core_main, fail};

pub(crate) const NAME: &str = "aarch64";

/// The frequency of the generic timer of the machine's cores.
pub(crate) const TICKS_PER_SECOND: u64 = 62_500_000;

/// Translation of the first level, a GiB each, to the same addresses: the devices and the memory.
#[repr(C, align(4096))]
struct Table([u64; 512]);

static TABLE: Table = {
    // A block that has been accessed: no fault for the first access.
    const BLOCK: u64 = 1 | 1 << 10;
    // The kinds of MAIR. Memory is inner shareable; no code is in a device.
    const MEMORY: u64 = BLOCK | 3 << 8;
    const DEVICE: u64 = BLOCK | 1 << 2 | 3 << 53;
    let mut table = [0; 512];
    table[0] = DEVICE;
    table[1] = MEMORY | 0x4000_0000;
    Table(table)
};

/// Kinds of memory: 0 write-back and allocating, 1 a device.
const MAIR: u64 = 0x00ff;
/// 39 bits of address; the walk is cached and inner shareable; no translation of the upper half.
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23;
/// Translation and both caches on.
const SCTLR: u64 = 1 | 1 << 2 | 1 << 12;
/// Floating point without a trap: the compiler uses its registers for anything.
const CPACR: u64 = 3 << 20;

// Exclusive accesses, of which compare-and-swap is made, are defined for normal memory only: so
// translation is on before any Rust code runs.
global_asm!(
    ".section .text.start, \"ax\"",
    ".globl _start",
    "_start:",
    "    mov  x19, #0",
    "    adrp x0, bss_start",
    "    add  x0, x0, :lo12:bss_start",
    "    adrp x1, bss_end",
    "    add  x1, x1, :lo12:bss_end",
    "1:  cmp  x0, x1",
    "    b.hs 2f",
    "    stp  xzr, xzr, [x0], #16",
    "    b    1b",
    // Others come in here, with their number in x0.
    "start_other:",
    "    mov  x19, x0",
    "2:  adrp x0, 3f",
    "    add  x0, x0, :lo12:3f",
    "    msr  vbar_el1, x0",
    "    ldr  x0, ={cpacr}",
    "    msr  cpacr_el1, x0",
    "    msr  tpidr_el1, x19",
    "    ldr  x0, ={mair}",
    "    msr  mair_el1, x0",
    "    ldr  x0, ={tcr}",
    "    msr  tcr_el1, x0",
    "    adrp x0, {table}",
    "    msr  ttbr0_el1, x0",
    "    isb",
    "    tlbi vmalle1",
    "    dsb  nsh",
    "    isb",
    "    mrs  x0, sctlr_el1",
    "    ldr  x1, ={sctlr}",
    "    orr  x0, x0, x1",
    "    msr  sctlr_el1, x0",
    "    isb",
    "    adrp x0, {stacks}",
    "    add  x0, x0, :lo12:{stacks}",
    "    add  x1, x19, #1",
    "    lsl  x1, x1, #{stack_shift}",
    "    add  sp, x0, x1",
    "    mov  x0, x19",
    "    b    {core_main}",
    ".ltorg",
    // Every exception is a fault here.
    "    .balign 2048",
    "3:",
    ".rept 16",
    "    mrs  x0, esr_el1",
    "    mrs  x1, elr_el1",
    "    b    {trapped}",
    "    .balign 128",
    ".endr",
    ".previous",
    cpacr = const CPACR,
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    table = sym TABLE,
    stacks = sym STACKS,
    stack_shift = const STACK_SHIFT,
    core_main = sym core_main,
    trapped = sym trapped,
);

unsafe extern "C" {
    fn start_other();
}

/// Starts the other cores, by the machine's power interface (PSCI).
pub(crate) fn start_others() {
    const CPU_ON: usize = 0xC400_0003;
    for core in 1..CORES {
        let status: isize;
        // SAFETY: the call starts a core that is off, with its number, which tells it its stack; on
        // this one it changes the four registers that carry results. Not `nomem`: publishes the
        // cleared `.bss`.
        unsafe {
            asm!(
                "dsb ish",
                "hvc #0",
                inout("x0") CPU_ON => status,
                inout("x1") core => _,
                inout("x2") start_other as *const () as usize => _,
                inout("x3") core => _,
                options(nostack),
            );
        }
        if status != 0 {
            fail(format_args!("core {core} did not start: PSCI says {status}"));
        }
    }
}

/// The number of the core this runs on.
pub(crate) fn core_index() -> usize {
    let core: usize;
    // SAFETY: reads a register that only the start writes.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) core, options(nomem, nostack, preserves_flags)) };
    core
}

/// The time since the machine's start, the same on all cores.
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads a counter. The `isb` keeps the reading from being taken early; not `nomem`: no
    // access moves to the other side of it.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks
}

/// The frequency of the counter, as the machine tells it.
pub(crate) fn frequency() -> u64 {
    let frequency: u64;
    // SAFETY: reads a register that never changes.
    unsafe {
        asm!("mrs {}, cntfrq_el0", out(reg) frequency, options(nomem, nostack, preserves_flags));
    }
    frequency
}

/// The interrupt controller, of version 2: the distributor, and each core's own interface.
const DISTRIBUTOR: usize = 0x0800_0000;
const INTERFACE: usize = 0x0801_0000;

/// The interrupts used: the one that cores send each other, and that of the virtual timer.
const SENT: u32 = 0;
const TIMER: u32 = 27;
/// From here on, numbers say that there is none.
const NONE: u32 = 1020;

/// A register of the controller.
fn register(part: usize, offset: usize) -> *mut u32 {
    (part + offset) as *mut u32
}

/// Lets this core be woken from [`idle_until`]. No interrupt is ever taken: they only end the wait.
pub(crate) fn begin() {
    // SAFETY: PSTATE masks interrupts since the start, so that no handler is called. What several
    // cores write alike is the distributor's switch; the others are each core's own.
    unsafe {
        register(DISTRIBUTOR, 0x000).write_volatile(1);
        register(DISTRIBUTOR, 0x100).write_volatile(1 << SENT | 1 << TIMER);
        register(INTERFACE, 0x00).write_volatile(1);
        register(INTERFACE, 0x04).write_volatile(0xff);
    }
}

/// Waits until `at`, or until another core [`wake`]s this one; a wake-up since the last wait
/// counts.
pub(crate) fn idle_until(at: u64) {
    // SAFETY: this core's timer, armed for the wait only. The barrier is for those who wait for
    // what this core has written.
    unsafe {
        asm!(
            "msr cntv_cval_el0, {at}",
            "msr cntv_ctl_el0, {on}",
            "isb",
            "dsb sy",
            "wfi",
            "msr cntv_ctl_el0, xzr",
            "isb",
            at = in(reg) at,
            on = in(reg) 1_u64,
            options(nostack, preserves_flags),
        );
    }
    // SAFETY: takes what is pending off this core's interface. The barrier after it: what a core
    // did before it woke this one is seen after this.
    unsafe {
        loop {
            let taken = register(INTERFACE, 0x0c).read_volatile();
            if taken & 0x3ff >= NONE {
                break;
            }
            register(INTERFACE, 0x10).write_volatile(taken);
        }
        asm!("dsb sy", options(nostack, preserves_flags));
    }
}

/// Ends the [`idle_until`] of a core, or its next one.
pub(crate) fn wake(core: usize) {
    // SAFETY: sends an interrupt to a core that is ready for it. The barrier lets nobody see it
    // before what it tells of.
    unsafe {
        asm!("dsb sy", options(nostack, preserves_flags));
        register(DISTRIBUTOR, 0xf00).write_volatile(1 << (16 + core) | SENT);
    }
}
