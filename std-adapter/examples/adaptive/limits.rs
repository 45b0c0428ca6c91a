//! What stands at the door of the service: nothing, the library's adaptive limits, and for
//! comparison Gradient2 as it was published, which runs away.

use std::cell::RefCell;

use fusebox_std::{AdaptiveLimit, Clock, LimitAlgorithm, Outcome, Ticks};

/// A limit of calls in flight, in the time of the world.
pub trait Limit {
    /// Lets a call in, or not.
    fn enter(&self, now: Ticks) -> Option<Ticks>;
    /// A call that was let in has ended.
    fn exit(&self, entered: Ticks, outcome: Outcome, now: Ticks);
    /// The limit at present; 0 where there is none.
    fn limit(&self) -> u32;
}

/// The world's time, which it tells with each call.
#[derive(Clone, Copy, Debug)]
pub struct Virtual;

impl Clock for Virtual {
    const TICKS_PER_SECOND: u64 = 1_000_000_000;

    fn now(&self) -> Ticks {
        unreachable!("the world says what time it is")
    }
}

impl<A: LimitAlgorithm> Limit for AdaptiveLimit<Virtual, A> {
    fn enter(&self, now: Ticks) -> Option<Ticks> {
        self.enter_at(now).ok()
    }

    fn exit(&self, entered: Ticks, outcome: Outcome, now: Ticks) {
        self.exit_at(entered, outcome, now);
    }

    fn limit(&self) -> u32 {
        self.limit()
    }
}

/// Everybody is let in.
#[derive(Debug)]
pub struct NoLimit;

impl Limit for NoLimit {
    fn enter(&self, now: Ticks) -> Option<Ticks> {
        Some(now)
    }

    fn exit(&self, _entered: Ticks, _outcome: Outcome, _now: Ticks) {}

    fn limit(&self) -> u32 {
        0
    }
}

/// Gradient2 by its published formula and defaults (Netflix's `Gradient2Limit`), in windows of 100
/// ms: its long mean follows whatever the latency is, so that a queue that lasts becomes usual.
#[derive(Debug)]
pub struct Published(RefCell<State>);

#[derive(Debug)]
struct State {
    limit: f64,
    most: f64,
    /// The long mean, and of how many windows it is while it is a plain one.
    long: f64,
    warm_up: f64,
    in_flight: u32,
    window_ends: u64,
    /// Of the window: latencies, calls, the most in flight.
    sum: f64,
    calls: u32,
    peak: u32,
}

impl Published {
    /// From 20 to `most`.
    pub fn new(most: u32) -> Self {
        Self(RefCell::new(State {
            limit: 20.0,
            most: f64::from(most),
            long: 0.0,
            warm_up: 0.0,
            in_flight: 0,
            window_ends: 0,
            sum: 0.0,
            calls: 0,
            peak: 0,
        }))
    }
}

impl Limit for Published {
    fn enter(&self, now: Ticks) -> Option<Ticks> {
        let state = &mut self.0.borrow_mut();
        let admitted = f64::from(state.in_flight) < state.limit.floor();
        state.in_flight += u32::from(admitted);
        admitted.then_some(now)
    }

    fn exit(&self, entered: Ticks, _outcome: Outcome, now: Ticks) {
        let state = &mut self.0.borrow_mut();
        state.peak = state.peak.max(state.in_flight);
        state.in_flight -= 1;
        state.sum += now.saturating_since(entered) as f64;
        state.calls += 1;
        if now.0 >= state.window_ends && state.calls >= 10 {
            state.window_ends = now.0 + Virtual::TICKS_PER_SECOND / 10;
            state.fold();
        }
    }

    fn limit(&self) -> u32 {
        self.0.borrow().limit as u32
    }
}

impl State {
    fn fold(&mut self) {
        let latency = self.sum / f64::from(self.calls);
        let peak = f64::from(self.peak);
        (self.sum, self.calls, self.peak) = (0.0, 0, 0);
        self.warm_up += 1.0;
        let weight = if self.warm_up <= 10.0 { 1.0 / self.warm_up } else { 2.0 / 601.0 };
        self.long += (latency - self.long) * weight;
        if self.long > 2.0 * latency {
            self.long *= 0.95;
        }
        if peak < self.limit / 2.0 {
            return;
        }
        let gradient = (1.5 * self.long / latency).clamp(0.5, 1.0);
        let new = gradient * self.limit + 4.0;
        self.limit = (0.8 * self.limit + 0.2 * new).clamp(20.0, self.most);
    }
}
