//! Every public function of the core, called once by a program for bare metal.
//!
//! It is built to be looked at, not run. `.ci/run` disassembles it and finds no 64-bit atomic, no
//! lock and no critical section where the target has compare-and-swap, and it links it with a panic
//! handler that cannot be linked, which shows that no panic is reachable. What the functions are
//! given is opaque, so that the optimiser can leave nothing out and rule nothing out. There is a
//! module for each part of the core, and `.ci/run` compares them with the core's sources, so that
//! no function is forgotten.
#![no_std]
#![no_main]

mod adaptive;
mod breaker;
mod bucket;
mod budget;
mod errors;
mod fallbacks;
mod gates;
mod hedges;
mod limits;
mod meters;
mod planted;
mod queue;
mod retries;
mod shapes;
mod shedding;
mod switches;
mod times;

use core::future::Future;
use core::hint::black_box;
use core::panic::PanicInfo;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use fusebox_core::{Event, Gate, ManualClock, Observer, Outcome, Rng, Ticks};

type Us = ManualClock<1_000_000>;

static CLOCK: Us = ManualClock::new();
static RANDOM: Rng = Rng::from_seed(1);

/// The linker's entry: no runtime, as nothing here ever runs.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    times::all();
    errors::all();
    gates::all();
    breaker::all();
    bucket::all();
    budget::all();
    queue::all();
    retries::all();
    hedges::all();
    limits::all();
    meters::all();
    shedding::all();
    adaptive::all();
    fallbacks::all();
    shapes::all();
    switches::all();
    planted::all();
    loop {}
}

/// A value that the optimiser knows nothing about.
fn any<T>(value: T) -> T {
    black_box(value)
}

/// A duration it knows nothing about.
fn some_time() -> Duration {
    // The halves by themselves: the type promises that the second one is below 10^9, and a release
    // build takes such promises at their word.
    Duration::from_secs(any(1)).saturating_add(Duration::from_nanos(any(1)))
}

fn now() -> Ticks {
    Ticks(any(7))
}

/// Keeps a result from being left out.
fn keep<T>(value: T) {
    black_box(&value);
}

fn outcome() -> Outcome {
    match any(0_u32) {
        0 => Outcome::Success,
        1 => Outcome::Failure,
        2 => Outcome::Ignored,
        3 => Outcome::Abandoned,
        _ => Outcome::Refused,
    }
}

/// Enters and leaves by every path.
fn use_gate<G: Gate>(gate: &G) {
    match any(gate).permit() {
        Ok(permit) => permit.finish(outcome()),
        Err(rejection) => keep(rejection.retry_after()),
    }
    if let Ok(token) = gate.enter() {
        gate.exit(token, outcome());
    }
    keep(gate.call(|| any(Err::<u32, u32>(1))));
    poll(gate.guard(ready(any(Ok::<u32, u32>(1)))));
}

/// Polls twice, and cancels what is pending then.
fn poll<F: Future>(future: F) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        keep(future.as_mut().poll(&mut context).is_ready());
        CLOCK.advance_ticks(any(1));
    }
}

/// A future that is ready once. Unlike the core library's, it does not panic when it is polled
/// again.
fn ready<T>(value: T) -> Ready<T> {
    Ready(Some(value))
}

struct Ready<T>(Option<T>);

impl<T: Unpin> Future for Ready<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<T> {
        self.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// An observer that looks at all of an event.
#[derive(Clone, Copy)]
struct Watcher;

impl Observer for Watcher {
    fn on_event(&self, event: &Event<'_>) {
        black_box(event);
    }
}

#[cfg(feature = "no-panic")]
unsafe extern "C" {
    /// Nobody defines it.
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "no-panic")]
    a_panic_is_reachable();
    #[cfg(not(feature = "no-panic"))]
    loop {}
}

// The critical section of `cortex-m` is linked only where something names the crate.
#[cfg(feature = "critical-section")]
use cortex_m as _;
