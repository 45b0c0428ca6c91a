//! The clock and timer themselves, on embassy's mock driver.

mod mock;

use std::future::pending;
use std::pin::pin;

use embassy_futures::join::join;
use embassy_time::{Instant, TICK_HZ};
use fusebox_embassy::prelude::*;
use fusebox_embassy::{EmbassySleep, ticks_at};
use mock::{Alarm, Time, ms};

/// For statics: nothing to set up, nothing to hold, no cost.
static TIMER: EmbassyTimer = EmbassyTimer;
const _: () = assert!(size_of::<EmbassyTimer>() == 0 && size_of::<EmbassySleep>() == 8);

#[test]
fn the_clock_is_that_of_the_driver() {
    let time = Time::begin();
    assert_eq!(EmbassyClock::TICKS_PER_SECOND, TICK_HZ);
    assert_eq!(TIMER.now(), Ticks::ZERO);
    time.advance_ticks(12_345);
    assert_eq!((TIMER.now(), ticks_at(Instant::now())), (Ticks(12_345), Ticks(12_345)));
    time.jump(Ticks::MAX);
    assert_eq!(EmbassyClock.now(), Ticks::MAX);
}

#[test]
fn a_sleep_ends_on_its_tick_and_not_before() {
    let (time, alarm) = (Time::begin(), Alarm::new());
    let mut sleep = pin!(TIMER.sleep_until(Ticks(1_000)));
    assert!(alarm.poll(sleep.as_mut()).is_pending());
    time.advance_ticks(999);
    assert_eq!(alarm.rung(), 0);
    assert!(alarm.poll(sleep.as_mut()).is_pending(), "polled for another reason");
    time.advance_ticks(1);
    assert_eq!(alarm.rung(), 1);
    assert!(alarm.poll(sleep).is_ready());
}

/// embassy's own timer is pending once all the same.
#[test]
fn a_sleep_whose_instant_has_passed_is_ready_at_once() {
    let (time, alarm) = (Time::begin(), Alarm::new());
    time.advance_ticks(5);
    for at in [Ticks::ZERO, Ticks(4), Ticks(5)] {
        assert!(alarm.poll(pin!(TIMER.sleep_until(at))).is_ready());
    }
    assert_eq!(alarm.rung(), 0);
}

#[test]
fn a_sleep_may_be_as_long_as_the_clock_can_count() {
    let (time, alarm) = (Time::begin(), Alarm::new());
    let mut last = pin!(TIMER.sleep_until(Ticks(u64::MAX - 1)));
    assert!(alarm.poll(last.as_mut()).is_pending());
    time.advance_ticks(u64::MAX - 2);
    assert_eq!(alarm.rung(), 0);
    time.advance_ticks(1);
    assert_eq!(alarm.rung(), 1);
    assert!(alarm.poll(last).is_ready());
}

/// The driver's queue has eight places, and makes another by waking somebody.
#[test]
fn a_sleep_without_an_end_takes_no_place_in_the_drivers_queue() {
    let _time = Time::begin();
    let alarms = [(); 9].map(|()| Alarm::new());
    for alarm in &alarms {
        assert!(alarm.poll(pin!(TIMER.sleep_until(Ticks::MAX))).is_pending());
    }
    assert!(alarms.iter().all(|alarm| alarm.rung() == 0));
}

#[test]
fn waits_beyond_the_clock_are_waits_without_an_end() {
    let time = Time::begin();
    time.advance_millis(1);
    assert!(Deadline::after(&EmbassyClock, core::time::Duration::MAX).is_never());
    let slow = async {
        embassy_time::Timer::after_secs(500).await;
        Ok::<_, ()>(time.millis())
    };
    let patient = Timeout::new(core::time::Duration::MAX);
    assert_eq!(time.run(patient.run(EmbassyTimer, slow)), Ok(500_001));
}

/// A task has one place in the driver's queue. The first wake-up empties it, and the later sleep
/// has to ask anew.
#[test]
fn sleeps_of_one_task_do_not_lose_each_others_wake_ups() {
    let time = Time::begin();
    let at = |millis| async move {
        TIMER.sleep_until(Ticks(millis * TICK_HZ / 1_000)).await;
        Instant::now().as_millis()
    };
    for (first, second) in [(50, 20), (20, 50), (30, 30)] {
        let begun = time.millis();
        let ended = time.run(join(at(begun + first), at(begun + second)));
        assert_eq!(ended, (begun + first, begun + second));
    }
    // With one of embassy's own.
    let begun = time.millis();
    let theirs = async {
        embassy_time::Timer::after_millis(70).await;
        Instant::now().as_millis()
    };
    assert_eq!(time.run(join(theirs, at(begun + 90))), (begun + 70, begun + 90));
}

#[test]
fn a_sleep_that_is_dropped_wakes_its_task_once_more_and_that_is_all() {
    let (time, alarm) = (Time::begin(), Alarm::new());
    {
        let sleep = pin!(TIMER.sleep_until(Ticks(1_000)));
        assert!(alarm.poll(sleep).is_pending());
    }
    time.advance_ticks(1_000_000);
    assert_eq!(alarm.rung(), 1);
    // The whole of a timeout that was cut short works on through it.
    let operation = async {
        Timeout::new(ms(10)).run(EmbassyTimer, async { Ok::<_, ()>(()) }).await?;
        let hangs = pending::<Result<(), ()>>();
        Timeout::new(ms(30)).run(EmbassyTimer, hangs).await
    };
    let begun = time.millis();
    assert_eq!(time.run(operation), Err(Error::TimedOut));
    assert_eq!(time.millis() - begun, 30);
}
