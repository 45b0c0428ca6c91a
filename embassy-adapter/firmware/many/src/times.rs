//! Timeouts, deadlines and reservations in real time, on all cores at once: nothing happens too
//! early, and what is given up is not lost.

use core::future::pending;
use core::time::Duration;

use fusebox_core::{
    BucketConfig, Clock, Deadline, Error, Queue, Random, Reason, Rejection, Rng, Semaphore, Ticks,
    Timeout, TokenBucket,
};
use fusebox_suite::{Checked, ensure, ensure_eq};

use crate::CORES;
use crate::cores::{Enough, Phase, Tallies, contend, contended, meet, phase_began};
use crate::executor::block_on;
use crate::uptime::Uptime;

pub(crate) const PHASE: Phase = Phase { name: "times", work, verify };

const ENOUGH: Enough = Enough { rounds: 200, collisions: 0 };

/// Its one permit is held all the time, so that whoever waits for it waits in vain.
static HELD: Semaphore<Queue<CORES>> = Semaphore::new(1);

const RATE: u32 = 2_000;
const BURST: u32 = 8;
static BUCKET: TokenBucket<Uptime> = TokenBucket::new(
    BucketConfig::per_second(RATE).burst(BURST).max_wait(Duration::from_millis(5)),
    Uptime,
);

static TALLIES: Tallies<6> =
    Tallies::new(["timeouts", "queue timeouts", "tokens", "refused", "too early", "surprised"]);
const TIMEOUTS: usize = 0;
const QUEUE_TIMEOUTS: usize = 1;
const TOKENS: usize = 2;
const REFUSED: usize = 3;
const TOO_EARLY: usize = 4;
const SURPRISED: usize = 5;

fn work(core: usize) {
    let held = if core == 0 { HELD.try_acquire().ok() } else { None };
    meet();
    let random = Rng::from_seed(core as u64);
    contend(core, &ENOUGH, || {
        let limit = Duration::from_micros(random.below(200));
        let tokens = 1 + random.below(2) as u32;
        match random.below(4) {
            0 => time_out(core, limit),
            1 => wait_in_vain(core, limit),
            2 => note_tokens(core, tokens, block_on(BUCKET.acquire(Uptime, tokens))),
            _ => note_tokens(core, tokens, block_on(BUCKET.acquire_timeout(Uptime, tokens, limit))),
        }
    });
    meet();
    drop(held);
}

/// Notes an answer that must not come before `limit` is over.
fn note_end(core: usize, kind: Option<usize>, began: Ticks, limit: Duration) {
    TALLIES.add(core, kind.unwrap_or(SURPRISED), 1);
    if Uptime.now().saturating_since(began) < Uptime::ticks(limit) {
        TALLIES.add(core, TOO_EARLY, 1);
    }
}

fn time_out(core: usize, limit: Duration) {
    let began = Uptime.now();
    let answer = block_on(Timeout::new(limit).run(Uptime, pending::<Result<(), ()>>()));
    note_end(core, matches!(answer, Err(Error::TimedOut)).then_some(TIMEOUTS), began, limit);
}

fn wait_in_vain(core: usize, limit: Duration) {
    let began = Uptime.now();
    let deadline = Deadline::after(&Uptime, limit);
    let answer = block_on(HELD.acquire_before(Uptime, deadline));
    let is_late = matches!(&answer, Err(late) if
        matches!(late.reason(), Reason::QueueTimeout | Reason::DeadlineExceeded));
    note_end(core, is_late.then_some(QUEUE_TIMEOUTS), began, limit);
}

fn note_tokens(core: usize, tokens: u32, answer: Result<(), Rejection>) {
    match answer {
        Ok(()) => TALLIES.add(core, TOKENS, tokens),
        Err(refusal) if refusal.reason() == Reason::RateLimited => TALLIES.add(core, REFUSED, 1),
        Err(_) => TALLIES.add(core, SURPRISED, 1),
    }
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    TALLIES.print();
    report("times: every core waited", contended(&ENOUGH));
    report("times: nothing is early", never_early());
    report("times: no token above burst and rate", within_the_rate());
    report("times: who waited in vain left nothing behind", is_back());
}

fn never_early() -> Checked {
    ensure!(TALLIES.total(TIMEOUTS) > 0);
    ensure!(TALLIES.total(QUEUE_TIMEOUTS) > 0);
    ensure_eq!(TALLIES.total(TOO_EARLY), 0);
    ensure_eq!(TALLIES.total(SURPRISED), 0, "every refusal had its reason");
    Ok(())
}

/// Whoever waited for tokens had them when they were there: so there were never more in all than
/// the burst and what the time has brought.
fn within_the_rate() -> Checked {
    let elapsed = Uptime.now().saturating_since(phase_began());
    let brought = (elapsed * u64::from(RATE)).div_ceil(Uptime::TICKS_PER_SECOND);
    let tokens = TALLIES.total(TOKENS);
    ensure!(tokens <= u64::from(BURST) + brought);
    ensure!(tokens > u64::from(BURST), "tokens that came were had");
    Ok(())
}

fn is_back() -> Checked {
    ensure_eq!(HELD.available(), 1);
    ensure_eq!(HELD.waiting(), 0);
    Ok(())
}
