//! SysTick, the timer of Cortex-M.

use core::arch::naked_asm;
use core::cell::Cell;

use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::ExceptionFrame;
use critical_section::{CriticalSection, Mutex};

/// The core clock at reset, by which SysTick counts.
pub(crate) const TICKS_PER_SECOND: u64 = if cfg!(machine = "microbit") {
    16_000_000
} else if cfg!(machine = "mps2-an386") {
    25_000_000
} else {
    12_500_000
};

/// SysTick's control register: counting by the core's clock, with an interrupt at 0.
const ON: u32 = 0b111;
/// The same, but not counting. (Not all 0: that would choose a clock that some cores do not have.)
const OFF: u32 = 0b100;

/// How far time has come.
///
/// SysTick counts a period down to 0 and interrupts there. It goes on with a period so long that
/// the interrupt is over by its end; that ends when the next interrupt is asked for.
#[derive(Clone, Copy)]
struct Count {
    /// The ticks up to the beginning of this period.
    before: u64,
    /// The length of this period.
    period: u32,
}

/// The longest period: about a second.
const LONGEST: u32 = 1 << 24;

impl Count {
    /// The time, `left` ticks before the end of this period. (0 are left until it begins.)
    fn at(self, left: u32) -> u64 {
        let gone = if left == 0 { 0 } else { self.period - left };
        self.before + u64::from(gone)
    }

    /// This period is over.
    fn over(self) -> Self {
        Self { before: self.before + u64::from(self.period), period: LONGEST }
    }
}

static COUNT: Mutex<Cell<Count>> = Mutex::new(Cell::new(Count { before: 0, period: 1 }));

pub(crate) fn now() -> u64 {
    critical_section::with(now_masked)
}

/// With interrupts masked, the count does not change; but a period may end.
fn now_masked(cs: CriticalSection<'_>) -> u64 {
    let count = COUNT.borrow(cs).get();
    let left = SYST::get_current();
    if SCB::is_pendst_pending() {
        // `left` may be from before the end.
        return count.over().at(SYST::get_current());
    }
    count.at(left)
}

/// Interrupts after `ticks` ticks. The few that pass until the timer counts again are not counted.
pub(crate) fn after(ticks: u32) {
    critical_section::with(|cs| {
        let before = now_masked(cs);
        stop();
        COUNT.borrow(cs).set(Count { before, period: ticks });
        once(ticks);
        // What is written now counts for the next period, once this one has begun.
        while SYST::get_current() == 0 {}
        // SAFETY: the timer is used in this file only, and this is its largest value.
        unsafe { (*SYST::PTR).rvr.write(LONGEST - 1) };
    });
}

#[inline(always)]
pub(crate) fn once(ticks: u32) {
    // SAFETY: the timer is used in this file only.
    let syst = unsafe { &*SYST::PTR };
    // SAFETY: these registers take any value; the timer is off while they change.
    unsafe {
        syst.csr.write(OFF);
        syst.rvr.write(ticks - 1);
        syst.cvr.write(0);
        syst.csr.write(ON);
    }
}

#[inline(always)]
pub(crate) fn stop() {
    // SAFETY: the timer is used in this file only; off is always allowed.
    unsafe { (*SYST::PTR).csr.write(OFF) };
    SCB::clear_pendst();
    cortex_m::asm::isb();
}

#[inline(always)]
pub(crate) fn stamp() -> u32 {
    SYST::get_current()
}

#[inline(always)]
pub(crate) fn ticks_between(earlier: u32, later: u32) -> u32 {
    // It counts down, and is 0 until it does.
    earlier.saturating_sub(later)
}

/// The interrupt of the timer, which passes on where the core has put the interrupted state.
///
/// # Safety
///
/// To be entered by the core as an exception.
#[unsafe(naked)]
#[unsafe(export_name = "SysTick")]
unsafe extern "C" fn sys_tick() {
    // `lr` stays as it is, so that the handler's return is that of the exception.
    naked_asm!("mov r0, sp", "ldr r1, ={handler}", "bx r1", handler = sym handler)
}

extern "C" fn handler(frame: &ExceptionFrame) {
    critical_section::with(|cs| {
        let count = COUNT.borrow(cs);
        count.set(count.get().over());
    });
    crate::timer::interrupt(frame.pc() as usize);
}
