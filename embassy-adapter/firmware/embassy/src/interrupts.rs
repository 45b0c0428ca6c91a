//! The interrupts of the LM3S6965 that the program uses, and a timer that brings one of them.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::scb::SystemHandler;
use cortex_m::peripheral::{NVIC, SCB};

/// Numbers as in table 2-9 of the data sheet.
#[derive(Clone, Copy)]
pub(crate) enum Interrupt {
    /// Not used by any device here: pended by software, for tasks that run in an interrupt.
    Uart1 = 6,
    Timer0A = 19,
}

// SAFETY: the numbers are those of the data sheet, and the core has as many.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// The timer may preempt the tasks in the interrupt, and those may preempt the thread's; embassy's
/// time (see `driver.rs`) is preempted by nobody. The upper three bits count; less is more urgent.
pub(crate) fn set_priorities(nvic: &mut NVIC, scb: &mut SCB) {
    // SAFETY: no critical section relies on priorities: they mask all interrupts.
    unsafe {
        scb.set_priority(SystemHandler::SysTick, 0 << 5);
        nvic.set_priority(Interrupt::Timer0A, 1 << 5);
        nvic.set_priority(Interrupt::Uart1, 2 << 5);
    }
}

/// Timer 0 of the four general-purpose timers: 32 bits, by the core's clock, once each time it is
/// started.
pub(crate) mod timer {
    use cortex_m::peripheral::NVIC;

    use super::Interrupt;

    /// Of the system control: which timers have a clock.
    const RCGC1: *mut u32 = 0x400F_E104 as _;
    const CONFIGURATION: *mut u32 = 0x4003_0000 as _;
    const MODE: *mut u32 = 0x4003_0004 as _;
    const CONTROL: *mut u32 = 0x4003_000C as _;
    const INTERRUPT_MASK: *mut u32 = 0x4003_0018 as _;
    const INTERRUPT_CLEAR: *mut u32 = 0x4003_0024 as _;
    const LOAD: *mut u32 = 0x4003_0028 as _;

    fn write(register: *mut u32, value: u32) {
        // SAFETY: one of the registers above, which nobody else uses.
        unsafe { register.write_volatile(value) };
    }

    /// Has [`after`] interrupt.
    pub(crate) fn enable() {
        write(RCGC1, 1 << 16);
        write(CONTROL, 0);
        write(CONFIGURATION, 0);
        write(MODE, 1);
        write(INTERRUPT_MASK, 1);
        // SAFETY: its handler is in place, and no critical section relies on it being masked.
        unsafe { NVIC::unmask(Interrupt::Timer0A) };
    }

    /// Interrupts once, after so many ticks of the core's clock.
    pub(crate) fn after(ticks: u32) {
        write(INTERRUPT_CLEAR, 1);
        write(LOAD, ticks);
        write(CONTROL, 1);
    }

    /// No more interrupts.
    pub(crate) fn disable() {
        NVIC::mask(Interrupt::Timer0A);
        write(CONTROL, 0);
    }
}
