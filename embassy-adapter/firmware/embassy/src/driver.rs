//! embassy's time, by SysTick.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};
use embassy_time_queue_utils::Queue;

/// SysTick counts this down again and again: a millisecond, after which tasks are woken.
const PERIOD: u32 = 12_500;
const TICKS_PER_PERIOD: u64 = TICK_HZ / 1_000;

struct SysTickDriver {
    periods: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

time_driver_impl!(static DRIVER: SysTickDriver = SysTickDriver {
    periods: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

/// Time passes from now on. No handler may interrupt that of SysTick: it could read a time from
/// before the period that has just begun.
pub(crate) fn start(mut syst: SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(PERIOD - 1);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
}

impl SysTickDriver {
    fn now_masked(&self, cs: CriticalSection<'_>) -> u64 {
        let mut periods = self.periods.borrow(cs).get();
        let mut left = SYST::get_current();
        if SCB::is_pendst_pending() {
            // A period is over, and its interrupt is still to come; `left` may be from before that.
            periods += 1;
            left = SYST::get_current();
        }
        // The interrupt comes when it reads 0, and so the next period begins with that.
        let gone = if left == 0 { 0 } else { PERIOD - left };
        periods * TICKS_PER_PERIOD + u64::from(gone) * TICKS_PER_PERIOD / u64::from(PERIOD)
    }
}

impl Driver for SysTickDriver {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.now_masked(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // When the next one expires need not be known: every period looks for those that have.
        critical_section::with(|cs| self.queue.borrow_ref_mut(cs).schedule_wake(at, waker));
    }
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let periods = DRIVER.periods.borrow(cs);
        periods.set(periods.get() + 1);
        let now = DRIVER.now_masked(cs);
        DRIVER.queue.borrow_ref_mut(cs).next_expiration(now);
    });
}
