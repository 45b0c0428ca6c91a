//! Which public types and futures are `Send`, `Sync` and `Unpin`, as a table.
//!
//! A missing auto trait breaks users far from where it was lost, and one that was never meant is a
//! promise.
#![cfg(feature = "tokio")]

use std::cell::Cell;
use std::future::{Pending, Ready};
use std::marker::PhantomPinned;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fusebox_std::blocking::{ThreadSleep, ThreadTimer};
use fusebox_std::prelude::*;
use fusebox_std::*;

/// Asserts that a type has exactly these auto traits, by an ambiguity that only their absence
/// resolves.
macro_rules! assert_auto {
    ($type:ty: $send:ident, $sync:ident, $unpin:ident) => {
        assert_one!($type: $send, Send);
        assert_one!($type: $sync, Sync);
        assert_one!($type: $unpin, Unpin);
    };
}

macro_rules! assert_one {
    ($type:ty: yes, $trait:path) => {
        const _: fn() = || {
            fn has<T: ?Sized + $trait>() {}
            has::<$type>();
        };
    };
    ($type:ty: no, $trait:path) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn here() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            #[allow(dead_code, reason = "it is there to clash")]
            struct Clash;
            impl<T: ?Sized + $trait> Ambiguous<Clash> for T {}
            let _ = <$type as Ambiguous<_>>::here;
        };
    };
}

