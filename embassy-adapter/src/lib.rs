//! fusebox for embassy: the clock and timer of its time driver around the `no_std` core. Nothing
//! allocates.
//!
//! The core is re-exported whole, so that this is the one crate to name. Types that need a clock
//! have [`EmbassyClock`] as their default here, and take another, such as a [`ManualClock`] in a
//! test, as a parameter.
//!
//! # Examples
//!
//! A sensor on an I2C bus: an attempt that takes longer than 20 ms is cut off, three are made at
//! most, and after five failures in a row the bus is left alone for a while.
//!
//! ```
//! use core::time::Duration;
//! use embassy_sync::{blocking_mutex::raw::NoopRawMutex, mutex::Mutex};
//! use embedded_hal_async::i2c::I2c;
//! use fusebox_embassy::prelude::*;
//! # use embedded_hal_async::i2c::{ErrorKind, ErrorType, Operation};
//! #
//! # struct Bus;
//! # impl ErrorType for Bus { type Error = ErrorKind; }
//! # impl I2c for Bus {
//! #     async fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
//! #         for operation in operations {
//! #             if let Operation::Read(buffer) = operation { buffer.fill(21) }
//! #         }
//! #         Ok(())
//! #     }
//! # }
//! # static SHOWN: core::sync::atomic::AtomicI8 = core::sync::atomic::AtomicI8::new(0);
//! # fn show(celsius: i8) { SHOWN.store(celsius, core::sync::atomic::Ordering::Relaxed) }
//! # fn show_error(why: &Error<ErrorKind>) { panic!("{why}") }
//!
//! // In place from the start, for each task and interrupt handler that uses the sensor.
//! static SENSOR: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), EmbassyClock);
//!
//! #[embassy_executor::task]
//! async fn thermometer(bus: Bus, seed: u64) {
//!     // An attempt holds the bus for as long as it runs.
//!     let bus: Mutex<NoopRawMutex, Bus> = Mutex::new(bus);
//!     let rng = Rng::from_seed(seed);
//!     let backoff = Backoff::exponential(Duration::from_millis(10)).jitter(Jitter::Full, &rng);
//!     let pipeline = Pipeline::new(EmbassyTimer)
//!         .retry(Retry::new(backoff).max_attempts(3))
//!         .per_attempt(&SENSOR)
//!         .attempt_timeout(Duration::from_millis(20));
//!
//!     loop {
//!         match pipeline.call(|_| async { celsius(&mut *bus.lock().await).await }).await {
//!             Ok(celsius) => show(celsius),
//!             // Timed out, refused by the breaker, or what the bus said.
//!             Err(why) => show_error(&why),
//!         }
//!         embassy_time::Timer::after_secs(1).await;
//!     }
//! }
//!
//! async fn celsius<B: I2c>(bus: &mut B) -> Result<i8, B::Error> {
//!     let mut degrees = [0];
//!     bus.write_read(0x48, &[0], &mut degrees).await?;
//!     Ok(i8::from_be_bytes(degrees))
//! }
//! #
//! # let executor = Box::leak(Box::new(embassy_executor::Executor::new()));
//! # executor.run_until(
//! #     |spawner| spawner.spawn(thermometer(Bus, 7).unwrap()),
//! #     || SHOWN.load(core::sync::atomic::Ordering::Relaxed) == 21,
//! # );
//! ```
//!
//! The example `sensor` is this one with a wire that breaks and is mended.
//!
//! The operation of a retry or a pipeline is called once for each attempt. Its futures may share
//! what is outside of the closure, but none may have it for itself: so what takes `&mut self`, as
//! most drivers do, goes into a mutex, or is made by the closure, such as an `I2cDevice` of
//! `embassy-embedded-hal` on a shared bus. [`Timeout::run`] and [`Gate::guard`] take a single
//! future, which may borrow whatever it likes.
//!
//! An attempt that is cut off is dropped; what becomes of a transfer then is for its HAL to say.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `alloc` | `Box`, `Rc` and `Arc` stand for what they hold, and wait queues whose length is chosen at run time, as in the core |
//! | `defmt` | `defmt::Format` on every plain value |
//! | `portable-atomic-critical-section` | compare-and-swap from a `critical-section` implementation, where the target has none |
//! | `portable-atomic-unsafe-assume-single-core` | compare-and-swap by masking interrupts, where the target has none and there is one core |
//!
//! For Cortex-M0 and RV32IMC, choose one of the last two; [the core](fusebox_core#targets) says
//! which targets need them.
//!
//! # Time
//!
//! The clock is embassy's time driver, in its ticks. This crate chooses neither: the HAL brings the
//! driver, and with it, or by a `tick-hz` feature of `embassy-time`, the rate. Durations are
//! rounded up to a tick once, in constructors, and calls work on ticks. As with embassy's own
//! timers, the first tick of a wait is the one that has begun, so that it is short by a part of it.
//!
//! Settings take the [`Duration`](core::time::Duration) of the core library. [`core_duration`]
//! makes one of embassy's, and [`ticks_at`] makes an instant of embassy's a [`Deadline`].
//!
//! Waits go through the driver as those of `embassy-time` do: with the queue that is part of the
//! executor they work in embassy's tasks, with its generic queue under any executor. What does not
//! wait, such as [`Gate::permit`] and [`Gate::call`], works in interrupt handlers too, on the same
//! statics.
//!
//! # Clocks that go wrong
//!
//! A driver must count 64 bits and never step back. One that misses an overflow of its hardware
//! breaks that, and so does a [`Clock`] of your own over a counter of 32 bits. Nothing panics then,
//! and no permit is lost or handed out twice. As for the rest:
//!
//! | the clock | buckets, budgets and circuits | waits that had begun |
//! |---|---|---|
//! | stands still | stay as they are: an empty bucket empty, an open circuit open | go on until it moves |
//! | steps back, by at most their `max_lateness` (a second, unless told otherwise) | keep to their limits, and take longer by the step | end later by the step |
//! | steps back further | may begin anew, a bucket full and an open circuit with a probe; or refuse for longer, by `max_lateness` at most (of a bucket, and its `max_wait`) | end later by the step |
//! | wraps at 32 bits | the same, at each wrap | never end, where their end lies beyond the wrap |
//!
//! So a narrow counter is to be extended to 64 bits before it is a [`Clock`], as embassy's drivers
//! extend theirs.
//!
//! # Randomness
//!
//! Jitter is drawn from what you give it; there is no default seed, or all devices of a kind would
//! "jitter" in step. A board with a random number generator seeds an [`Rng`] from it once and hands
//! it to its tasks:
//!
//! ```
//! use core::time::Duration;
//! use embassy_sync::once_lock::OnceLock;
//! use fusebox_embassy::prelude::*;
//!
//! static RNG: OnceLock<Rng> = OnceLock::new();
//!
//! # struct Trng;
//! # impl Trng { fn next_u64(&mut self) -> u64 { 7 } }
//! // Once, with the generator of the HAL.
//! fn seed(trng: &mut Trng) -> &'static Rng {
//!     RNG.get_or_init(|| Rng::from_seed(trng.next_u64()))
//! }
//!
//! // In each task that needs one.
//! fn backoff(rng: &'static Rng) -> Backoff<&'static Rng> {
//!     Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::Full, rng)
//! }
//! # assert!(Retry::new(backoff(seed(&mut Trng))).attempts() > 1);
//! ```
//!
//! One without seeds it from what differs between devices, such as the serial number of the chip,
//! and between starts, such as noise of an analog input or a count of starts in flash.
#![no_std]
#![forbid(unsafe_code)]

