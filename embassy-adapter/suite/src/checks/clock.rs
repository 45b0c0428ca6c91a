//! Clocks that are not what they should be: nothing wedges, and no token or permit is lost or made.

use core::pin::pin;
use core::time::Duration;

use fusebox_core::{
    BreakerConfig, BucketConfig, BudgetConfig, CircuitBreaker, Clock, Counter, Extended, Gate,
    LastTime, ManualClock, Queue, Random, Rates, Ratio, Reason, RetryBudget, Rng, Semaphore, State,
    Ticks, TokenBucket, ticks_from_duration,
};

use super::support::{EIGHTH, SECOND, reason};
use crate::{Checked, Failure, advance_until, ensure, ensure_eq, poll_once};

/// Readings may be late by a second.
const LATENESS: Duration = SECOND;

/// One of every primitive that asks the clock.
struct Primitives<C> {
    /// Eight a second, and three at once.
    bucket: TokenBucket<C>,
    /// Open for a second, and two for the probes.
    breaker: CircuitBreaker<C>,
    /// Two failures within a second.
    windowed: CircuitBreaker<C, LastTime<C, 4>>,
    /// Two retries a second, three at once.
    budget: RetryBudget<C>,
}

const BURST: u32 = 3;

impl<C: Clock + Copy> Primitives<C> {
    fn new(clock: C) -> Self {
        let limits = BucketConfig::per_second(8).burst(BURST).max_wait(EIGHTH * 2);
        let open = BreakerConfig::standard().open_for(SECOND).half_open_timeout(SECOND * 2);
        let rates = Rates::failures(Ratio::percent(50)).minimum_calls(2);
        let budget = BudgetConfig::new(Ratio::percent(50)).floor_per_second(2).reserve(BURST);
        Self {
            bucket: TokenBucket::new(limits, clock),
            breaker: CircuitBreaker::new(open, clock),
            windowed: CircuitBreaker::with_window(
                open.without_consecutive_failures(),
                LastTime::new(SECOND, rates),
                clock,
            ),
            budget: RetryBudget::new(budget, clock),
        }
    }

    /// Tokens that are there to be taken.
    fn tokens(&self) -> u32 {
        (0..1_000).take_while(|_| self.bucket.try_acquire(1).is_ok()).count() as u32
    }

    /// Retries that are there to be taken.
    fn retries(&self) -> u32 {
        (0..1_000).take_while(|_| self.budget.try_withdraw().is_ok()).count() as u32
    }

    /// Brings each into the state that it has most to remember in.
    fn use_up(&self) -> Checked {
        self.tokens();
        self.retries();
        self.breaker.trip();
        self.windowed.permit().map_err(|_| Failure::new("it is closed"))?.failure();
        Ok(())
    }

    /// Within as much time as each may take, and no more, everything works again. `advance` moves
    /// the clock on by an eighth of a second.
    fn works_again(&self, mut advance: impl FnMut()) -> Checked {
        // The half-open timeout or the open time, late by what readings may be, and rounded.
        for _ in 0..8 * 8 {
            advance();
            // A probe may still be out, or time out only now.
            if self.breaker.call(|| Ok::<_, ()>(())).is_ok() {
                break;
            }
        }
        ensure_eq!(self.breaker.state(), State::Closed);
        let tokens = self.tokens();
        ensure!(tokens <= BURST, "more than it holds");
        let retries = self.retries();
        ensure!(retries <= BURST, "more than the reserve");
        for _ in 0..8 {
            advance();
        }
        ensure!(self.tokens() == BURST, "it is filled again");
        ensure!(self.retries() >= 1, "the floor pays");
        self.windowed.reset();
        for _ in 0..2 {
            self.windowed.permit().map_err(|_| Failure::new("it was reset"))?.failure();
        }
        ensure_eq!(self.windowed.state(), State::Open);
        Ok(())
    }
}