type Waiters = Queue<4>;
type Limits = (&'static Bulkhead<Waiters>, Option<&'static TokenBucket>);
type Checks<C> = (Tokens<'static, C>, Immediate<Arc<CircuitBreaker<C, LastCalls<C>, Meter>>>);
type Timed = Histogram<TokioTimer>;
type Counted<L> = &'static PipelineMeter<TokioTimer, L>;
type EnteringOf<G> = Entering<&'static G, TokioTimer>;

/// Is `Send` and not `Sync`.
type Alone = Cell<u8>;
/// Is neither.
type Local = Rc<u8>;

type Delay = Backoff<StdRng>;
type Fut<T, E = ()> = Ready<Result<T, E>>;
type Make<T, E = ()> = fn(Attempt) -> Fut<T, E>;
type HedgedCall<P, F> = Call<&'static Pipeline<TokioTimer, (), Hedge<3>, Immediate<P>>, F>;
type Pinned = (PhantomPinned, Pending<Result<(), ()>>);
/// Cannot be moved once it runs.
type Limited = WithTimeout<TokioTimer, Fut<u8>>;
type Pipe<C = (), A = ()> = Pipeline<TokioTimer, C, Retry<Delay>, A>;
type CallOf<C, A, F> = Call<&'static Pipe<C, A>, F>;
type MeteredCall<M> =
    Call<&'static Pipeline<TokioTimer, (), Retry<Delay>, (), ResultClassify, (), M>, Make<u8>>;

// Values.
assert_auto!(Ticks: yes, yes, yes);
assert_auto!(Deadline: yes, yes, yes);
assert_auto!(Timeout: yes, yes, yes);
assert_auto!(Attempt: yes, yes, yes);
assert_auto!(RetryState: yes, yes, yes);
assert_auto!(Verdict: yes, yes, yes);
assert_auto!(Decision: yes, yes, yes);
assert_auto!(Outcome: yes, yes, yes);
assert_auto!(State: yes, yes, yes);
assert_auto!(Counts: yes, yes, yes);
assert_auto!(BreakerSnapshot: yes, yes, yes);
assert_auto!(BudgetSnapshot: yes, yes, yes);
assert_auto!(HistogramSnapshot: yes, yes, yes);
assert_auto!(LatencySummary: yes, yes, yes);
assert_auto!(PipelineSnapshot: yes, yes, yes);
assert_auto!(Rejections: yes, yes, yes);
assert_auto!(Usage: yes, yes, yes);
assert_auto!(RateError: yes, yes, yes);
assert_auto!(Load: yes, yes, yes);
assert_auto!(AdaptiveSnapshot: yes, yes, yes);
assert_auto!(ThrottleSnapshot: yes, yes, yes);
assert_auto!(GiveUp: yes, yes, yes);
assert_auto!(Reason: yes, yes, yes);
assert_auto!(Rejection: yes, yes, yes);
assert_auto!(ConfigError: yes, yes, yes);
assert_auto!(Event<'static>: yes, yes, yes);
assert_auto!(SwitchSnapshot: yes, yes, yes);
assert_auto!(Answer<u8>: yes, yes, yes);
assert_auto!(Tiers<u8, Local>: no, no, yes);
assert_auto!(Error<u8>: yes, yes, yes);
assert_auto!(Error<Alone>: yes, no, yes);
assert_auto!(Error<Local>: no, no, yes);
assert_auto!(Retrying<'static, Alone>: no, no, yes);

// Settings.
assert_auto!(BreakerConfig: yes, yes, yes);
assert_auto!(BucketConfig: yes, yes, yes);
assert_auto!(Quota: yes, yes, yes);
assert_auto!(BudgetConfig: yes, yes, yes);
assert_auto!(BulkheadConfig: yes, yes, yes);
assert_auto!(ShedderConfig: yes, yes, yes);
assert_auto!(CoDelConfig: yes, yes, yes);
assert_auto!(ThrottleConfig: yes, yes, yes);
assert_auto!(LimitConfig<Aimd>: yes, yes, yes);
assert_auto!(LimitConfig<Vegas>: yes, yes, yes);
assert_auto!(LimitConfig<Gradient2>: yes, yes, yes);
assert_auto!(LimitConfig<EnvoyGradient>: yes, yes, yes);
assert_auto!(Priority: yes, yes, yes);
assert_auto!(SlidingWindowConfig: yes, yes, yes);
assert_auto!(WarmUpConfig: yes, yes, yes);
assert_auto!(SlidingLogConfig: yes, yes, yes);
assert_auto!(HistogramConfig: yes, yes, yes);
assert_auto!(PercentileConfig: yes, yes, yes);
assert_auto!(Ratio: yes, yes, yes);
assert_auto!(Rate: yes, yes, yes);
assert_auto!(Ramp: yes, yes, yes);
assert_auto!(Quota: yes, yes, yes);
assert_auto!(Rates: yes, yes, yes);
assert_auto!(Jitter: yes, yes, yes);
assert_auto!(ResultClassify: yes, yes, yes);
assert_auto!(FailureIf<fn(&Local) -> bool>: yes, yes, yes);
assert_auto!(FailureIf<Alone>: yes, no, yes);
assert_auto!(RetryAll: yes, yes, yes);
assert_auto!(RetryIf<fn(&Local) -> bool>: yes, yes, yes);
assert_auto!(RetryIf<Alone>: yes, no, yes);
assert_auto!(RetryNone: yes, yes, yes);
assert_auto!(InTurn: yes, yes, yes);
assert_auto!(SideBySide: yes, yes, yes);
assert_auto!(Attempts<2>: yes, yes, yes);

// Clocks, timers, randomness.
assert_auto!(StdClock: yes, yes, yes);
#[cfg(feature = "fast-clock")]
assert_auto!(fusebox_std::FastClock: yes, yes, yes);
assert_auto!(Extended<u8>: yes, yes, yes);
assert_auto!(Extended<Alone>: yes, no, yes);
assert_auto!(Extended<Local>: no, no, yes);
assert_auto!(StdRng: yes, yes, yes);
assert_auto!(Rng: yes, yes, yes);
assert_auto!(ManualClock: yes, yes, yes);
assert_auto!(ManualSleep<'static>: yes, yes, yes);
assert_auto!(TokioTimer: yes, yes, yes);
assert_auto!(TokioSleep: yes, yes, no);
assert_auto!(ThreadTimer: yes, yes, yes);
assert_auto!(ThreadSleep: no, no, yes);

// Primitives. What they share between threads is in atomics, so only a clock or an observer can
// take something away.
assert_auto!(CircuitBreaker: yes, yes, yes);
assert_auto!(CircuitBreaker<StdClock, LastCalls>: yes, yes, yes);
assert_auto!(CircuitBreaker<StdClock, (Consecutive, LastTime), Meter>: yes, yes, yes);
assert_auto!(CircuitBreaker<StdClock, Consecutive, Meter, Named<Alone>>: yes, no, yes);
assert_auto!(CircuitBreaker<Rc<StdClock>>: no, no, yes);
assert_auto!(LastCalls<Rc<StdClock>>: yes, yes, yes);
assert_auto!(LastTime<Rc<StdClock>>: yes, yes, yes);
assert_auto!(RampUp<Rc<StdClock>, LastCalls>: yes, yes, yes);
assert_auto!(Meter: yes, yes, yes);
assert_auto!(Meter<Histogram>: yes, yes, yes);
assert_auto!(Meter<WindowedHistogram<Rc<StdClock>>>: no, no, yes);
assert_auto!(Histogram: yes, yes, yes);
assert_auto!(Histogram<Rc<StdClock>>: yes, yes, yes);
assert_auto!(WindowedHistogram: yes, yes, yes);
assert_auto!(WindowedHistogram<Rc<StdClock>>: no, no, yes);
assert_auto!(PipelineMeter<TokioTimer>: yes, yes, yes);
assert_auto!(PipelineMeter<TokioTimer, Arc<Histogram<TokioTimer>>>: yes, yes, yes);
assert_auto!(PipelineMeter<Rc<StdClock>>: no, no, yes);
assert_auto!(LastError: yes, yes, yes);
assert_auto!(Noting<'static, ResultClassify>: yes, yes, yes);
assert_auto!(Noting<'static, Alone>: yes, no, yes);
assert_auto!(Named<Local>: no, no, yes);
assert_auto!(TokenBucket: yes, yes, yes);
assert_auto!(TokenBucket<Rc<StdClock>>: no, no, yes);
assert_auto!(SharedBucket<StdClock>: yes, yes, yes);
assert_auto!(SharedBucket<Rc<StdClock>>: no, no, yes);
assert_auto!(BucketState: yes, yes, yes);
assert_auto!(BucketSketch<StdClock, [SketchColumn; 4]>: yes, yes, yes);
assert_auto!(BucketSketch<Rc<StdClock>, [SketchColumn; 4]>: no, no, yes);
assert_auto!(SketchColumn: yes, yes, yes);
assert_auto!(SketchTokens<'static, StdClock, [SketchColumn; 4]>: yes, yes, yes);
assert_auto!(SketchTokens<'static, Rc<StdClock>, [SketchColumn; 4]>: no, no, yes);
assert_auto!(LeakyBucket: yes, yes, yes);
assert_auto!(SlidingWindowCounter: yes, yes, yes);
assert_auto!(SlidingWindowCounter<Rc<StdClock>>: no, no, yes);
assert_auto!(WarmUp: yes, yes, yes);
assert_auto!(WarmUp<Rc<StdClock>>: no, no, yes);
assert_auto!(SlidingLog<4>: yes, yes, yes);
assert_auto!(SlidingLog<4, Rc<StdClock>>: no, no, yes);
assert_auto!(Tokens<'static, StdClock>: yes, yes, yes);
assert_auto!(Tokens<'static, Rc<StdClock>>: no, no, yes);
assert_auto!(Semaphore: yes, yes, yes);
assert_auto!(Semaphore<Waiters>: yes, yes, yes);
assert_auto!(Semaphore<HeapQueue>: yes, yes, yes);
assert_auto!(Several<'static, Waiters>: yes, yes, yes);
assert_auto!(Bulkhead: yes, yes, yes);
assert_auto!(Bulkhead<HeapQueue>: yes, yes, yes);
assert_auto!(LoadShedder: yes, yes, yes);
assert_auto!(AtPriority<'static, LoadShedder>: yes, yes, yes);
assert_auto!(CoDel: yes, yes, yes);
assert_auto!(CoDel<Rc<StdClock>>: no, no, yes);
assert_auto!(Waited<'static, StdClock>: yes, yes, yes);
assert_auto!(CoDelQueue<'static, StdClock, &'static Bulkhead<Waiters>>: yes, yes, yes);
assert_auto!(CoDelQueue<'static, StdClock, Rc<Bulkhead<Waiters>>>: no, no, yes);
assert_auto!(AdaptiveThrottle: yes, yes, yes);
assert_auto!(AdaptiveThrottle<StdClock, Alone>: yes, no, yes);
assert_auto!(AdaptiveLimit: yes, yes, yes);
assert_auto!(AdaptiveLimit<StdClock, EnvoyGradient>: yes, yes, yes);
assert_auto!(AdaptiveLimit<Rc<StdClock>, Aimd>: no, no, yes);
assert_auto!(AtPriority<'static, AdaptiveLimit>: yes, yes, yes);
assert_auto!(DeadlineGate<StdClock>: yes, yes, yes);
assert_auto!(Immediate<&'static CircuitBreaker>: yes, yes, yes);
assert_auto!(Immediate<Rc<CircuitBreaker>>: no, no, yes);
assert_auto!(Observed<&'static CircuitBreaker, Alone>: yes, no, yes);
assert_auto!(Shadow<&'static CircuitBreaker>: yes, yes, yes);
assert_auto!(Shadow<Bulkhead, Named<Alone>>: yes, no, yes);
assert_auto!(Switch: yes, yes, yes);
assert_auto!(SwitchFor<'static>: yes, yes, yes);
assert_auto!(Switches: yes, yes, yes);
assert_auto!(Flag<'static>: yes, yes, yes);

// Gates by name.
assert_auto!(Group<CircuitBreaker, 2>: yes, yes, yes);
assert_auto!(Group<Alone, 2>: yes, no, yes);
assert_auto!(GroupIter<'static, CircuitBreaker>: yes, yes, yes);
assert_auto!(GroupIter<'static, Alone>: no, no, yes);
assert_auto!(PeerNetwork: yes, yes, yes);
assert_auto!(TrustedProxies: yes, yes, yes);
assert_auto!(Registry<CircuitBreaker>: yes, yes, yes);
assert_auto!(Registry<Alone>: no, no, yes);
assert_auto!(SwitchBoard: yes, yes, yes);
assert_auto!(DuplicateName: yes, yes, yes);
assert_auto!(UnknownName: yes, yes, yes);
assert_auto!(SwitchTextError: yes, yes, yes);
assert_auto!(SwitchTextProblem: yes, yes, yes);

/// A service whose future is this, and which has the auto traits of that.
#[cfg(feature = "tower")]
#[derive(Clone)]
#[allow(dead_code, reason = "only its type is looked at")]
struct Served<F>(F);

#[cfg(feature = "tower")]
impl<Q, T, E, F: std::future::Future<Output = Result<T, E>>> ::tower::Service<Q> for Served<F> {
    type Response = T;
    type Error = E;
    type Future = F;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), E>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Q) -> F {
        unreachable!("only its type is looked at")
    }
}

// Responses of HTTP.
#[cfg(feature = "http")]
mod http {
    use super::*;
    use fusebox_std::http::*;

    assert_auto!(deadline::DeadlineHeader: yes, yes, yes);
    assert_auto!(deadline::Incoming: yes, yes, yes);
    assert_auto!(deadline::DeadlineLayer: yes, yes, yes);
    assert_auto!(deadline::DeadlineService<Alone>: yes, no, yes);
    assert_auto!(deadline::SendDeadlineLayer: yes, yes, yes);
    assert_auto!(deadline::SendDeadlineService<Local>: no, no, yes);
    assert_auto!(WithDeadline<Fut<u8>>: yes, yes, no);
    assert_auto!(WithDeadline<Fut<Local>>: no, no, no);
    assert_auto!(ServerErrors: yes, yes, yes);
    assert_auto!(FailureStatus<Alone>: yes, no, yes);
    assert_auto!(RateLimitPolicy: yes, yes, yes);
    assert_auto!(HttpLayer<Alone>: yes, no, yes);
    assert_auto!(HttpService<Local>: no, no, yes);
    assert_auto!(HttpFuture<Fut<u8>>: yes, yes, yes);
    assert_auto!(HttpFuture<Pinned>: yes, yes, no);
    assert_auto!(AsSaid: yes, yes, yes);
    assert_auto!(ByGate: yes, yes, yes);
    assert_auto!(HttpLayer<Alone, ByGate>: yes, no, yes);
    assert_auto!(HttpFuture<Fut<u8>, ByGate>: yes, yes, yes);

    pub(super) type Plain = Served<Fut<::http::Response<String>>>;
    type Judge = ByHead<ServerErrors>;
    type Choose<G> = fn(&::http::Request<u8>) -> Result<G, Rejection>;

    assert_auto!(Head: yes, yes, yes);
    assert_auto!(ByHead<Alone>: yes, no, yes);
    assert_auto!(Same<Arc<Bulkhead>>: yes, yes, yes);
    assert_auto!(Same<Local>: no, no, yes);
    assert_auto!(BodyGateLayer<Same<Arc<Bulkhead>>, Judge>: yes, yes, yes);
    assert_auto!(BodyGateLayer<Alone, Judge>: yes, no, yes);
    assert_auto!(BodyGateService<Plain, Same<Arc<Bulkhead>>, Judge>: yes, yes, yes);
    assert_auto!(BodyGateService<Local, Same<Arc<Bulkhead>>, Judge>: no, no, yes);
    assert_auto!(BodyGateFuture<Plain, u8, Same<Arc<Bulkhead>>, Judge>: yes, yes, yes);
    assert_auto!(BodyGateFuture<Plain, u8, Choose<Rc<Bulkhead>>, Judge>: no, no, yes);
    assert_auto!(GatedBody<u8, Arc<Bulkhead>, Judge>: yes, yes, yes);
    assert_auto!(GatedBody<Alone, &'static CircuitBreaker, Judge>: yes, no, yes);
    assert_auto!(GatedBody<u8, Rc<Bulkhead>, Judge>: no, no, yes);
    assert_auto!(GatedBody<PhantomPinned, Arc<Bulkhead>, Judge>: yes, yes, no);
}

// Statuses of gRPC.
#[cfg(feature = "grpc")]
mod grpc {
    use super::http::Plain;
    use super::*;
    use fusebox_std::grpc::*;

    type Asked = ::http::Request<u8>;

    assert_auto!(Code: yes, yes, yes);
    assert_auto!(GrpcStatus: yes, yes, yes);
    assert_auto!(GrpcStatus<Alone>: yes, no, yes);
    assert_auto!(GrpcLayer<Alone>: yes, no, yes);
    assert_auto!(GrpcService<Local>: no, no, yes);
    assert_auto!(GrpcFuture<Fut<u8>>: yes, yes, yes);
    assert_auto!(GrpcFuture<Pinned>: yes, yes, no);
    assert_auto!(StreamDeadlineLayer: yes, yes, yes);
    assert_auto!(StreamDeadlineService<Alone>: yes, no, yes);
    assert_auto!(StreamDeadlineFuture<Plain, Asked>: yes, yes, no);
    assert_auto!(DeadlineBody<u8>: yes, yes, no);
    assert_auto!(DeadlineBody<Local>: no, no, no);
}

// Layers for tower.
#[cfg(feature = "tower")]
mod layers {
    use super::*;
    use fusebox_std::tower::*;

    type Plain = Served<Fut<u8>>;
    type Choose<G> = fn(&u8) -> Result<G, Rejection>;
    type Sent<S> = Sending<S, u8, ResendClones>;
    type SentThrough<P, S> = Call<P, Sent<S>>;
    type Other<T> = Answering<fn(Error<()>) -> Ready<Result<T, Error<()>>>>;
    type Fallen<F, T> = FallbackCall<F, T, WhenRejected, u8, ()>;

    assert_auto!(GateLayer<Arc<CircuitBreaker>>: yes, yes, yes);
    assert_auto!(GateLayer<Arc<CircuitBreaker>, Alone>: yes, no, yes);
    assert_auto!(GateService<Plain, Arc<Bulkhead>>: yes, yes, yes);
    assert_auto!(GateService<Local, Arc<Bulkhead>>: no, no, yes);
    assert_auto!(GateByLayer<Alone>: yes, no, yes);
    assert_auto!(GateByService<Plain, Choose<Arc<Bulkhead>>>: yes, yes, yes);
    assert_auto!(GateByFuture<Plain, u8, Choose<Arc<Bulkhead>>, Arc<Bulkhead>, ResultClassify>: yes, yes, yes);
    assert_auto!(GateByFuture<Plain, u8, Choose<Rc<Bulkhead>>, Rc<Bulkhead>, ResultClassify>: no, no, yes);
    assert_auto!(FallbackLayer<Alone>: yes, no, yes);
    assert_auto!(FallbackService<Plain, Other<u8>>: yes, yes, yes);
    assert_auto!(FallbackService<Local, Other<u8>>: no, no, yes);
    assert_auto!(Asked<Plain, u8>: yes, yes, yes);
    assert_auto!(Fallen<Fut<u8>, Other<u8>>: yes, yes, yes);
    assert_auto!(Fallen<Fut<u8>, Other<Local>>: no, no, yes);
    assert_auto!(Fallen<Pinned, Other<u8>>: yes, yes, no);
    assert_auto!(Fallen<Fut<u8>, Asking<Plain, ResendClones>>: yes, yes, yes);
    assert_auto!(PipelineLayer<Arc<Pipe>>: yes, yes, yes);
    assert_auto!(PipelineLayer<Rc<Pipe>>: no, no, yes);
    assert_auto!(PipelineService<Plain, Arc<Pipe>, ResendClones>: yes, yes, yes);
    assert_auto!(BoxErrorLayer: yes, yes, yes);
    assert_auto!(BoxErrorService<Alone>: yes, no, yes);
    assert_auto!(BoxErrorFuture<Fut<u8>>: yes, yes, yes);
    assert_auto!(Calling<Plain, u8>: yes, yes, yes);
    assert_auto!(Calling<Served<std::future::Pending<Result<u8, ()>>>, u8>: yes, yes, yes);
    assert_auto!(Sent<Plain>: yes, yes, yes);
    assert_auto!(Guard<Arc<Bulkhead>, Calling<Plain, u8>>: yes, yes, yes);
    assert_auto!(SentThrough<Arc<Pipe>, Plain>: yes, yes, no);
    assert_auto!(SentThrough<Rc<Pipe>, Plain>: no, no, no);
}

// Gates by key.
#[cfg(feature = "keyed")]
mod keyed {
    use super::*;
    use fusebox_std::{
        Keyed, KeyedBucket, KeyedBuckets, KeyedGate, KeyedSketch, KeyedSketchBucket, KeyedTaken,
        KeyedTokens,
    };

    assert_auto!(Keyed<u8, CircuitBreaker>: yes, yes, yes);
    assert_auto!(Keyed<Alone, CircuitBreaker>: yes, no, yes);
    assert_auto!(Keyed<u8, CircuitBreaker<Rc<StdClock>>>: no, no, yes);
    assert_auto!(KeyedGate<CircuitBreaker>: yes, yes, yes);
    assert_auto!(KeyedGate<CircuitBreaker<Rc<StdClock>>>: no, no, yes);
    assert_auto!(Permit<KeyedGate<Bulkhead>>: yes, yes, yes);
    assert_auto!(KeyedBuckets<u8>: yes, yes, yes);
    assert_auto!(KeyedBuckets<Alone>: yes, no, yes);
    assert_auto!(KeyedBuckets<u8, Rc<StdClock>>: no, no, yes);
    assert_auto!(KeyedTokens<'static, String, str>: yes, yes, yes);
    assert_auto!(KeyedTokens<'static, Alone>: no, no, yes);
    assert_auto!(KeyedTaken: yes, yes, yes);
    assert_auto!(KeyedBucket<Arc<KeyedBuckets<u8>>, u8>: yes, yes, yes);
    assert_auto!(KeyedBucket<Rc<KeyedBuckets<u8>>, u8>: no, no, yes);
    assert_auto!(KeyedSketchBucket<Arc<KeyedSketch<u8>>>: yes, yes, yes);
    assert_auto!(KeyedSketchBucket<Rc<KeyedSketch<u8>>>: no, no, yes);
    // Keys are not kept.
    assert_auto!(KeyedSketch<str>: yes, yes, yes);
    assert_auto!(KeyedSketch<Local>: yes, yes, yes);
    assert_auto!(KeyedSketch<u8, Rc<StdClock>>: no, no, yes);
}

// Layers by key.
#[cfg(all(feature = "keyed", feature = "tower"))]
mod by_key {
    use super::*;
    use fusebox_std::{KeyedBuckets, tower::ByKey};

    assert_auto!(ByKey<Arc<KeyedBuckets<u8>>, u8>: yes, yes, yes);
    assert_auto!(ByKey<Arc<KeyedBuckets<u8>>, Local>: no, no, yes);
    #[cfg(feature = "http")]
    assert_auto!(fusebox_std::http::key::Text: yes, yes, yes);
    #[cfg(feature = "http")]
    assert_auto!(fusebox_std::http::key::Peer<Alone>: yes, no, yes);
}

// What calls hold of them.
assert_auto!(BreakerToken: yes, yes, yes);
assert_auto!(BreakerToken<Ticks>: yes, yes, yes);
assert_auto!(BreakerToken<Ticks, Ticks>: yes, yes, yes);
assert_auto!(Taken: yes, yes, yes);
assert_auto!(TakenTokens: yes, yes, yes);
assert_auto!(CountedCall: yes, yes, yes);
assert_auto!(WarmedUp: yes, yes, yes);
assert_auto!(LogEntry: yes, yes, yes);
assert_auto!(LimitSnapshot: yes, yes, yes);
assert_auto!(Reservation<'static, StdClock>: yes, yes, yes);
assert_auto!(Reservation<'static, Rc<StdClock>>: no, no, yes);
assert_auto!(Lease<&'static TokenBucket, StdClock>: yes, no, yes);
assert_auto!(Lease<Arc<TokenBucket>, StdClock>: yes, no, yes);
assert_auto!(Lease<Rc<TokenBucket>, StdClock>: no, no, yes);
assert_auto!(Permit<&'static CircuitBreaker>: yes, yes, yes);
assert_auto!(Permit<Arc<Bulkhead>>: yes, yes, yes);
assert_auto!(Permit<Rc<Semaphore>>: no, no, yes);

// Policies.
assert_auto!(Delay: yes, yes, yes);
assert_auto!(DelayIter<Delay>: yes, yes, yes);
assert_auto!(RetryBudget<StdClock>: yes, yes, yes);
assert_auto!(Retry<Delay>: yes, yes, yes);
assert_auto!(Retry<Delay, RetryAll, &'static RetryBudget<StdClock>>: yes, yes, yes);
assert_auto!(Retry<Delay, RetryAll, Arc<RetryBudget<StdClock>>>: yes, yes, yes);
assert_auto!(Retry<Delay, Alone>: yes, no, yes);
assert_auto!(Hedge: yes, yes, yes);
assert_auto!(Hedge<3, Duration, RetryAll, Arc<RetryBudget<StdClock>>>: yes, yes, yes);
assert_auto!(Hedge<2, Local>: no, no, yes);
assert_auto!(Hedge<2, &'static AfterPercentile<TokioTimer>>: yes, yes, yes);
assert_auto!(AfterPercentile<TokioTimer, Arc<Timed>>: yes, yes, yes);
assert_auto!(AfterPercentile<TokioTimer, Rc<Timed>>: no, no, yes);
assert_auto!(Pipe: yes, yes, yes);
assert_auto!(Pipe<Arc<DeadlineGate<StdClock>>>: yes, yes, yes);
assert_auto!(Pipe<Rc<DeadlineGate<StdClock>>>: no, no, yes);

// Permits and futures of gates.
assert_auto!(Permit<&'static DeadlineGate<StdClock>>: yes, yes, yes);
assert_auto!(Permit<Rc<DeadlineGate<StdClock>>>: no, no, yes);
assert_auto!(Guard<&'static DeadlineGate<StdClock>, Fut<u8>>: yes, yes, yes);
assert_auto!(Guard<&'static DeadlineGate<StdClock>, Fut<Local>>: no, no, yes);
assert_auto!(Guard<&'static DeadlineGate<StdClock>, Pinned>: yes, yes, no);
assert_auto!(Guard<&'static CircuitBreaker, Fut<u8>>: yes, yes, yes);
assert_auto!(Guard<Arc<Bulkhead>, Fut<u8>>: yes, yes, yes);
assert_auto!(Guard<Rc<TokenBucket>, Fut<u8>>: no, no, yes);

// Waits. A place in a queue stays where it is, so what waits there without a timer may be moved.
assert_auto!(UntilReady<'static, StdClock, Consecutive, (), (), TokioTimer>: yes, yes, no);
assert_auto!(UntilReady<'static, StdClock, LastTime, Meter, Named<Alone>, TokioTimer>: no, no, no);
assert_auto!(UntilReady<'static, StdClock, LastCalls, (), (), &'static ManualClock>: yes, yes, yes);
assert_auto!(UntilReady<'static, Rc<StdClock>, Consecutive, (), (), TokioTimer>: no, no, no);
assert_auto!(AcquireTokens<'static, StdClock, TokioTimer>: yes, yes, no);
assert_auto!(AcquireTokens<'static, StdClock, &'static ManualClock>: yes, yes, yes);
assert_auto!(AcquireTokens<'static, Rc<StdClock>, TokioTimer>: no, no, no);
assert_auto!(Reserved<TokioSleep>: yes, yes, no);
assert_auto!(Reserved<ThreadSleep>: no, no, yes);
assert_auto!(Reserved<TokioSleep, WarmedUp>: yes, yes, no);
assert_auto!(Acquiring<&'static WarmUp, TokioTimer>: yes, yes, no);
assert_auto!(Acquiring<&'static WarmUp, &'static ManualClock>: yes, yes, yes);
assert_auto!(Acquiring<&'static WarmUp<Rc<StdClock>>, TokioTimer>: no, no, no);
assert_auto!(Acquiring<&'static WarmUp, ThreadTimer>: no, no, yes);
assert_auto!(EnteringOf<WarmUp>: yes, yes, no);
assert_auto!(Acquire<&'static Semaphore<Waiters>>: yes, yes, yes);
assert_auto!(Acquire<Arc<Semaphore<HeapQueue>>>: yes, yes, yes);
assert_auto!(Acquire<Rc<Semaphore<Waiters>>>: no, no, yes);
assert_auto!(AcquireBefore<&'static Bulkhead<Waiters>, TokioTimer>: yes, yes, no);
assert_auto!(AcquireBefore<Arc<Semaphore<Waiters>>, &'static ManualClock>: yes, yes, yes);
assert_auto!(AcquireBefore<Rc<Semaphore<Waiters>>, TokioTimer>: no, no, no);
assert_auto!(Queued<TokioSleep>: yes, yes, no);
assert_auto!(Queued<ManualSleep<'static>>: yes, yes, yes);
assert_auto!(WaitingAll<Taken, Queued<ManualSleep<'static>>, ()>: yes, yes, yes);
assert_auto!(WaitingAll<Ticks, (), Pinned>: yes, yes, no);
assert_auto!(EnteringOf<(&'static Bulkhead<Waiters>, TokenBucket)>: yes, yes, no);
assert_auto!(EnteringOf<(Immediate<CircuitBreaker>, Option<Immediate<()>>)>: yes, yes, yes);
assert_auto!(EnteringOf<(Rc<Bulkhead<Waiters>>, Immediate<()>)>: no, no, no);
assert_auto!(EnteringOf<Observed<Bulkhead<Waiters>, &'static dyn Observer>>: no, no, no);
assert_auto!(EnteringOf<CoDelQueue<'static, StdClock, &'static Bulkhead<Waiters>>>: yes, yes, no);
assert_auto!(Sojourn<()>: yes, yes, yes);
assert_auto!(Sojourn<Pinned>: yes, yes, no);
assert_auto!(Entering<Arc<Semaphore<Waiters>>, TokioTimer>: yes, yes, no);
assert_auto!(Entering<Rc<Semaphore<Waiters>>, TokioTimer>: no, no, no);
assert_auto!(Entering<&'static TokenBucket, &'static ManualClock>: yes, yes, yes);
assert_auto!(Entering<&'static TokenBucket, ThreadTimer>: no, no, yes);
assert_auto!(AcquireTokens<'static, StdClock, ThreadTimer>: no, no, yes);

// Timeouts, retries, pipelines. A sleep of tokio cannot be moved once it runs, so neither can they.
assert_auto!(WithTimeout<TokioTimer, Fut<u8>>: yes, yes, no);
assert_auto!(WithTimeout<TokioTimer, Fut<Local>>: no, no, no);
assert_auto!(WithTimeout<&'static ManualClock, Fut<u8>>: yes, yes, yes);
assert_auto!(RetryCall<TokioTimer, Retry<Delay>, Make<u8>>: yes, yes, no);
assert_auto!(RetryCall<TokioTimer, Retry<Delay>, Make<Local>>: no, no, no);
assert_auto!(RetryCall<TokioTimer, Retry<Delay>, Make<u8, Alone>>: yes, no, no);
assert_auto!(RetryCall<ThreadTimer, Retry<Delay>, Make<u8>>: no, no, yes);
assert_auto!(HedgeCall<TokioTimer, Hedge, Make<u8>>: yes, yes, no);
assert_auto!(HedgeCall<TokioTimer, &'static Hedge<5>, Make<Local>>: no, no, no);
assert_auto!(HedgeCall<TokioTimer, Hedge<2, Duration, RetryAll, Rc<()>>, Make<u8>>: no, no, no);
assert_auto!(HedgeCall<&'static ManualClock, Hedge<3>, Make<u8>>: yes, yes, yes);
assert_auto!(HedgedCall<&'static Bulkhead, Make<u8>>: yes, yes, no);
assert_auto!(HedgedCall<Rc<Bulkhead>, Make<u8>>: no, no, no);
assert_auto!(CallOf<(), (), Make<u8>>: yes, yes, no);
assert_auto!(CallOf<(), (), Make<Local>>: no, no, no);
assert_auto!(CallOf<Arc<()>, &'static (), Make<u8>>: yes, yes, no);
assert_auto!(CallOf<Rc<()>, (), Make<u8>>: no, no, no);
assert_auto!(CallOf<Limits, Checks<StdClock>, Make<u8>>: yes, yes, no);
assert_auto!(CallOf<Limits, Checks<Rc<StdClock>>, Make<u8>>: no, no, no);
assert_auto!(Call<Arc<Pipe<Limits, Checks<StdClock>>>, Make<u8>>: yes, yes, no);
assert_auto!(Call<Rc<Pipe>, Make<u8>>: no, no, no);
assert_auto!(MeteredCall<Counted<&'static Timed>>: yes, yes, no);
assert_auto!(MeteredCall<Counted<Rc<Timed>>>: no, no, no);

// Fallbacks: a chain is what its tiers are.
assert_auto!(First<Fut<u8>>: yes, yes, yes);
assert_auto!(First<Pinned>: yes, yes, no);
assert_auto!(FallingBack<First<Fut<u8>>, (), fn(()) -> Fut<u8>>: yes, yes, yes);
assert_auto!(FallingBack<First<Fut<Local>>, (), fn(()) -> Fut<Local>>: no, no, yes);
assert_auto!(FallingBack<First<Fut<u8>>, Alone, fn(()) -> Limited>: yes, no, no);
assert_auto!(OrValue<First<Fut<u8>>>: yes, yes, yes);
assert_auto!(OrValue<First<Limited>>: yes, yes, no);
assert_auto!(OrValue<First<Fut<Local>>>: no, no, yes);

/// What the core exports beside types.
const TRAITS: &[&str] = &[
    "AttemptPolicy",
    "Budget",
    "Classify",
    "Clock",
    "Count",
    "Counter",
    "Decide",
    "DecideValue",
    "Delays",
    "Fallback",
    "FallbackFuture",
    "Gate",
    "HedgeDelay",
    "HedgePolicy",
    "Idle",
    "Latencies",
    "LimitAlgorithm",
    "MeasuresLatency",
    "Metering",
    "Observer",
    "OnRetry",
    "Operation",
    "Parts",
    "Percentiles",
    "PermitSource",
    "PipelineMetering",
    "Random",
    "RetryPolicy",
    "Slots",
    "Timer",
    "WaitGate",
    "Window",
];

/// A type that is added later and forgotten here would not be looked at by anybody.
#[test]
fn the_table_has_every_type_of_the_core() {
    let exports = include_str!("../../core/src/lib.rs").split("pub use ").skip(1);
    let names = exports.flat_map(|list| {
        let (list, _) = list.split_once(';').expect("a whole statement");
        list.split(|c: char| !c.is_alphanumeric() && c != '_')
    });
    // Modules and functions are in lower case, constants in upper case.
    let types = names.filter(|name| {
        name.starts_with(char::is_uppercase)
            && name.contains(char::is_lowercase)
            && !TRAITS.contains(name)
    });
    let table = include_str!("auto_traits.rs").lines();
    let rows = table.filter(|line| line.starts_with("assert_auto!(") || line.starts_with("type "));
    let words: Vec<&str> = rows.flat_map(|row| row.split(|c: char| !c.is_alphanumeric())).collect();
    let missing: Vec<&str> = types.filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