mod convert;
pub mod prelude;
mod timer;

pub use fusebox_core::*;

// What is named here takes precedence over the names of the core.

pub use convert::{core_duration, embassy_duration, instant_at, ticks_at};
pub use timer::{EmbassySleep, EmbassyTimer, EmbassyTimer as EmbassyClock};

/// The core's [`CircuitBreaker`](fusebox_core::CircuitBreaker), on [`EmbassyClock`] unless told
/// otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_embassy::prelude::*;
///
/// static RADIO: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), EmbassyClock);
///
/// let answer = RADIO.call(|| Ok::<_, ()>(7));
/// assert_eq!(answer, Ok(7));
/// ```
///
/// In a test, on a clock that moves when told to:
///
/// ```
/// use core::time::Duration;
/// use fusebox_embassy::prelude::*;
///
/// static CLOCK: ManualClock = ManualClock::new();
/// static RADIO: CircuitBreaker<&ManualClock> =
///     CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
///
/// RADIO.trip();
/// assert!(RADIO.permit().is_err());
/// CLOCK.advance(Duration::from_secs(30));
/// assert!(RADIO.permit().is_ok());
/// ```
pub type CircuitBreaker<C = EmbassyClock, W = Consecutive, M = (), O = ()> =
    fusebox_core::CircuitBreaker<C, W, M, O>;

