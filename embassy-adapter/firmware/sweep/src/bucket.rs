//! Races for the tokens of a bucket.

use core::cell::Cell;
use core::time::Duration;

use fusebox_core::{BucketConfig, Clock, ConfigError, Gate, Outcome, Rate, TokenBucket};

use crate::answer;
use crate::explore::Case;
use crate::race::Race;
use crate::time::Time;

type Bucket = TokenBucket<Time>;

pub(crate) const CASES: &[Case] = &[
    Case::new("bucket: two want the last token", last_token),
    Case::twice("bucket: a call that two others preempt", three_calls),
    Case::new("bucket: a reading of the clock that is late", late_reading),
    Case::new("bucket: the first call of a bucket that is not full", first_use),
    Case::new("bucket: tokens come back while others are taken", refund),
    Case::new("bucket: a call that never ran, and one that does", refused),
    Case::new("bucket: a reservation is cancelled, and others want its tokens", cancelled),
    Case::new("bucket: a lease is renewed and given back, and others take", leased),
    Case::new("bucket: taking during a change of the rate", rate_changes_meanwhile),
    Case::twice("bucket: taking during two changes of the rate", rate_changes_meanwhile),
    Case::new("bucket: a change of the rate while others take", change_of_rate),
    Case::new("bucket: a change of the burst while others take", change_of_burst),
    Case::noting("told to come back", "bucket: two changes at once", two_changes),
];

const CONFIG: BucketConfig =
    BucketConfig::per_second(100).burst(3).max_wait(Duration::from_millis(50));

/// Three tokens at most, of which `left` are there; one more every 10 ms.
fn bucket(left: u32) -> Bucket {
    let bucket = const { Bucket::new(CONFIG, Time) };
    let _ = bucket.try_acquire(3 - left);
    bucket
}

fn take(bucket: &Bucket) -> u32 {
    answer(bucket.try_acquire(1))
}

/// The tokens there are, and the milliseconds until there is one and until it is full.
fn left(bucket: &Bucket) -> [u32; 3] {
    let wait = |tokens| bucket.time_until(tokens).map_or(u32::MAX, |wait| wait.as_millis() as u32);
    [bucket.peek(), wait(1), wait(bucket.burst())]
}

fn last_token(race: &mut Race) {
    let bucket = bucket(1);
    race.run([&mut || take(&bucket)], &mut || take(&bucket));
    race.end(race.let_in() == 1, left(&bucket));
}

fn three_calls(race: &mut Race) {
    let bucket = bucket(3);
    race.run([&mut || take(&bucket)], &mut || take(&bucket));
    race.end(race.let_in() == 3, left(&bucket));
}

/// The time is read, then later times are used up, and then the earlier one is used.
fn late_reading(race: &mut Race) {
    let bucket = bucket(1);
    let now = Cell::new(Time.now());
    race.run(
        [
            &mut || {
                now.set(Time.now());
                0
            },
            &mut || answer(bucket.try_acquire_at(1, now.get())),
        ],
        &mut || {
            Time::advance(Duration::from_millis(10));
            answer(bucket.try_acquire(2))
        },
    );
    // Two tokens in all: one that was there, and one for the time. (A 0 for the reading as well.)
    race.end(race.let_in() <= 2, left(&bucket));
}

fn first_use(race: &mut Race) {
    let bucket = const { Bucket::new(CONFIG.initially(1), Time) };
    race.run([&mut || take(&bucket)], &mut || take(&bucket));
    race.end(race.let_in() == 1, left(&bucket));
}

fn refund(race: &mut Race) {
    let bucket = bucket(0);
    let put = || {
        bucket.refund(1);
        u32::MAX
    };
    race.run([&mut { put }, &mut || take(&bucket)], &mut || take(&bucket));
    race.end(race.let_in() == 1, left(&bucket));
}

fn refused(race: &mut Race) {
    let bucket = bucket(1);
    let token = Cell::new(None);
    race.run(
        [
            &mut || {
                let entered = bucket.enter();
                token.set(entered.ok());
                answer(entered.map(drop))
            },
            &mut || {
                if let Some(token) = token.take() {
                    bucket.exit(token, Outcome::Refused);
                }
                0
            },
        ],
        &mut || take(&bucket),
    );
    race.end(bucket.peek() == u32::from(race.interrupt() != 0), left(&bucket));
}

fn cancelled(race: &mut Race) {
    let bucket = bucket(1);
    let turn = Cell::new(None);
    race.run(
        [
            &mut || {
                let reserved = bucket.reserve(2);
                let wait =
                    reserved.as_ref().map_or(u32::MAX, |turn| turn.wait().as_millis() as u32);
                turn.set(reserved.ok());
                wait
            },
            &mut || {
                if let Some(turn) = turn.take() {
                    turn.cancel();
                }
                0
            },
        ],
        &mut || take(&bucket),
    );
    race.end(bucket.peek() == u32::from(race.interrupt() != 0), left(&bucket));
}

fn leased(race: &mut Race) {
    let bucket = bucket(2);
    let lease = bucket.lease(2);
    race.run(
        [&mut || answer(lease.try_acquire(1)), &mut || {
            lease.give_back();
            u32::MAX
        }],
        &mut || take(&bucket),
    );
    // One for the holder of the lease, and one for the other unless it came while both were leased.
    let taken = race.let_in() as u32;
    race.end((1..=2).contains(&taken) && bucket.peek() == 2 - taken, left(&bucket));
}

/// The limits are words of their own. The second change overwrites those that a call may be
/// reading: the debt at the slow rate and the limits of the fast one would be a reason to refuse.
fn rate_changes_meanwhile(race: &mut Race) {
    let bucket = bucket(1);
    changed(bucket.set_rate(Rate::per_second(25)));
    let mut rates = [Rate::per_second(50), Rate::per_second(100)].into_iter();
    race.run([&mut || take(&bucket)], &mut || {
        rates.next().map_or(u32::MAX, |rate| changed(bucket.set_rate(rate)))
    });
    race.end(bucket.peek() == 0, left(&bucket));
}

fn change_of_rate(race: &mut Race) {
    let bucket = bucket(1);
    let mut change = || changed(bucket.set_rate(Rate::per_second(10)));
    race.run([&mut change], &mut || take(&bucket));
    race.end(bucket.peek() == 0, left(&bucket));
}

fn change_of_burst(race: &mut Race) {
    let bucket = bucket(1);
    race.run([&mut || changed(bucket.set_burst(1))], &mut || take(&bucket));
    race.end(bucket.peek() == 0, left(&bucket));
}

/// A change that finds another one under way is told to come back: it does so afterwards, and that
/// is as if it had come then.
fn two_changes(race: &mut Race) {
    let bucket = bucket(1);
    let mut told_to_come_back = false;
    race.run([&mut || changed(bucket.set_rate(Rate::per_second(10)))], &mut || {
        told_to_come_back = bucket.set_burst(2) == Err(ConfigError::ChangeUnderWay);
        0
    });
    if told_to_come_back {
        race.noted = true;
        let _ = bucket.set_burst(2);
    }
    race.end(bucket.burst() == 2 && bucket.peek() == 1, left(&bucket));
}

fn changed(result: Result<(), ConfigError>) -> u32 {
    u32::from(result.is_err())
}
