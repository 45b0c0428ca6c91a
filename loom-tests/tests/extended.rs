//! A wrapping counter extended by its readers, under every interleaving.
//!
//! Of the orderings only the fence between the counter and the second look shows here. The others
//! keep the reading of a device in its place among the accesses to memory, and loom never moves an
//! access forward.

mod bounded;

use bounded::model;
use fusebox_core::{Clock, Counter, Extended, Ticks};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A counter of four ticks, and the time that it is of. Time is what all threads agree on, so every
/// access is a read-modify-write; but reading it orders nothing else.
#[derive(Clone)]
struct Hardware(Arc<AtomicUsize>);

impl Hardware {
    fn time(&self) -> u64 {
        self.0.fetch_add(0, Ordering::Relaxed) as u64
    }
}

impl Counter for Hardware {
    const TICKS_PER_SECOND: u64 = 1_000;
    const PERIOD: u64 = 4;

    fn read(&self) -> u32 {
        (self.time() % Self::PERIOD) as u32
    }
}

struct Device {
    hardware: Hardware,
    clock: Extended<Hardware>,
}

impl Device {
    fn new() -> Arc<Self> {
        let hardware = Hardware(Arc::new(AtomicUsize::new(0)));
        Arc::new(Self { clock: Extended::new(hardware.clone()), hardware })
    }

    /// Reads the clock, and asserts that it is neither early nor late.
    fn read(&self) {
        let before = self.hardware.time();
        let Ticks(now) = self.clock.now();
        let after = self.hardware.time();
        assert!((before..=after).contains(&now), "{now} is not from {before} to {after}");
    }

    /// Lets so many halves of the period pass, and reads the clock in each, as must be.
    fn run(&self, halves: u32) {
        for _ in 0..halves {
            // Release: the reading was made before the counter went on.
            self.hardware.0.fetch_add(2, Ordering::Release);
            self.read();
        }
    }
}

/// Race: a reader is stopped between the number of halves and the counter, while two halves pass.
/// Fails where it does not look at the number again, or not after the counter (without the fence,
/// or with the counter read first).
#[test]
fn a_stopped_reader_is_neither_early_nor_a_period_late() {
    model(|| {
        let device = Device::new();
        let reader = thread::spawn({
            let device = Arc::clone(&device);
            move || device.read()
        });
        device.run(3);
        reader.join().unwrap();
    });
}

/// Race: three readers find the same half begun. Fails where a half is counted by adding to the
/// number instead of a compare-and-swap from what was read: it is counted twice.
#[test]
fn a_half_is_counted_once() {
    model(|| {
        let device = Device::new();
        let readers = [(); 2].map(|()| {
            let device = Arc::clone(&device);
            thread::spawn(move || device.read())
        });
        device.run(1);
        for reader in readers {
            reader.join().unwrap();
        }
        device.run(1);
    });
}

/// Race: a reader is stopped just before it counts a half, while others go on by more than a
/// period. Fails where the half is counted by a store: the number goes back, and with it the clock.
#[test]
fn a_half_that_is_counted_late_changes_nothing() {
    model(|| {
        let device = Device::new();
        device.hardware.0.fetch_add(2, Ordering::Release);
        let reader = thread::spawn({
            let device = Arc::clone(&device);
            move || device.read()
        });
        device.read();
        device.run(2);
        reader.join().unwrap();
        device.read();
    });
}
