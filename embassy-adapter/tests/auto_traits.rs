//! What waits on embassy's timer may be spawned from an interrupt, shared and moved.
//!
//! That of the core alone is looked at in the std adapter's table.

use std::future::Ready;

use fusebox_embassy::prelude::*;
use fusebox_embassy::*;

const fn send_sync_unpin<T: Send + Sync + Unpin>() {}

type Waiters = Queue<4>;
type Gates = (&'static Bulkhead<Waiters>, Tokens<'static, EmbassyClock>);
type Fut = Ready<Result<u8, ()>>;
type Make = fn(Attempt) -> Fut;
type Policy = Retry<Backoff<&'static Rng>, RetryAll, &'static RetryBudget>;
type Pipe<C, R, A> = Pipeline<EmbassyTimer, C, R, A>;

const _: () = {
    send_sync_unpin::<EmbassyTimer>();
    send_sync_unpin::<EmbassySleep>();
    send_sync_unpin::<CircuitBreaker>();
    send_sync_unpin::<CircuitBreaker<EmbassyClock, (LastCalls, LastTime), Meter>>();
    send_sync_unpin::<CircuitBreaker<EmbassyClock, RampUp<EmbassyClock, LastTime>>>();
    send_sync_unpin::<TokenBucket>();
    send_sync_unpin::<RetryBudget>();
    send_sync_unpin::<UntilReady<'static, EmbassyClock, Consecutive, (), (), EmbassyTimer>>();
    send_sync_unpin::<AcquireTokens<'static, EmbassyClock, EmbassyTimer>>();
    send_sync_unpin::<AcquireBefore<&'static Semaphore<Waiters>, EmbassyTimer>>();
    send_sync_unpin::<AcquireBefore<&'static Bulkhead<Waiters>, &'static EmbassyTimer>>();
    send_sync_unpin::<WithTimeout<EmbassyTimer, Fut>>();
    send_sync_unpin::<Guard<&'static CircuitBreaker, WithTimeout<EmbassyTimer, Fut>>>();
    send_sync_unpin::<RetryCall<EmbassyTimer, Policy, Make>>();
    send_sync_unpin::<HedgeCall<EmbassyTimer, Hedge<3>, Make>>();
    send_sync_unpin::<Call<&'static Pipe<Gates, Hedge, Immediate<&'static CircuitBreaker>>, Make>>(
    );
    send_sync_unpin::<Pipe<Gates, Policy, Immediate<&'static CircuitBreaker>>>();
    send_sync_unpin::<Entering<&'static Gates, EmbassyTimer>>();
    send_sync_unpin::<Call<&'static Pipe<Gates, Policy, Immediate<&'static CircuitBreaker>>, Make>>(
    );
};
