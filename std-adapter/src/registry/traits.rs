//! What a registry asks of what it holds.

use fusebox_core::{
    AdaptiveLimit, AdaptiveSnapshot, AdaptiveThrottle, BreakerConfig, BreakerSnapshot,
    BucketConfig, BudgetConfig, BudgetSnapshot, Bulkhead, BulkheadConfig, CircuitBreaker, Clock,
    CoDel, CoDelConfig, ConfigError, Histogram, HistogramConfig, HistogramSnapshot, Latencies,
    LimitAlgorithm, LimitConfig, LimitSnapshot, Load, LoadShedder, Metering, Observer,
    PipelineMeter, PipelineSnapshot, Queue, Random, Ratio, RetryBudget, Semaphore, ShedderConfig,
    SlidingLog, SlidingLogConfig, SlidingWindowConfig, SlidingWindowCounter, Slots, Switch,
    SwitchSnapshot, ThrottleConfig, ThrottleSnapshot, TokenBucket, Usage, WarmUp, WarmUpConfig,
    Window, WindowedHistogram,
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

/// Each is made of its configuration and of those parts that can be made of nothing.
macro_rules! configured {
    ($([$($generics:tt)*] $type:ty: $config:ty $(, $part:ty)*;)*) => {$(
        impl<$($generics)*> Configured for $type {
            type Config = $config;

            fn configured(config: $config) -> Result<Self, ConfigError> {
                Self::try_new(config $(, <$part>::default())*)
            }
        }
    )*};
}

configured! {
    [C: Clock + Default] CircuitBreaker<C>: BreakerConfig, C;
    [C: Clock + Default] TokenBucket<C>: BucketConfig, C;
    [C: Clock + Default] SlidingWindowCounter<C>: SlidingWindowConfig, C;
    [const N: usize, C: Clock + Default] SlidingLog<N, C>: SlidingLogConfig, C;
    [C: Clock + Default] WarmUp<C>: WarmUpConfig, C;
    [C: Clock + Default] RetryBudget<C>: BudgetConfig, C;
    [C: Clock + Default] CoDel<C>: CoDelConfig, C;
    [C: Clock + Default, A: LimitAlgorithm] AdaptiveLimit<C, A>: LimitConfig<A>, C;
    [C: Clock + Default, R: Random + Default, const B: usize]
        AdaptiveThrottle<C, R, B>: ThrottleConfig, C, R;
    [const N: usize] Bulkhead<Queue<N>>: BulkheadConfig;
    [] LoadShedder: ShedderConfig;
    [C: Clock, const OCTAVES: usize, const STEPS: usize]
        Histogram<C, OCTAVES, STEPS>: HistogramConfig;
}

/// What can be looked at as a whole.
pub trait Inspect {
    /// What is seen.
    type Snapshot;

    /// Looks at it, and changes nothing.
    fn inspect(&self) -> Self::Snapshot;
}

/// Each by its own `snapshot`.
macro_rules! inspect {
    ($([$($generics:tt)*] $type:ty: $snapshot:ty;)*) => {$(
        impl<$($generics)*> Inspect for $type {
            type Snapshot = $snapshot;

            fn inspect(&self) -> $snapshot {
                self.snapshot()
            }
        }
    )*};
}

inspect! {
    [C: Clock, W: Window<C>, M: Metering<C>, O: Observer]
        CircuitBreaker<C, W, M, O>: BreakerSnapshot;
    [C: Clock] SlidingWindowCounter<C>: LimitSnapshot;
    [const N: usize, C: Clock] SlidingLog<N, C>: LimitSnapshot;
    [C: Clock] RetryBudget<C>: BudgetSnapshot;
    [Q: Slots] Semaphore<Q>: Usage;
    [Q: Slots] Bulkhead<Q>: Usage;
    [C: Clock, A: LimitAlgorithm] AdaptiveLimit<C, A>: AdaptiveSnapshot;
    [C: Clock, R: Random, const B: usize] AdaptiveThrottle<C, R, B>: ThrottleSnapshot;
    [] LoadShedder: Load;
    [] Switch: SwitchSnapshot;
    [C: Clock, const OCTAVES: usize, const STEPS: usize]
        Histogram<C, OCTAVES, STEPS>: HistogramSnapshot<OCTAVES, STEPS>;
    [C: Clock, const SLICES: usize, const OCTAVES: usize, const STEPS: usize]
        WindowedHistogram<C, SLICES, OCTAVES, STEPS>: HistogramSnapshot<OCTAVES, STEPS>;
    [C: Clock, L: Latencies<C>] PipelineMeter<C, L>: PipelineSnapshot;
}

/// The tokens that it holds.
impl<C: Clock> Inspect for TokenBucket<C> {
    type Snapshot = u32;

    fn inspect(&self) -> u32 {
        self.peek()
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

/// Empty.
impl<C: Clock, const OCTAVES: usize, const STEPS: usize> Reset for Histogram<C, OCTAVES, STEPS> {
    fn reset(&self) {
        Self::reset(self);
    }
}

/// Empty.
impl<C: Clock, const SLICES: usize, const OCTAVES: usize, const STEPS: usize> Reset
    for WindowedHistogram<C, SLICES, OCTAVES, STEPS>
{
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
