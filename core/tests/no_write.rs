//! What only reads must work in memory that cannot be written.
//!
//! A healthy breaker is shared by all cores; a write per call would move its cache line from one to
//! the next each time. "Writes nothing" is shown the hard way: the breaker is placed in a page, the
//! page is made read-only, and any store or read-modify-write, even one that would change no bit,
//! kills the process. That the page does kill is shown by a child process that reports a failure.
#![cfg(target_os = "linux")]

use std::marker::PhantomData;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, ManualClock, Outcome};
use memmap2::{Mmap, MmapMut};

/// Set in the child that is to die.
const CHILD: &str = "FUSEBOX_WRITE_TO_READ_ONLY_PAGE";
/// The number of the signal that a forbidden write raises.
const SIGSEGV: i32 = 11;

/// A value in a page of its own that nobody can write to.
struct ReadOnly<T> {
    page: Mmap,
    value: PhantomData<T>,
}

impl<T: Sync> ReadOnly<T> {
    fn new(value: T) -> Self {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= 4096) };
        let mut page = MmapMut::map_anon(size_of::<T>()).expect("a page");
        // SAFETY: the mapping is writable, at least as large as a `T`, and aligned to a page.
        unsafe { page.as_mut_ptr().cast::<T>().write(value) };
        Self { page: page.make_read_only().expect("mprotect"), value: PhantomData }
    }

    fn get(&self) -> &T {
        // SAFETY: `new` wrote a `T` there, which lives as long as the mapping.
        unsafe { &*self.page.as_ptr().cast::<T>() }
    }
}

#[test]
fn a_closed_clean_breaker_writes_nothing() {
    let clock: ManualClock = ManualClock::new();
    let page = ReadOnly::new(CircuitBreaker::new(BreakerConfig::standard(), &clock));
    let breaker = page.get();
    for _ in 0..1000 {
        breaker.permit().expect("closed").success();
        assert_eq!(breaker.call(|| Ok::<_, ()>(1)), Ok(1));
        assert_eq!(pollster::block_on(breaker.guard(async { Ok::<_, ()>(2) })), Ok(2));
        breaker.permit().expect("closed").finish(Outcome::Ignored);
        drop(breaker.permit().expect("closed"));
    }
}

/// The proof that the test above can fail.
#[test]
fn a_failure_writes_and_dies_of_it() {
    if std::env::var_os(CHILD).is_some() {
        let clock: ManualClock = ManualClock::new();
        let page = ReadOnly::new(CircuitBreaker::new(BreakerConfig::standard(), &clock));
        page.get().permit().expect("closed").failure();
        unreachable!("a failure was written to a page that cannot be written");
    }
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "a_failure_writes_and_dies_of_it"])
        .env(CHILD, "1")
        .output()
        .expect("the child")
        .status;
    assert_eq!(status.signal(), Some(SIGSEGV), "{status}");
}