pub(super) fn one_that_stops_wedges_nothing<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    clock.advance(SECOND * 1_000);
    let all = Primitives::new(Hardware::Wide(&clock));
    all.use_up()?;
    for _ in 0..100 {
        ensure_eq!(all.tokens(), 0);
        ensure_eq!(all.retries(), 0);
        ensure!(reason(all.breaker.permit()) == Some(Reason::CircuitOpen));
    }
    {
        let mut waits = pin!(all.bucket.acquire(&clock, 1));
        ensure!(poll_once(waits.as_mut()).is_pending() && poll_once(waits).is_pending());
    }
    // What needs no time goes on.
    all.budget.deposit_many(2);
    ensure_eq!(all.retries(), 1);
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    {
        let held = permits.try_acquire().map_err(|_| Failure::new("one is free"))?;
        let mut waits = pin!(permits.acquire_timeout(&clock, SECOND));
        ensure!(poll_once(waits.as_mut()).is_pending());
        drop(held);
        ensure!(poll_once(waits).is_ready());
    }
    ensure_eq!(permits.available(), 1);
    all.works_again(|| clock.advance(EIGHTH))
}

pub(super) fn one_that_steps_back_grants_nothing_twice<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    clock.advance(SECOND * 1_000);
    let all = Primitives::new(Hardware::Wide(&clock));
    all.use_up()?;
    for eighths in 1..=7 {
        let back = LATENESS / 8 * eighths;
        clock.rewind(back);
        ensure_eq!(all.tokens(), 0);
        ensure_eq!(all.retries(), 0);
        ensure!(reason(all.breaker.permit()) == Some(Reason::CircuitOpen));
        clock.advance(back);
        ensure_eq!(all.tokens(), 0);
        ensure_eq!(all.retries(), 0);
    }
    // A call from a moment ago is a recent one.
    clock.rewind(LATENESS / 2);
    all.windowed.permit().map_err(|_| Failure::new("it is closed"))?.failure();
    ensure_eq!(all.windowed.state(), State::Open);
    all.works_again(|| clock.advance(EIGHTH))
}

pub(super) fn one_that_is_set_back_for_good_is_believed<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    for half_open in [false, true] {
        clock.set(Ticks::ZERO);
        clock.advance(SECOND * 10_000);
        let all = Primitives::new(Hardware::Wide(&clock));
        all.use_up()?;
        if half_open {
            clock.advance(SECOND);
            // A probe that never comes back.
            all.breaker.enter().map_err(|_| Failure::new("the open time is over"))?;
        }
        clock.set(Ticks::ZERO);
        all.works_again(|| clock.advance(EIGHTH))?;
    }
    Ok(())
}

pub(super) fn one_that_leaps_ahead_fills_and_no_more<const HZ: u64>() -> Checked {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let clock = ManualClock::<HZ>::new();
    for days in [1, 7, 365, 10_000] {
        let all = Primitives::new(Hardware::Wide(&clock));
        all.use_up()?;
        // And an eighth, to miss what is a multiple of the words' time.
        clock.advance(DAY * days + EIGHTH);
        all.works_again(|| clock.advance(EIGHTH))?;
    }
    Ok(())
}

pub(super) fn one_that_comes_to_the_end_of_64_bits_goes_on<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let before = ticks_from_duration(EIGHTH * 4, HZ);
    clock.set(Ticks(u64::MAX - before + 1));
    let all = Primitives::new(Hardware::Wide(&clock));
    all.use_up()?;
    let mut granted = 0;
    for eighth in 1..=8 {
        ensure!(all.breaker.permit().is_err(), "the open time is not over");
        clock.advance(EIGHTH);
        granted += all.tokens();
        ensure!(granted <= eighth, "as the rate has it");
    }
    ensure_eq!(clock.now(), Ticks(before));
    ensure!(granted >= 7);
    ensure!(all.breaker.permit().is_ok());
    all.works_again(|| clock.advance(EIGHTH))
}

/// A hardware counter of 32 bits that counts on with the clock.
#[derive(Clone, Copy)]
struct Narrow<'a, const HZ: u64>(&'a ManualClock<HZ>);

impl<const HZ: u64> Counter for Narrow<'_, HZ> {
    const TICKS_PER_SECOND: u64 = HZ;

    fn read(&self) -> u32 {
        self.0.now().0 as u32
    }
}

/// A clock over a hardware counter. One type for all, so that a small target has the code of the
/// primitives once.
#[derive(Clone, Copy)]
enum Hardware<'a, const HZ: u64> {
    /// Of 64 bits.
    Wide(&'a ManualClock<HZ>),
    /// Of 32 bits, as whoever did not read the documentation has it.
    Wraps(Narrow<'a, HZ>),
    /// Of 32 bits, as it should be.
    Extended(&'a Extended<Narrow<'a, HZ>>),
}

impl<const HZ: u64> Clock for Hardware<'_, HZ> {
    const TICKS_PER_SECOND: u64 = HZ;

    fn now(&self) -> Ticks {
        match self {
            Self::Wide(clock) => clock.now(),
            Self::Wraps(counter) => Ticks(u64::from(counter.read())),
            Self::Extended(clock) => clock.now(),
        }
    }
}

