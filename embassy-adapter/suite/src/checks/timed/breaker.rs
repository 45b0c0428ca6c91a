//! The circuit breaker.

use core::time::Duration;

use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, State, Timer};

use super::Watch;
use crate::{Checked, Failure, ensure, ensure_eq};

const OPEN_FOR: Duration = Duration::from_millis(40);
const CONFIG: BreakerConfig =
    BreakerConfig::standard().consecutive_failures(1).open_for(OPEN_FOR).max_lateness(OPEN_FOR);

pub(super) async fn half_opens_after_its_time<T: Timer>(timer: &T, slack: Duration) -> Checked {
    let breaker = CircuitBreaker::new(CONFIG, timer);
    let watch = Watch::start(timer, slack);
    breaker.permit().map_err(|_| Failure::new("it is closed"))?.failure();
    ensure_eq!(breaker.state(), State::Open);
    ensure!(breaker.until_ready(timer).await.is_ok());
    watch.reads(OPEN_FOR)?;
    ensure!(breaker.call(|| Ok::<_, ()>(())).is_ok());
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

/// Asked all the time, as an interrupt might.
pub(super) async fn refuses_until_then<T: Timer>(timer: &T, slack: Duration) -> Checked {
    let breaker = CircuitBreaker::new(CONFIG, timer);
    let watch = Watch::start(timer, slack);
    breaker.trip();
    while breaker.permit().is_err() {}
    watch.reads(OPEN_FOR)
}
