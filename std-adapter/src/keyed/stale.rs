//! How long ago something was used, without a clock reading per use.
//!
//! Time is counted in epochs, each at least half as long as the time after which an entry is stale.
//! A use notes the number of the epoch when it ends (until then nobody asks how long ago it was),
//! which costs two loads and, once per epoch, a store. Newcomers
//! and sweeps look at the clock, and begin the next epoch when it is time: one, however long nobody
//! came, as nobody knows in which part of that time the last uses were. So two whole epochs lie
//! between a use and the third epoch after it, and the time at least.
//!
//! Who read the clock before somebody else began an epoch may come after that: a reading from
//! before the present epoch begins none. As the count of milliseconds wraps, such a reading cannot
//! be told from one of 49 days later; up to [`LATEST`] it is taken for late. Should nobody have
//! come for just those 49 days, the next epoch begins so much later.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The epochs until an entry counts as long unused.
const LONG_AGO: u32 = 3;

/// How late a reading of the clock may be, in milliseconds: an hour.
const LATEST: u32 = 3_600_000;

/// On cache lines of its own: each use reads it, and what stands before it in an `Arc` is written
/// to for each entry that comes or goes. (Two, as they are fetched in pairs.)
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Epochs {
    start: Instant,
    /// The least length of an epoch, in milliseconds.
    length: AtomicU32,
    /// When the present one began, in milliseconds from the start, wrapping after 49 days.
    began: AtomicU32,
    number: AtomicU32,
}

impl Epochs {
    /// With `time` until an entry is stale, at most half of the wrap.
    pub(super) fn new(time: Duration) -> Self {
        let epochs = Self {
            start: Instant::now(),
            length: AtomicU32::new(0),
            began: AtomicU32::new(0),
            number: AtomicU32::new(0),
        };
        epochs.set_time(time);
        epochs
    }

    /// Changes the time until an entry is stale.
    pub(super) fn set_time(&self, time: Duration) {
        let half = u32::try_from(time.as_millis().div_ceil(2)).unwrap_or(u32::MAX);
        self.length.store(half.min(u32::MAX / 4), Ordering::Relaxed);
    }

    /// The number of the present epoch. Wraps, after which a few entries seem to be in use.
    #[inline]
    pub(super) fn now(&self) -> u32 {
        // Relaxed, as all accesses here: these are figures, and publish nothing. Who reads an old
        // one has come a little earlier.
        self.number.load(Ordering::Relaxed)
    }

    /// Notes a use.
    #[inline]
    pub(super) fn touch(&self, used: &AtomicU32) {
        let now = self.now();
        // Written only when it changes, as many may use the same entry.
        if used.load(Ordering::Relaxed) != now {
            used.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn is_long_ago(&self, used: u32) -> bool {
        self.now().wrapping_sub(used) >= LONG_AGO
    }

    /// Begins the next epoch if the present one is long enough.
    pub(super) fn advance(&self) {
        self.advance_at(self.start.elapsed());
    }

    fn advance_at(&self, elapsed: Duration) {
        let now = elapsed.as_millis() as u32;
        let began = self.began.load(Ordering::Relaxed);
        let (order, none) = (Ordering::Relaxed, Ordering::Relaxed);
        let since = now.wrapping_sub(began);
        let late = since > u32::MAX - LATEST;
        // One of those who come at once begins it.
        if !late
            && since >= self.length.load(Ordering::Relaxed)
            && self.began.compare_exchange(began, now, order, none).is_ok()
        {
            self.number.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_long_unused_after_the_time_and_never_earlier() {
        let second = Duration::from_secs(1);
        let epochs = Epochs::new(10 * second);
        for step in [second, 2 * second, 5 * second, 7 * second, 100 * second] {
            let epochs = Epochs::new(10 * second);
            let mut now = Duration::ZERO;
            for _ in 0..10 {
                let used = AtomicU32::new(u32::MAX);
                epochs.touch(&used);
                let at = now;
                while !epochs.is_long_ago(used.load(Ordering::Relaxed)) {
                    now += step;
                    epochs.advance_at(now);
                }
                assert!(now - at >= 10 * second, "after {:?} in steps of {step:?}", now - at);
                assert!(now - at <= 15 * second + 3 * step);
            }
        }
        // Nobody came for days: that says nothing about a use just before.
        epochs.advance_at(Duration::from_secs(400_000));
        assert!(!epochs.is_long_ago(0));
    }

    /// A reading that was late by a millisecond looked like one from 49 days later, and each of
    /// them began an epoch.
    #[test]
    fn late_readings_begin_no_epoch() {
        let epochs = Epochs::new(Duration::from_secs(600));
        epochs.advance_at(Duration::from_millis(300_002));
        let used = AtomicU32::new(u32::MAX);
        epochs.touch(&used);
        for late in [300_001, 300_000, 299_999, 0] {
            epochs.advance_at(Duration::from_millis(late));
        }
        assert_eq!(epochs.now(), used.into_inner(), "not even the next epoch");
    }

    #[test]
    fn after_a_pause_of_any_length_epochs_go_on() {
        for days in [13, 25, 37, 49, 50, 75] {
            let epochs = Epochs::new(Duration::from_secs(600));
            epochs.advance_at(Duration::from_secs(days * 86_400));
            assert_eq!(epochs.now(), 1, "after {days} days");
        }
    }

    #[test]
    fn the_clock_wraps_after_49_days() {
        let epochs = Epochs::new(Duration::from_secs(u64::MAX));
        let day = Duration::from_secs(86_400);
        for number in 1..100 {
            epochs.advance_at(13 * number * day);
            assert_eq!(epochs.now(), number);
        }
    }
}
