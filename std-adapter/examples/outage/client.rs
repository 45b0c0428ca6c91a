//! The four clients: the same road to the same upstream, and more and more care on the way.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{ConfigError, RetryAll, Rng};
use tokio::time::sleep;

use crate::link::Link;
use crate::schedule::Plan;

/// How a call ended, as the caller sees it. Whether it was in time, the driver judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The upstream answered 200.
    Answered,
    /// Errors or timeouts, and no more attempts.
    Failed,
    /// Turned away before anything was sent.
    Rejected,
}

/// One way to call the upstream.
pub trait Client: Send + Sync + 'static {
    /// Makes one call, with as many requests as it takes.
    fn call(&self) -> impl Future<Output = Verdict> + Send;

    /// The state of its breaker, if it has one.
    fn breaker(&self) -> Option<State> {
        None
    }
}

/// (a) Sends once and takes what comes.
#[derive(Debug)]
pub struct Unprotected {
    link: Arc<Link>,
}

impl Unprotected {
    pub const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

impl Client for Unprotected {
    async fn call(&self) -> Verdict {
        match self.link.send().await {
            Ok(()) => Verdict::Answered,
            Err(_) => Verdict::Failed,
        }
    }
}

/// (b) Tries again, soon, whatever went wrong: the loop everybody writes first.
#[derive(Debug)]
pub struct RetriesOnly {
    link: Arc<Link>,
}

impl RetriesOnly {
    const ATTEMPTS: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(20);

    pub const fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

impl Client for RetriesOnly {
    async fn call(&self) -> Verdict {
        for attempt in 1..=Self::ATTEMPTS {
            if self.link.send().await.is_ok() {
                return Verdict::Answered;
            }
            if attempt < Self::ATTEMPTS {
                sleep(Self::PAUSE).await;
            }
        }
        Verdict::Failed
    }
}

/// Up to three attempts with exponential backoff and full jitter, as far as the budget goes.
#[derive(Debug)]
struct Retries {
    base: Duration,
    rng: Rng,
    budget: RetryBudget,
}

impl Retries {
    fn new(plan: &Plan, seed: u64) -> Result<Self, ConfigError> {
        // One retry for ten calls, and one a second whatever happens.
        let budget = BudgetConfig::new(Ratio::percent(10)).floor_per_second(1);
        Ok(Self {
            base: plan.patience / 20,
            rng: Rng::from_seed(seed),
            budget: RetryBudget::try_new(budget, StdClock)?,
        })
    }

    fn policy(&self) -> Retry<Backoff<&Rng>, RetryAll, &RetryBudget> {
        Retry::new(Backoff::exponential(self.base).jitter(Jitter::Full, &self.rng))
            .max_attempts(3)
            .budget(&self.budget)
    }
}

/// (c) Timeouts, and retries with exponential backoff and jitter within a budget.
#[derive(Debug)]
pub struct Careful {
    link: Arc<Link>,
    attempt_timeout: Duration,
    retries: Retries,
}

impl Careful {
    pub fn new(link: Arc<Link>, plan: &Plan, seed: u64) -> Result<Self, ConfigError> {
        Ok(Self {
            link,
            attempt_timeout: plan.patience.mul_f64(0.85),
            retries: Retries::new(plan, seed)?,
        })
    }
}

impl Client for Careful {
    async fn call(&self) -> Verdict {
        let answer = Pipeline::new(TokioTimer)
            .retry(self.retries.policy())
            .attempt_timeout(self.attempt_timeout)
            .call(|_| self.link.send())
            .await;
        if answer.is_ok() { Verdict::Answered } else { Verdict::Failed }
    }
}

/// (d) The full pipeline: deadline( bulkhead( retry( limiter, breaker( timeout( send ))))).
#[derive(Debug)]
pub struct Fused {
    link: Arc<Link>,
    deadline: Duration,
    attempt_timeout: Duration,
    retries: Retries,
    bulkhead: Bulkhead,
    limiter: TokenBucket,
    breaker: CircuitBreaker<StdClock, LastCalls<StdClock, 8>>,
}

impl Fused {
    /// Sized by what its owner knows: the upstream's workers, and the load it was bought for.
    pub fn new(link: Arc<Link>, plan: &Plan, seed: u64) -> Result<Self, ConfigError> {
        let half = Rates::failures(Ratio::percent(50)).minimum_calls(16);
        let breaker = BreakerConfig::standard()
            .without_consecutive_failures()
            .open_for(plan.patience.mul_f64(0.4))
            .max_probes(5)
            .success_threshold(5);
        let limit = BucketConfig::per_second(plan.rate * 7 / 5).burst((plan.rate / 5).max(1));
        Ok(Self {
            link,
            deadline: plan.patience,
            attempt_timeout: plan.patience.mul_f64(0.7),
            retries: Retries::new(plan, seed)?,
            // Every worker busy and half as many requests waiting: even while the upstream is
            // slow, what is let in is answered in time.
            bulkhead: Bulkhead::try_new(BulkheadConfig::new(plan.workers * 3 / 2 + 2))?,
            limiter: TokenBucket::try_new(limit, StdClock)?,
            breaker: CircuitBreaker::try_with_window(
                breaker,
                LastCalls::try_new(32, half)?,
                StdClock,
            )?,
        })
    }
}

impl Client for Fused {
    async fn call(&self) -> Verdict {
        let mut sent = false;
        let answer = Pipeline::new(TokioTimer)
            .deadline(self.deadline)
            .per_call(&self.bulkhead)
            .retry(self.retries.policy())
            // The breaker is asked last: what it has let through must report back.
            .per_attempt((&self.limiter, &self.breaker))
            .attempt_timeout(self.attempt_timeout)
            .call(|_| {
                sent = true;
                self.link.send()
            })
            .await;
        match answer {
            Ok(()) => Verdict::Answered,
            Err(_) if sent => Verdict::Failed,
            Err(_) => Verdict::Rejected,
        }
    }

    fn breaker(&self) -> Option<State> {
        Some(self.breaker.state())
    }
}
