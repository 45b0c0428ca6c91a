//! How many instructions the hot paths take on a Cortex-M3.
//!
//! Under `-icount` an instruction takes exactly 256 ns of the machine's time, and `SysTick` counts
//! that time: so what a thousand calls take, less what a thousand calls of an empty function take,
//! is a number of instructions, the same in each run. The functions are not inlined into the loop,
//! and know nothing about the primitive that they are given; the clock they read is one word in
//! memory.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};

use board::{NANOS_PER_INSTRUCTION, Report, println};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use fusebox_core::{
    BreakerConfig, BucketConfig, BudgetConfig, CircuitBreaker, Clock, Gate, LastCalls, Queue,
    Rates, Ratio, RetryBudget, Semaphore, Switch, Ticks, TokenBucket,
};

board::program!(run);

/// The time in milliseconds, as an interrupt of a timer would count it.
static TIME: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy)]
struct Millis;

impl Clock for Millis {
    const TICKS_PER_SECOND: u64 = 1_000;

    #[inline]
    fn now(&self) -> Ticks {
        Ticks(TIME.load(Ordering::Relaxed).into())
    }
}

type Windowed = CircuitBreaker<Millis, LastCalls<Millis>>;

static BREAKER: CircuitBreaker<Millis> = CircuitBreaker::new(BreakerConfig::standard(), Millis);
static OPEN: CircuitBreaker<Millis> = CircuitBreaker::new(BreakerConfig::standard(), Millis);
static WINDOWED: Windowed = CircuitBreaker::with_window(
    BreakerConfig::standard(),
    LastCalls::new(100, Rates::failures(Ratio::percent(50))),
    Millis,
);
static BUCKET: TokenBucket<Millis> =
    TokenBucket::new(BucketConfig::per_second(1_000).burst(10), Millis);
static DRY: TokenBucket<Millis> = TokenBucket::new(BucketConfig::per_day(1).burst(1), Millis);
static SEMAPHORE: Semaphore = Semaphore::new(4);
static QUEUED: Semaphore<Queue<4>> = Semaphore::new(4);
static BUDGET: RetryBudget<Millis> = RetryBudget::new(
    BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(100),
    Millis,
);
static SWITCH: Switch = Switch::new();

const CALLS: u32 = 1_000;
const HZ: u64 = 12_500_000;
const NANOS_PER_TICK: u64 = 1_000_000_000 / HZ;
/// What `SysTick` counts before it starts anew.
const RANGE: u32 = 0x00ff_ffff;

fn run() -> Report {
    let mut report = Report::open("counts");
    start_counting();
    let empty = count(|| nothing(black_box(&BREAKER)));
    report.check("a hundred instructions are counted as a hundred", hundred());
    OPEN.trip();
    let _ = DRY.try_acquire(1);
    let tell = |name, instructions: u64| {
        println!("| {name} | {} |", instructions.saturating_sub(empty));
    };
    tell("breaker closed: permit and success", count(|| breaker(black_box(&BREAKER))));
    tell("breaker open: refused", count(|| breaker(black_box(&OPEN))));
    tell(
        "breaker on its last 100 calls: permit and success",
        count(|| windowed(black_box(&WINDOWED))),
    );
    tell("token bucket: granted", count(|| bucket(black_box(&BUCKET))));
    tell("token bucket: refused", count(|| bucket(black_box(&DRY))));
    tell("semaphore: permit and release", count(|| semaphore(black_box(&SEMAPHORE))));
    tell("semaphore with a queue of 4: permit and release", count(|| queued(black_box(&QUEUED))));
    tell("retry budget: deposit and withdrawal", count(|| budget(black_box(&BUDGET))));
    tell("switch: asked", count(|| switch(black_box(&SWITCH))));
    report.check("and all did what they should", as_they_should());
    report
}

/// What was measured must have been what its name says.
fn as_they_should() -> Result<(), &'static str> {
    if !breaker(&BREAKER) || breaker(&OPEN) || !windowed(&WINDOWED) {
        return Err("a breaker");
    }
    if !bucket(&BUCKET) || bucket(&DRY) {
        return Err("a bucket");
    }
    if !semaphore(&SEMAPHORE) || !queued(&QUEUED) || !budget(&BUDGET) || !switch(&SWITCH) {
        return Err("a semaphore, the budget or the switch");
    }
    Ok(())
}

fn start_counting() {
    // The program is the only one that ever asks for them.
    let Some(peripherals) = Peripherals::take() else { return };
    let mut timer = peripherals.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(RANGE);
    timer.clear_current();
    timer.enable_counter();
}

/// How many instructions a call takes, with the loop around it; a millisecond passes before each.
fn count(mut call: impl FnMut() -> bool) -> u64 {
    let before = SYST::get_current();
    for _ in 0..CALLS {
        TIME.store(TIME.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        black_box(call());
    }
    // It counts down.
    let ticks = before.wrapping_sub(SYST::get_current()) & RANGE;
    let instructions = u64::from(ticks) * NANOS_PER_TICK / NANOS_PER_INSTRUCTION;
    (instructions + u64::from(CALLS) / 2) / u64::from(CALLS)
}

fn hundred() -> Result<(), u64> {
    match count(nops::<100>) - count(nops::<0>) {
        100 => Ok(()),
        counted => Err(counted),
    }
}

#[inline(never)]
fn nops<const N: usize>() -> bool {
    // SAFETY: it does nothing, so many times.
    unsafe { core::arch::asm!(".rept {}", "nop", ".endr", const N) };
    true
}

#[inline(never)]
fn nothing(breaker: &CircuitBreaker<Millis>) -> bool {
    black_box(breaker);
    true
}

#[inline(never)]
fn breaker(breaker: &CircuitBreaker<Millis>) -> bool {
    breaker.permit().map(|permit| permit.success()).is_ok()
}

#[inline(never)]
fn windowed(breaker: &Windowed) -> bool {
    breaker.permit().map(|permit| permit.success()).is_ok()
}

#[inline(never)]
fn bucket(bucket: &TokenBucket<Millis>) -> bool {
    bucket.try_acquire(1).is_ok()
}

#[inline(never)]
fn semaphore(semaphore: &Semaphore) -> bool {
    semaphore.permit().map(|permit| permit.success()).is_ok()
}

#[inline(never)]
fn queued(semaphore: &Semaphore<Queue<4>>) -> bool {
    semaphore.permit().map(|permit| permit.success()).is_ok()
}

#[inline(never)]
fn budget(budget: &RetryBudget<Millis>) -> bool {
    budget.deposit();
    budget.try_withdraw().is_ok()
}

#[inline(never)]
fn switch(switch: &Switch) -> bool {
    switch.enter().is_ok()
}
