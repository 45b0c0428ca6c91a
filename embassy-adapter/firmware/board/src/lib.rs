//! What the programs for one core share: how each machine starts, counts time, interrupts and
//! stops.
//!
//! | target | machine in QEMU | timer |
//! |---|---|---|
//! | `thumbv6m` | `microbit`, a Cortex-M0: no compare-and-swap | SysTick (which QEMU gives it; the chip has none) |
//! | `thumbv7m` | `lm3s6965evb`, a Cortex-M3 | SysTick |
//! | `thumbv7em` | `mps2-an386`, a Cortex-M4 | SysTick |
//! | `riscv32imc` | `virt` without atomic instructions: one traps | the machine timer |
//! | `riscv32imac` | `virt` | the machine timer |
//!
//! A program is a function that returns its [`Report`], named by [`program!`].
#![no_std]

#[cfg(target_arch = "arm")]
mod arm;
mod report;
#[cfg(target_arch = "riscv32")]
mod rv32;
mod slowed;
#[cfg(feature = "timer")]
pub mod timer;

#[cfg(target_arch = "arm")]
use arm as machine;
#[cfg(target_arch = "riscv32")]
use rv32 as machine;

pub use machine::{NAME, STORES_CONDITIONALLY, stores_conditionally};
pub use report::Report;
pub use semihosting::{print, println};
pub use slowed::Slowed;

/// How long an instruction takes: what `-icount` says in `.cargo/config.toml`. Longer than two
/// ticks of each machine's timer.
pub const NANOS_PER_INSTRUCTION: u64 = 1 << 8;

/// Whether the machine has memory for megabytes of code.
pub const IS_LARGE: bool = cfg!(any(machine = "mps2-an386", machine = "virt"));

/// Makes a function that returns a [`Report`] the whole program: the run prints what it does, and
/// exits with a status that says whether all of it was right.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        #[unsafe(export_name = "board_program")]
        fn board_program() -> $crate::Report {
            $run()
        }
    };
}

/// Where the machine's start code leads.
fn start() -> ! {
    unsafe extern "Rust" {
        // SAFETY: `program!` writes it, with this signature; without that, linking fails.
        safe fn board_program() -> Report;
    }
    finish(board_program())
}

/// Ends the run, for programs that never return.
pub fn finish(report: Report) -> ! {
    exit(if report.close() { 0 } else { 1 })
}

/// Ends the run with a status; what a shell sees of it.
fn exit(status: i32) -> ! {
    semihosting::process::exit(status)
}

/// Runs a future to its end. The core sleeps between polls; the [`timer`] must be running, as each
/// of its interrupts wakes it.
#[cfg(feature = "timer")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    use core::task::{Context, Poll, Waker};

    let mut future = core::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        machine::wait_for_interrupt();
    }
}
