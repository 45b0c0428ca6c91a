//! One gate at a time, as fast as all cores can: each enters, is out for an instant, and gives back
//! what it took. So almost every instruction is one of the gate's, and swaps fail all the time.
//!
//! There are fewer to be had than cores, and none comes in with the time: never more than that may
//! be out, and in the end exactly as many must be there.

use core::time::Duration;

use fusebox_core::{
    BreakerConfig, BucketConfig, BudgetConfig, CircuitBreaker, Clock, Gate, Outcome, Rate, Ratio,
    RetryBudget, Semaphore, TokenBucket,
};
use fusebox_suite::storm::Gauge;
use fusebox_suite::{Checked, ensure, ensure_eq};

use crate::CORES;
use crate::cores::{Enough, Phase, Tallies, contend, contended};
use crate::uptime::Uptime;

const ENOUGH: Enough = Enough { rounds: 2_000, collisions: 10 };

/// How many are to be had of everything: fewer than want it.
const LIMIT: u32 = CORES as u32 / 2;

/// A gate, and what is seen of it from outside.
struct Target<G> {
    gate: G,
    out: Gauge,
    tallies: Tallies<3>,
}

const ENTERED: usize = 0;
const REFUSED: usize = 1;
/// Times that more were out than there are.
const TOO_MANY: usize = 2;

impl<G: Gate> Target<G> {
    const fn new(gate: G) -> Self {
        Self { gate, out: Gauge::new(), tallies: Tallies::new(["entered", "refused", "too many"]) }
    }

    /// Enters and gives back.
    fn round(&self, core: usize) {
        let Ok(token) = self.gate.enter() else {
            self.tallies.add(core, REFUSED, 1);
            return;
        };
        if self.out.raise(1) > LIMIT {
            self.tallies.add(core, TOO_MANY, 1);
        }
        self.tallies.add(core, ENTERED, 1);
        self.out.lower(1);
        // As if a later gate had refused: it takes its token, probe or retry back.
        self.gate.exit(token, Outcome::Refused);
    }

    fn verify(&self, names: [&'static str; 3], report: &mut dyn FnMut(&'static str, Checked)) {
        self.tallies.print();
        let [collided, never_more, all_back] = names;
        report(collided, contended(&ENOUGH));
        report(never_more, self.never_more());
        report(all_back, self.all_back());
    }

    fn never_more(&self) -> Checked {
        ensure_eq!(self.tallies.total(TOO_MANY), 0);
        ensure!(self.tallies.total(REFUSED) > 0, "more were asked for than there are");
        Ok(())
    }

    fn all_back(&self) -> Checked {
        for _ in 0..LIMIT {
            ensure!(self.gate.enter().is_ok(), "something was lost");
        }
        ensure!(self.gate.enter().is_err(), "something was made");
        Ok(())
    }
}

/// The phase that hammers a target, and the names of its checks.
macro_rules! phase {
    ($name:literal, $target:ident, $what:literal) => {
        Phase {
            name: $name,
            work: |core| contend(core, &ENOUGH, || $target.round(core)),
            verify: |report| {
                let names = [
                    concat!($name, ": the cores collided"),
                    concat!($name, ": never more ", $what),
                    concat!($name, ": as many as there were"),
                ];
                $target.verify(names, report);
            },
        }
    };
}

pub(crate) const BUCKET: Phase = phase!("bucket", TOKENS, "tokens out than the burst");
pub(crate) const PROBES: Phase = phase!("probes", BREAKER, "probes than allowed");
pub(crate) const PERMITS: Phase = phase!("permits", SEMAPHORE, "permits than there are");
pub(crate) const BUDGET: Phase = phase!("budget", RETRIES, "retries than saved up");

/// Makes all targets ready, and uses them from core 0, before anybody else does.
pub(crate) fn hammer_alone() {
    save_up();
    half_open();
    for _ in 0..1_000 {
        TOKENS.round(0);
        BREAKER.round(0);
        SEMAPHORE.round(0);
        RETRIES.round(0);
    }
}

/// No token comes in while it lasts.
static TOKENS: Target<TokenBucket<Uptime>> =
    Target::new(TokenBucket::new(BucketConfig::new(Rate::per_hour(1)).burst(LIMIT), Uptime));

/// Half-open for as long as it lasts: the probes never report.
static BREAKER: Target<CircuitBreaker<Uptime>> = Target::new(CircuitBreaker::new(
    BreakerConfig::standard()
        .open_for(Duration::from_micros(1))
        .max_probes(LIMIT)
        .success_threshold(LIMIT)
        .half_open_timeout(Duration::from_secs(600)),
    Uptime,
));

static SEMAPHORE: Target<Semaphore> = Target::new(Semaphore::new(LIMIT));

/// Nothing comes in but what is saved up before.
static RETRIES: Target<RetryBudget<Uptime>> = Target::new(RetryBudget::new(
    BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(LIMIT),
    Uptime,
));

/// Opens the breaker, and lets the first probe in and out.
fn half_open() {
    BREAKER.gate.trip();
    let opened = Uptime.now();
    while Uptime.now().saturating_since(opened) <= Uptime::ticks(Duration::from_micros(10)) {}
    if let Ok(probe) = BREAKER.gate.permit() {
        probe.finish(Outcome::Refused);
    }
}

fn save_up() {
    RETRIES.gate.deposit_many(LIMIT);
}
