//! Models of the pipeline's meter. What it shares with the breaker's is in `meter.rs`.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::race;
use core::future::{Future, Pending, pending, ready};
use core::pin::pin;
use core::task::{Context, Waker};
use fusebox_core::{Call, Clock, Deadline, Operation, Pipeline, PipelineMeter, Ticks, Timer};
use loom::sync::Arc;

/// A timer that stands still.
#[derive(Clone, Copy, Debug)]
struct Still;

impl Clock for Still {
    const TICKS_PER_SECOND: u64 = 1;

    fn now(&self) -> Ticks {
        Ticks::ZERO
    }
}

impl Timer for Still {
    type Sleep = Pending<()>;

    fn sleep_until(&self, _at: Ticks) -> Self::Sleep {
        pending()
    }
}

/// Makes a call that is done at its first poll.
fn call(meter: &PipelineMeter<Still>, operation: impl Operation<Value = (), Error = ()>) {
    let pipeline = Pipeline::new(Still).metered(meter);
    let call = pin!(Call::new(&pipeline, Deadline::NEVER, operation));
    assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn every_call_is_counted() {
    // Race: two calls through one meter. Both are counted, as what they were, and neither is left
    // running. Fails when `count` loads and stores.
    model(|| {
        let meter = Arc::new(PipelineMeter::new(Still));
        race(
            &meter,
            |meter| call(meter, |_| ready(Ok(()))),
            |meter| call(meter, |_| ready(Err(()))),
        );
        let now = meter.snapshot();
        assert_eq!((now.calls, now.running, now.attempts), (2, 0, 2));
        assert_eq!((now.successes, now.failures), (1, 1));
    });
}

#[test]
fn no_more_run_than_have_begun() {
    // Race: a call comes and goes while the counts are read. It is running, or it is not; where the
    // count of those that began is read from before it, and that of those that ended from after,
    // that makes none, not 2^64 - 1. Fails when `outstanding` does not look for that.
    model(|| {
        let meter = Arc::new(PipelineMeter::new(Still));
        let ((), now) =
            race(&meter, |meter| call(meter, |_| ready(Ok(()))), |meter| meter.snapshot());
        assert!(now.running <= 1, "{now:?}");
        assert!(now.successes <= 1 && now.failures == 0, "{now:?}");
        assert_eq!(meter.snapshot().running, 0);
    });
}
