//! Every operation that waits, on embassy's mock driver: it takes exactly as long as it says, and
//! is woken by the driver alone.

mod mock;

use std::cell::RefCell;
use std::future::{Future, pending};
use std::time::Duration;

use embassy_futures::join::join;
use embassy_time::Instant;
use fusebox_embassy::prelude::*;
use fusebox_embassy::{AcquireBefore, Guard, WORD_BITS, core_duration, ticks_at};
use mock::{Time, ms};

/// Something that takes a while, on a timer of embassy's own.
async fn after<T>(millis: u64, value: T) -> T {
    embassy_time::Timer::after_millis(millis).await;
    value
}

/// Waits while somebody else holds `held` for so long.
async fn behind<T, P>(held: P, millis: u64, wait: impl Future<Output = T>) -> T {
    join(wait, async { drop(after(millis, held).await) }).await.0
}

/// That of a refusal.
fn reason<T>(result: Result<T, Rejection>) -> Option<Reason> {
    result.err().map(|rejection| rejection.reason())
}

#[test]
fn a_timeout() {
    let time = Time::begin();
    let hangs = pending::<Result<(), ()>>();
    assert_eq!(time.run(Timeout::FAST.run(EmbassyTimer, hangs)), Err(Error::TimedOut));
    assert_eq!(time.millis(), 5_000);
    let in_time = after(4_999, Ok::<_, ()>(1));
    assert_eq!(time.run(Timeout::FAST.run(EmbassyTimer, in_time)), Ok(1));
    assert_eq!(time.millis(), 9_999);
    // An operation that ends with its time has ended.
    let just = after(5_000, Err::<(), _>("its own"));
    assert_eq!(time.run(Timeout::FAST.run(EmbassyTimer, just)), Err(Error::Inner("its own")));
}

#[test]
fn a_deadline_made_of_an_instant_of_embassys() {
    let time = Time::begin();
    time.advance_millis(3);
    let by = Deadline::at(ticks_at(Instant::from_millis(10)));
    assert_eq!(by.remaining(&EmbassyClock), ms(7));
    let hangs = pending::<Result<(), ()>>();
    assert_eq!(time.run(by.run(EmbassyTimer, hangs)), Err(Error::TimedOut));
    assert_eq!(time.millis(), 10);
    assert!(by.on(EmbassyClock).permit().is_err());
}

#[test]
fn a_retry_sleeps_exactly_its_delays() {
    let (time, at) = (Time::begin(), RefCell::new(Vec::new()));
    let retry = Retry::new(Backoff::exponential(ms(100)).max_delay(ms(300))).max_attempts(5);
    let result = time.run(retry.call(EmbassyTimer, |attempt| {
        at.borrow_mut().push(time.millis());
        after(1, Err::<(), _>(attempt.number))
    }));
    assert_eq!(result, Err(Error::Inner(5)));
    assert_eq!(*at.borrow(), [0, 101, 302, 603, 904]);
}

#[test]
fn a_retry_is_made_when_it_was_asked_for_and_never_after_its_deadline() {
    let time = Time::begin();
    let retry = Retry::new(Backoff::constant(ms(10)))
        .when(|wait: &embassy_time::Duration| Decision::RetryAfter(core_duration(*wait)));
    let result = time.run(retry.call(EmbassyTimer, |attempt| async move {
        if attempt.is_retry() { Ok(()) } else { Err(embassy_time::Duration::from_secs(7)) }
    }));
    assert_eq!((result, time.millis()), (Ok(()), 7_000));

    let retry = Retry::new(Backoff::constant(ms(300))).unlimited().deadline(ms(1_000));
    let result =
        time.run(retry.call(EmbassyTimer, |attempt| after(50, Err::<(), _>(attempt.number))));
    // 0-50, 350-400, 700-750: the next would begin at 1050.
    assert_eq!((result, time.millis()), (Err(Error::Inner(3)), 7_750));
}

#[test]
fn a_retry_draws_its_jitter_from_the_seed_it_was_given() {
    let time = Time::begin();
    let waited = |seed| {
        let rng = Rng::from_seed(seed);
        let backoff = Backoff::constant(ms(1_000)).jitter(Jitter::Full, &rng);
        let begun = time.millis();
        let fails = Retry::new(backoff).call(EmbassyTimer, |_| async { Err::<(), _>(()) });
        assert!(time.run(fails).is_err());
        time.millis() - begun
    };
    let (first, second) = (waited(1), waited(2));
    assert_eq!(waited(1), first);
    assert_ne!(first, second);
}

