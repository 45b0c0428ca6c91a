//! Bug 25: what becomes of an attempt that lost.

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{Attempt, Hedge, ManualClock};

/// Cause: attempts ran in tasks of their own, and the ones that lost were left running
/// (tower-resilience#369): each hedged call went on loading the service that was slow, and held its
/// connection, for as long as the slowest attempt took.
#[test]
pub(crate) fn an_attempt_that_lost_is_gone_before_the_answer_is_there() {
    struct Connection<'a>(&'a Cell<u32>);
    impl Drop for Connection<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let (clock, open) = (ManualClock::<1000>::new(), Cell::new(0));
    let request = |attempt: Attempt| {
        open.set(open.get() + 1);
        let connection = Connection(&open);
        async move {
            if attempt.number < 3 {
                pending::<()>().await;
            }
            drop(connection);
            Ok::<_, ()>(attempt.number)
        }
    };
    let hedge = Hedge::idempotent(Duration::from_millis(10)).max_attempts::<3>();
    let mut call = pin!(hedge.call(&clock, request));
    let mut context = Context::from_waker(Waker::noop());
    for running in 1..=2 {
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert_eq!(open.get(), running);
        clock.advance(Duration::from_millis(10));
    }
    assert_eq!(call.as_mut().poll(&mut context), Poll::Ready(Ok(3)));
    assert_eq!(open.get(), 0, "while the call itself is still there");
}
