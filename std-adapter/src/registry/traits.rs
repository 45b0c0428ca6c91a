//! What a registry asks of what it holds.

use fusebox_core::{
    BreakerConfig, BreakerSnapshot, BucketConfig, BudgetConfig, BudgetSnapshot, Bulkhead,
    BulkheadConfig, CircuitBreaker, Clock, ConfigError, Metering, Observer, Queue, Ratio,
    RetryBudget, Semaphore, Slots, Switch, SwitchSnapshot, TokenBucket, Usage, Window,
};

/// What can be made of a configuration alone.
pub trait Configured: Sized {
    /// The configuration.
    type Config;

    /// Makes one.
    ///
    /// # Errors
    ///
    /// A setting is not valid, or the settings are not together.
    fn configured(config: Self::Config) -> Result<Self, ConfigError>;
}

impl<C: Clock + Default> Configured for CircuitBreaker<C> {
    type Config = BreakerConfig;

    fn configured(config: BreakerConfig) -> Result<Self, ConfigError> {
        Self::try_new(config, C::default())
    }
}

impl<C: Clock + Default> Configured for TokenBucket<C> {
    type Config = BucketConfig;

    fn configured(config: BucketConfig) -> Result<Self, ConfigError> {
        Self::try_new(config, C::default())
    }
}

impl<C: Clock + Default> Configured for RetryBudget<C> {
    type Config = BudgetConfig;

    fn configured(config: BudgetConfig) -> Result<Self, ConfigError> {
        Self::try_new(config, C::default())
    }
}

impl<const N: usize> Configured for Bulkhead<Queue<N>> {
    type Config = BulkheadConfig;

    fn configured(config: BulkheadConfig) -> Result<Self, ConfigError> {
        Self::try_new(config)
    }
}

/// What can be looked at as a whole.
pub trait Inspect {
    /// What is seen.
    type Snapshot;

    /// Looks at it, and changes nothing.
    fn inspect(&self) -> Self::Snapshot;
}

impl<C: Clock, W: Window<C>, M: Metering<C>, O: Observer> Inspect for CircuitBreaker<C, W, M, O> {
    type Snapshot = BreakerSnapshot;

    fn inspect(&self) -> BreakerSnapshot {
        self.snapshot()
    }
}

/// The tokens that it holds.
impl<C: Clock> Inspect for TokenBucket<C> {
    type Snapshot = u32;

    fn inspect(&self) -> u32 {
        self.peek()
    }
}

impl<C: Clock> Inspect for RetryBudget<C> {
    type Snapshot = BudgetSnapshot;

    fn inspect(&self) -> BudgetSnapshot {
        self.snapshot()
    }
}

impl<Q: Slots> Inspect for Semaphore<Q> {
    type Snapshot = Usage;

    fn inspect(&self) -> Usage {
        self.snapshot()
    }
}

impl<Q: Slots> Inspect for Bulkhead<Q> {
    type Snapshot = Usage;

    fn inspect(&self) -> Usage {
        self.snapshot()
    }
}

impl Inspect for Switch {
    type Snapshot = SwitchSnapshot;

    fn inspect(&self) -> SwitchSnapshot {
        self.snapshot()
    }
}

/// What can be put back to how it started while it is in use.
///
/// A semaphore or bulkhead cannot: its permits are out until their holders give them back.
pub trait Reset {
    /// Puts it back.
    fn reset(&self);
}

/// Closed, with nothing counted.
impl<C: Clock, W: Window<C>, M: Metering<C>, O: Observer> Reset for CircuitBreaker<C, W, M, O> {
    fn reset(&self) {
        Self::reset(self);
    }
}

/// Full; also where it was not at the start.
impl<C: Clock> Reset for TokenBucket<C> {
    fn reset(&self) {
        self.refund(u32::MAX);
    }
}

/// On for all, with nothing set by hand; what drives it goes on driving it.
impl Reset for Switch {
    fn reset(&self) {
        let whole = self.set_share(Ratio::percent(100));
        debug_assert!(whole.is_ok(), "the whole is a share");
        self.enable();
    }
}