#[test]
fn until_a_breaker_is_ready() {
    static RADIO: CircuitBreaker =
        CircuitBreaker::new(BreakerConfig::standard().open_for(ms(2_000)), EmbassyClock);
    let time = Time::begin();
    assert_eq!(time.run(RADIO.until_ready(EmbassyTimer)), Ok(()));
    RADIO.trip();
    assert_eq!(time.run(RADIO.until_ready(&EmbassyTimer)), Ok(()));
    // 32-bit words tell time in longer units.
    let shortest = if WORD_BITS == 64 { 2_000 } else { 1_990 };
    assert!((shortest..=2_000).contains(&time.millis()), "{} ms", time.millis());

    // While its one probe is out it looks again from time to time.
    let probe = RADIO.permit().expect("it was ready");
    assert!(RADIO.permit().is_err());
    let answered = async { after(40, probe).await.success() };
    let (ready, ()) = time.run(join(RADIO.until_ready(EmbassyTimer), answered));
    assert_eq!((ready, RADIO.state()), (Ok(()), State::Closed));
}

#[test]
fn tokens() {
    static PACKETS: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(10).burst(2).max_wait(ms(500)), EmbassyClock);
    let (time, soon) = (Time::begin(), |millis| Deadline::after(&EmbassyClock, ms(millis)));
    let mut at = Vec::new();
    for _ in 0..4 {
        assert_eq!(time.run(PACKETS.acquire(EmbassyTimer, 1)), Ok(()));
        at.push(time.millis());
    }
    assert!(at.windows(2).all(|pair| pair[0] <= pair[1]) && at[1] == 0, "{at:?}");
    // Never early; late by less than a unit of the word and a millisecond of this test.
    assert!((100..=102).contains(&at[2]) && (200..=203).contains(&at[3]), "{at:?}");

    let begun = time.millis();
    let in_vain = PACKETS.acquire_before(&EmbassyTimer, 1, soon(50));
    assert_eq!(reason(time.run(in_vain)), Some(Reason::DeadlineExceeded));
    let in_vain = PACKETS.acquire_timeout(EmbassyTimer, 1, ms(50));
    assert_eq!(reason(time.run(in_vain)), Some(Reason::RateLimited));
    assert_eq!(time.millis(), begun, "it is told at once");
    assert_eq!(time.run(PACKETS.acquire_before(EmbassyTimer, 1, soon(150))), Ok(()));
    assert!(time.run(PACKETS.wait_enter(&EmbassyTimer, soon(150))).is_ok());
    assert!(time.run(PACKETS.of(2).wait_enter(&EmbassyTimer, Deadline::NEVER)).is_ok());
    assert!((400..=405).contains(&(time.millis() - begun)), "{} ms", time.millis() - begun);

    let turn = PACKETS.reserve(1).expect("within the longest wait");
    let (wait, ready_at) = (turn.wait(), turn.ready_at());
    time.run(EmbassyTimer.sleep_until(ready_at));
    assert!(EmbassyClock.now() >= ready_at && !wait.is_zero());
    turn.commit();
}

#[test]
fn permits() {
    static BUS: Semaphore<Queue<4>> = Semaphore::new(2);
    let time = Time::begin();
    let all = || BUS.try_acquire_many(2).expect("free");
    assert!(time.run(behind(all(), 10, BUS.acquire())).is_ok());
    assert!(time.run(behind(all(), 10, BUS.acquire_many(2))).is_ok());
    assert!(time.run(behind(all(), 10, BUS.acquire_timeout(EmbassyTimer, ms(11)))).is_ok());
    let soon = Deadline::after(&EmbassyClock, ms(11));
    assert!(time.run(behind(all(), 10, BUS.acquire_before(&EmbassyTimer, soon))).is_ok());
    assert_eq!((time.millis(), BUS.available()), (40, 2));

    let late = time.run(behind(all(), 10, BUS.acquire_timeout(EmbassyTimer, ms(9))));
    assert_eq!(reason(late), Some(Reason::QueueTimeout));
    let soon = Deadline::after(&EmbassyClock, ms(9));
    let late = time.run(behind(all(), 10, AcquireBefore::new(&BUS, 2, EmbassyTimer, soon)));
    assert_eq!(reason(late), Some(Reason::QueueTimeout));
    let late = time.run(BUS.acquire_before(EmbassyTimer, soon));
    assert_eq!(reason(late), Some(Reason::DeadlineExceeded));
    assert_eq!((time.millis(), BUS.available(), BUS.waiting()), (60, 2, 0));

    let held = all();
    let late = time.run(BUS.of(2).wait_enter(&EmbassyTimer, Deadline::after(&EmbassyClock, ms(9))));
    assert_eq!((reason(late), time.millis()), (Some(Reason::QueueTimeout), 69));
    drop(held);
}