/// The core's [`LastCalls`](fusebox_core::LastCalls), on [`EmbassyClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_embassy::prelude::*;
///
/// static RADIO: CircuitBreaker<EmbassyClock, LastCalls> = CircuitBreaker::with_window(
///     BreakerConfig::standard(),
///     LastCalls::new(100, Rates::failures(Ratio::percent(50)).minimum_calls(20)),
///     EmbassyClock,
/// );
/// assert!(RADIO.permit().is_ok());
/// ```
pub type LastCalls<C = EmbassyClock, const B: usize = 10> = fusebox_core::LastCalls<C, B>;

/// The core's [`LastTime`](fusebox_core::LastTime), on [`EmbassyClock`] unless told otherwise.
pub type LastTime<C = EmbassyClock, const B: usize = 10> = fusebox_core::LastTime<C, B>;

/// The core's [`RampUp`](fusebox_core::RampUp), on [`EmbassyClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_embassy::prelude::*;
///
/// static RADIO: CircuitBreaker<EmbassyClock, RampUp> = CircuitBreaker::with_window(
///     BreakerConfig::standard(),
///     RampUp::new(Ramp::linear(Ratio::percent(10), Duration::from_secs(60))),
///     EmbassyClock,
/// );
/// assert!(RADIO.permit().is_ok());
/// ```
pub type RampUp<C = EmbassyClock, W = Consecutive> = fusebox_core::RampUp<C, W>;

/// The core's [`TokenBucket`](fusebox_core::TokenBucket), on [`EmbassyClock`] unless told
/// otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_embassy::prelude::*;
///
/// // The air is free for one packet in a hundred.
/// static PACKETS: TokenBucket = TokenBucket::new(BucketConfig::per_minute(6).burst(2), EmbassyClock);
/// assert!(PACKETS.try_acquire(2).is_ok());
/// assert!(PACKETS.try_acquire(1).is_err());
/// ```
pub type TokenBucket<C = EmbassyClock> = fusebox_core::TokenBucket<C>;

/// The core's [`LeakyBucket`](fusebox_core::LeakyBucket), on [`EmbassyClock`] unless told
/// otherwise.
pub type LeakyBucket<C = EmbassyClock> = fusebox_core::LeakyBucket<C>;

/// The core's [`SlidingLog`](fusebox_core::SlidingLog), on [`EmbassyClock`] unless told otherwise.
pub type SlidingLog<const N: usize, C = EmbassyClock> = fusebox_core::SlidingLog<N, C>;

/// The core's [`SlidingWindowCounter`](fusebox_core::SlidingWindowCounter), on [`EmbassyClock`]
/// unless told otherwise.
pub type SlidingWindowCounter<C = EmbassyClock> = fusebox_core::SlidingWindowCounter<C>;

/// The core's [`WarmUp`](fusebox_core::WarmUp), on [`EmbassyClock`] unless told otherwise.
pub type WarmUp<C = EmbassyClock> = fusebox_core::WarmUp<C>;

/// The core's [`RetryBudget`](fusebox_core::RetryBudget), on [`EmbassyClock`] unless told
/// otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_embassy::prelude::*;
///
/// // One retry for ten calls, and one a second whatever happens.
/// static BUDGET: RetryBudget =
///     RetryBudget::new(BudgetConfig::new(Ratio::percent(10)).floor_per_second(1), EmbassyClock);
/// assert!(BUDGET.try_withdraw().is_ok());
/// ```
pub type RetryBudget<C = EmbassyClock> = fusebox_core::RetryBudget<C>;
