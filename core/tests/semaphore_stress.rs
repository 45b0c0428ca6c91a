//! The semaphore under real threads: nobody lost, nothing leaked, never too many at once.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use fusebox_core::{Queue, Reason, Semaphore};

const TOTAL: u32 = 3;
const THREADS: u32 = 4;
const ROUNDS: u32 = 4_000;

/// Polls `wait` so many times and then gives it up.
async fn poll_a_few_times<F: Future>(wait: F, times: u32) -> Option<F::Output> {
    let mut wait = pin!(wait);
    let mut left = times;
    poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

#[test]
fn permits_are_conserved_and_nobody_sleeps_for_ever() {
    // One place fewer than there are threads, so that the queue is full at times.
    static POOL: Semaphore<Queue<3>> = Semaphore::new(TOTAL);
    static OUT: AtomicU32 = AtomicU32::new(0);

    fn work(permits: u32) {
        let out = OUT.fetch_add(permits, Ordering::Relaxed) + permits;
        assert!(out <= TOTAL, "{out} permits are out");
        if out == TOTAL {
            thread::yield_now();
        }
        OUT.fetch_sub(permits, Ordering::Relaxed);
    }

    let served: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut served = 0;
                    for round in 0..ROUNDS {
                        let n = 1 + (round + thread) % TOTAL;
                        let answer = match (round / 3 + thread) % 4 {
                            0 => Some(POOL.try_acquire_many(n)),
                            1 => pollster::block_on(poll_a_few_times(
                                POOL.acquire_many(n),
                                round % 3,
                            )),
                            _ => Some(pollster::block_on(POOL.acquire_many(n))),
                        };
                        match answer {
                            Some(Ok(permit)) => {
                                work(n);
                                served += 1;
                                drop(permit);
                            }
                            Some(Err(rejection)) => assert!(matches!(
                                rejection.reason(),
                                Reason::BulkheadFull | Reason::QueueFull
                            )),
                            None => {}
                        }
                    }
                    served
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(served > THREADS, "hardly anybody was served: {served}");
    assert_eq!((POOL.available(), POOL.waiting()), (TOTAL, 0));
}
