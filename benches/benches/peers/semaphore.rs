//! Semaphores: a permit taken and given back, and one handed to a task that waits.
//!
//! 64 permits. fusebox's is measured without a queue and with one of 16, bounded as embassy's is.
//! embassy's semaphores are one mutex around plain fields, here the one that works between threads:
//! on a server that is `critical-section`'s global lock, which is not what embassy is made for.
//! tokio's, async-lock's and the queue of 16 wake the tasks that wait.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::semaphore::{FairSemaphore, GreedySemaphore, Semaphore as _};
use fusebox_std::{Queue, Semaphore};

use crate::rows::{Rows, limit};

const PERMITS: usize = 64;

pub(crate) fn rows(rows: &mut impl Rows) {
    rows.group("semaphore, permit and release");
    let semaphore = Semaphore::<Queue<0>>::new(PERMITS as u32);
    rows.row("us, no queue", true, || || black_box(&semaphore).try_acquire().is_ok());
    let semaphore = Semaphore::<Queue<16>>::new(PERMITS as u32);
    rows.row("us, queue of 16", true, || || black_box(&semaphore).try_acquire().is_ok());
    let peer = tokio::sync::Semaphore::new(PERMITS);
    rows.row("tokio", true, || || black_box(&peer).try_acquire().is_ok());
    let peer = async_lock::Semaphore::new(PERMITS);
    rows.row("async-lock", true, || || black_box(&peer).try_acquire().is_some());
    let peer = GreedySemaphore::<CriticalSectionRawMutex>::new(PERMITS);
    rows.row("embassy-sync", true, || || black_box(&peer).try_acquire(1).is_some());
    let word = AtomicU64::new(0);
    limit(rows, "two read-modify-writes", || {
        || {
            black_box(&word).fetch_sub(1, Ordering::Acquire);
            black_box(&word).fetch_add(1, Ordering::Release)
        }
    });
}

/// A task waits for the only permit, its holder gives it back, and the task has it. By one thread
/// that polls both, as whoever parks and wakes threads measures the kernel.
pub(crate) fn hand_over(rows: &mut impl Rows) {
    rows.group("semaphore, handed to a task that waits");
    let semaphore = Semaphore::<Queue<16>>::new(1);
    rows.row("us, queue of 16", true, || {
        || {
            let held = black_box(&semaphore).try_acquire();
            waits_until(semaphore.acquire(), || drop(held))
        }
    });
    let peer = tokio::sync::Semaphore::new(1);
    rows.row("tokio", true, || {
        || {
            let held = black_box(&peer).try_acquire();
            waits_until(peer.acquire(), || drop(held))
        }
    });
    let peer = async_lock::Semaphore::new(1);
    rows.row("async-lock", true, || {
        || {
            let held = black_box(&peer).try_acquire();
            waits_until(peer.acquire(), || drop(held))
        }
    });
    let peer = FairSemaphore::<CriticalSectionRawMutex, 16>::new(1);
    rows.row("embassy-sync", true, || {
        || {
            let held = black_box(&peer).try_acquire(1);
            waits_until(peer.acquire(1), || drop(held))
        }
    });
    let word = AtomicU64::new(0);
    // Taken, queued up for, handed over, given back.
    limit(rows, "four read-modify-writes", || {
        || {
            black_box(&word).fetch_sub(1, Ordering::Acquire);
            black_box(&word).fetch_add(2, Ordering::AcqRel);
            black_box(&word).fetch_sub(2, Ordering::AcqRel);
            black_box(&word).fetch_add(1, Ordering::Release)
        }
    });
}

/// Whether the future was pending before `release`, and ready after it.
#[inline(always)]
fn waits_until(future: impl Future, release: impl FnOnce()) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let waits = future.as_mut().poll(&mut context).is_pending();
    release();
    waits && future.as_mut().poll(&mut context).is_ready()
}