/// So long before the counter wraps for the first time.
fn before_the_wrap<const HZ: u64>(clock: &ManualClock<HZ>, time: Duration) {
    clock.set(Ticks((1 << 32) - ticks_from_duration(time, HZ)));
}

pub(super) fn one_that_wraps_at_32_bits_costs_a_burst_at_most<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    for half_open in [false, true] {
        before_the_wrap(&clock, EIGHTH * 12);
        let all = Primitives::new(Hardware::Wraps(Narrow(&clock)));
        all.use_up()?;
        if half_open {
            clock.advance(SECOND);
            all.breaker.enter().map_err(|_| Failure::new("the open time is over"))?;
        }
        let mut granted = all.tokens();
        let eighths = if half_open { 16 } else { 24 };
        for _ in 0..eighths {
            clock.advance(EIGHTH);
            granted += all.tokens();
        }
        ensure!(granted <= 24 + BURST, "the rate, and a bucket that was full once too often");
        all.works_again(|| clock.advance(EIGHTH))?;
    }
    Ok(())
}

pub(super) fn an_extended_counter_does_not_wrap<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let extended = Extended::new(Narrow(&clock));
    let random = Rng::from_seed(HZ);
    let mut reading = Ticks::ZERO;
    for _ in 0..100 {
        ensure_eq!(extended.now(), clock.now());
        ensure!(extended.now() >= reading);
        reading = extended.now();
        // At most half a period at a time.
        clock.advance_ticks(1 + random.below((1 << 31) - 1));
    }
    ensure!(reading.0 > 10 << 32, "it has wrapped a few times");
    Ok(())
}

pub(super) fn on_an_extended_counter_all_is_as_it_should_be<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    before_the_wrap(&clock, SECOND * 2);
    // The readings from before it was made are no concern of the counter's.
    let extended = Extended::new(Narrow(&clock));
    let ours = Primitives::new(Hardware::Extended(&extended));
    let exact = Primitives::new(Hardware::Wide(&clock));
    ours.use_up()?;
    exact.use_up()?;
    for _ in 0..50 {
        clock.advance(EIGHTH);
        ensure_eq!(ours.tokens(), exact.tokens());
        ensure_eq!(ours.retries(), exact.retries());
        ensure!(ours.breaker.permit().is_ok() == exact.breaker.permit().is_ok());
        ensure_eq!(ours.breaker.state(), exact.breaker.state());
    }
    ensure!(clock.now().0 > 1 << 32, "it has wrapped");
    ours.works_again(|| clock.advance(EIGHTH))
}

/// Whatever the readings are, as long as they are late by no more than they may be.
pub(super) fn readings_in_any_order_grant_no_more_than_the_latest<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let begin = Ticks(ticks_from_duration(SECOND * 1_000, HZ));
    clock.set(begin);
    let all = Primitives::new(Hardware::Wide(&clock));
    let random = Rng::from_seed(7);
    let (mut latest, mut granted, mut retried) = (begin, 0, 0);
    for _ in 0..300 {
        // Ahead of the latest by as much as a call in two intervals, or late.
        let step = random.below(ticks_from_duration(EIGHTH, HZ));
        let late = random.below(ticks_from_duration(LATENESS, HZ));
        latest = latest.wrapping_add(step);
        clock.set(Ticks(latest.0 - if random.below(2) == 0 { late } else { 0 }));
        granted += all.tokens();
        retried += all.retries();
        // A permit that is given back while it waits for its price leaves nothing behind.
        drop(all.bucket.reserve(1));
    }
    let elapsed = latest.saturating_since(begin);
    let most = |rate: u64| u64::from(BURST) + (elapsed * rate).div_ceil(HZ);
    ensure!(u64::from(granted) <= most(8), "no token too many");
    ensure!(u64::from(retried) <= most(2), "no retry too many");
    clock.set(latest);
    let waited = advance_until(&clock, EIGHTH, 8, all.bucket.acquire(&clock, 1));
    ensure!(waited == Some(Ok(())), "nobody waits for what was never taken");
    Ok(())
}
