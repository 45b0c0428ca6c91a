//! A thermometer on an I2C bus, whose wire breaks and is mended.
//!
//! `cargo run -p fusebox-embassy --example sensor`
//!
//! The task is what runs on a board, unchanged. What stands for the board is below it: a bus, and a
//! timer that lets time pass as fast as the host can, so that every run prints the same.

use core::time::Duration;

use board::Bus;
use embassy_executor::Spawner;
use embassy_sync::{blocking_mutex::raw::NoopRawMutex, mutex::Mutex};
use embassy_time::{Instant, Ticker, Timer};
use embedded_hal_async::i2c::I2c;
use fusebox_embassy::prelude::*;

/// For every task that uses the sensor, and for interrupt handlers.
static SENSOR: CircuitBreaker = CircuitBreaker::new(
    BreakerConfig::standard().consecutive_failures(4).open_for(Duration::from_secs(2)),
    EmbassyClock,
);

#[embassy_executor::task]
async fn thermometer(bus: Bus, seed: u64) {
    // An attempt holds the bus for as long as it runs. This task has it for itself, so a mutex that
    // does nothing about interrupts will do.
    let bus: Mutex<NoopRawMutex, Bus> = Mutex::new(bus);
    let rng = Rng::from_seed(seed);
    let backoff = Backoff::exponential(Duration::from_millis(10)).jitter(Jitter::Full, &rng);
    let pipeline = Pipeline::new(EmbassyTimer)
        .retry(Retry::new(backoff).max_attempts(2))
        .per_attempt(&SENSOR)
        .attempt_timeout(Duration::from_millis(20));

    let mut half_seconds = Ticker::every(embassy_time::Duration::from_millis(500));
    let mut cached = (0, Instant::MIN);
    loop {
        let now = Instant::now();
        let reading = pipeline.call(|_| async { celsius(&mut *bus.lock().await).await }).await;
        print!("{:>4} ms: ", now.as_millis());
        match reading {
            Ok(celsius) => {
                cached = (celsius, now);
                println!("{celsius} °C");
            }
            Err(why) => {
                let (celsius, then) = cached;
                println!("{celsius} °C of {} ms ago ({why})", (now - then).as_millis());
            }
        }
        half_seconds.next().await;
    }
}

/// The first of the two bytes of a sensor like the LM75: whole degrees.
async fn celsius<B: I2c>(bus: &mut B) -> Result<i8, B::Error> {
    let mut degrees = [0];
    bus.write_read(0x48, &[0], &mut degrees).await?;
    Ok(i8::from_be_bytes(degrees))
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    spawner.spawn(board::timer().expect("spawned once"));
    // On a board: a number from its random generator, or its serial number.
    let seed = 7;
    spawner.spawn(thermometer(Bus, seed).expect("spawned once"));
    Timer::after_secs(8).await;
    std::process::exit(0);
}

/// What a board and its HAL have.
mod board {
    use core::future::pending;

    use embassy_futures::yield_now;
    use embassy_time::{Duration, Instant, MockDriver};
    use embedded_hal_async::i2c::{ErrorKind, ErrorType, I2c, Operation};

    pub(crate) struct Bus;

    impl ErrorType for Bus {
        type Error = ErrorKind;
    }

    impl I2c for Bus {
        async fn transaction(
            &mut self,
            _address: u8,
            operations: &mut [Operation<'_>],
        ) -> Result<(), ErrorKind> {
            let second = Instant::now().as_secs() as u8;
            if (2..6).contains(&second) {
                return pending().await; // The wire is broken: nobody answers.
            }
            for operation in operations {
                if let Operation::Read(buffer) = operation {
                    buffer.fill(20 + second);
                }
            }
            Ok(())
        }
    }

    /// A millisecond passes whenever each task that can run has had its turn.
    #[embassy_executor::task]
    pub(crate) async fn timer() {
        loop {
            MockDriver::get().advance(Duration::from_millis(1));
            yield_now().await;
        }
    }
}