/// Who came first is let in first, though the others were woken by their timers meanwhile.
#[test]
fn permits_come_in_the_order_of_asking() {
    static BUS: Semaphore<Queue<4>> = Semaphore::new(1);
    let (time, order) = (Time::begin(), RefCell::new(Vec::new()));
    let turn = |name, limit| {
        let order = &order;
        async move {
            let answer = BUS.acquire_timeout(EmbassyTimer, ms(limit)).await;
            let permit = answer.map(|permit| after(10, permit));
            order.borrow_mut().push((name, permit.is_ok()));
            if let Ok(held) = permit {
                drop(held.await);
            }
        }
    };
    let all = join(join(turn('a', 100), turn('b', 5)), join(turn('c', 100), turn('d', 100)));
    time.run(all);
    assert_eq!(*order.borrow(), [('a', true), ('b', false), ('c', true), ('d', true)]);
    assert_eq!((time.millis(), BUS.available()), (30, 1));
}

#[test]
fn a_bulkhead() {
    static CALLS: Bulkhead<Queue<4>> = Bulkhead::new(BulkheadConfig::new(1).max_wait(ms(20)));
    let time = Time::begin();
    let held = || CALLS.permit().expect("free");
    assert!(time.run(behind(held(), 19, CALLS.enter_waiting(EmbassyTimer))).is_ok());
    assert_eq!(time.millis(), 19);
    let late = time.run(behind(held(), 30, CALLS.enter_waiting(&EmbassyTimer)));
    assert_eq!((reason(late), time.millis()), (Some(Reason::QueueTimeout), 49));
    let soon = Deadline::after(&EmbassyClock, ms(5));
    let late = time.run(behind(held(), 30, CALLS.wait_enter(&EmbassyTimer, soon)));
    assert_eq!(reason(late), Some(Reason::QueueTimeout));
    assert_eq!(CALLS.snapshot().available(), 1);
}

#[test]
fn guards() {
    static RADIO: CircuitBreaker =
        CircuitBreaker::new(BreakerConfig::standard().consecutive_failures(2), EmbassyClock);
    let time = Time::begin();
    let mut sent = 0;
    // A single future may have what it uses for itself.
    let sends = async {
        sent += 1;
        after(5, Ok::<_, ()>(sent)).await
    };
    assert_eq!(time.run(RADIO.guard(sends)), Ok(1));
    for _ in 0..2 {
        let hangs = Timeout::new(ms(10)).run(EmbassyTimer, pending::<Result<(), ()>>());
        let guarded = time.run(Guard::new(&RADIO, hangs));
        assert_eq!(guarded, Err(Error::Inner(Error::TimedOut)));
    }
    assert_eq!((time.millis(), RADIO.state()), (25, State::Open));
    let refused = time.run((&RADIO, ()).guard(async { Ok::<_, ()>(()) }));
    assert!(matches!(refused, Err(Error::Rejected(why)) if why.reason() == Reason::CircuitOpen));
}

#[test]
fn gates_of_all_kinds_at_once() {
    static CALLS: Bulkhead<Queue<4>> = Bulkhead::new(BulkheadConfig::new(1));
    static PACKETS: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(100).burst(1), EmbassyClock);
    static RADIO: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), EmbassyClock);
    let time = Time::begin();
    PACKETS.try_acquire(1).expect("the burst");
    let gates = (&CALLS, Some(&PACKETS), None::<&TokenBucket>, Immediate(&RADIO));
    let entered = behind(CALLS.permit(), 5, gates.wait_enter(&EmbassyTimer, Deadline::NEVER));
    let tokens = time.run(entered).expect("let in");
    assert!((10..=11).contains(&time.millis()), "{} ms", time.millis());
    gates.exit(tokens, Outcome::Success);
    assert_eq!(CALLS.snapshot().available(), 1);
}

