//! Time for machines that are slower than their clocks.

use fusebox_core::{Clock, Ticks, Timer};

/// The time of `T`, in which a second lasts eight of them.
///
/// A machine that makes four million instructions per second (see `-icount` in
/// `.cargo/config.toml`) does too little in one of its own to ask for more than a storm's bucket
/// has.
#[derive(Clone, Copy, Debug)]
pub struct Slowed<T>(pub T);

impl<T: Clock> Clock for Slowed<T> {
    const TICKS_PER_SECOND: u64 = T::TICKS_PER_SECOND * 8;

    fn now(&self) -> Ticks {
        self.0.now()
    }
}

impl<T: Timer> Timer for Slowed<T> {
    type Sleep = T::Sleep;

    fn sleep_until(&self, at: Ticks) -> T::Sleep {
        self.0.sleep_until(at)
    }
}