#[test]
fn a_pipeline_takes_its_timeouts_delays_and_deadline() {
    let (time, seen) = (Time::begin(), RefCell::new(Vec::new()));
    let pipeline = Pipeline::new(EmbassyTimer)
        .deadline(ms(1_000))
        .retry(Retry::new(Backoff::constant(ms(100))).max_attempts(10))
        .attempt_timeout(ms(300));
    let result = time.run(pipeline.call(|attempt| {
        let cut_off = attempt.deadline.remaining(&EmbassyClock);
        seen.borrow_mut().push((time.millis(), cut_off));
        pending::<Result<(), ()>>()
    }));
    assert_eq!(result, Err(Error::TimedOut));
    assert_eq!(*seen.borrow(), [(0, ms(300)), (400, ms(300)), (800, ms(200))]);
    assert_eq!(time.millis(), 1_000);

    let request = Deadline::at(ticks_at(Instant::from_millis(1_050)));
    let result = time.run(pipeline.call_before(request, |_| pending::<Result<(), ()>>()));
    assert_eq!((result, time.millis()), (Err(Error::TimedOut), 1_050));
}

#[test]
fn a_pipeline_of_all_parts() {
    static CALLS: Bulkhead<Queue<2>> = Bulkhead::new(BulkheadConfig::new(1).max_wait(ms(50)));
    static PACKETS: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(100).burst(1), EmbassyClock);
    static RADIO: CircuitBreaker = CircuitBreaker::new(
        BreakerConfig::standard().consecutive_failures(3).open_for(Duration::from_secs(1)),
        EmbassyClock,
    );
    static BUDGET: RetryBudget =
        RetryBudget::new(BudgetConfig::new(Ratio::percent(100)).floor_per_second(1), EmbassyClock);
    let (time, rng) = (Time::begin(), Rng::from_seed(1));
    let backoff = Backoff::exponential(ms(10)).jitter(Jitter::Equal, &rng);
    let pipeline = Pipeline::new(EmbassyTimer)
        .deadline(Duration::from_secs(1))
        .per_call_waiting(&CALLS)
        .retry(Retry::new(backoff).max_attempts(3).budget(&BUDGET))
        .per_attempt_waiting((&PACKETS, Immediate(&RADIO)))
        .attempt_timeout(ms(20))
        .classify(FailureIf(|error: &&str| *error != "busy"));

    // Its second attempt is as quick as it should be; it waits its turn at both kinds of gates.
    let works = pipeline.call(|attempt| after(if attempt.is_retry() { 2 } else { 60 }, Ok("sent")));
    assert_eq!(time.run(behind(CALLS.permit(), 30, works)), Ok("sent"));
    // 30 at the bulkhead, 20 timed out, 5 to 10 of backoff, 2 of work.
    assert!((57..=63).contains(&time.millis()), "{} ms", time.millis());
    assert_eq!((RADIO.state(), CALLS.snapshot().available()), (State::Closed, 1));

    // Three timeouts in a row open the circuit; then nothing runs, and nothing is taken.
    let hangs = pipeline.call(|_| pending::<Result<&str, &str>>());
    assert_eq!(time.run(hangs), Err(Error::TimedOut));
    assert_eq!(RADIO.state(), State::Open);
    time.advance_millis(20);
    let refused = time.run(pipeline.call(|_| async { panic!("let in") as Result<&str, _> }));
    assert!(matches!(refused, Err(Error::Rejected(why)) if why.reason() == Reason::CircuitOpen));
    assert_eq!((CALLS.snapshot().available(), PACKETS.peek()), (1, 1));

    // Later, one probe closes it.
    time.run(RADIO.until_ready(EmbassyTimer)).expect("without a limit");
    assert_eq!(time.run(pipeline.call(|_| after(1, Ok("sent")))), Ok("sent"));
    assert_eq!(RADIO.state(), State::Closed);
}
