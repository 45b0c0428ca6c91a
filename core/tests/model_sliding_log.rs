//! The sliding log against a reference model: all calls that were let in, in time that never wraps.

mod modelling;

use std::time::Duration;

use fusebox_core::{
    Gate, LogEntry, ManualClock, Outcome, Reason, Rejection, SlidingLog, SlidingLogConfig, Ticks,
    WORD_BITS,
};
use proptest::prelude::*;

const TIME_BITS: u32 = if WORD_BITS == 64 { 48 } else { 26 };

#[derive(Clone, Debug)]
enum Step {
    /// Forward by so many thousandths of a window.
    Window(u32),
    Ticks(u32),
    /// To where the last refusal said to come back, and so many ticks more or less.
    ComeBack(i8),
    /// Back by so many thousandths of the lateness that is supported, from the latest reading.
    Late(u32),
    /// So many wraps of the word, and so many thousandths of a window more or less.
    Wrap(u8, i32),
}

#[derive(Clone, Debug)]
enum Op {
    Try,
    Enter,
    /// A call of those that hold a token ends, as one that never ran or as one that did.
    Exit(bool),
    Look,
}

#[derive(Clone, Debug)]
struct Setup {
    window: Duration,
    lateness: Duration,
    start: u64,
}

fn setups() -> impl Strategy<Value = Setup> {
    let window = prop_oneof![
        4 => (100..5_000u64).prop_map(Duration::from_millis),
        1 => Just(Duration::from_secs(86_400)),
        1 => (1..1_000u64).prop_map(Duration::from_micros),
        1 => (1..1_000u64).prop_map(Duration::from_nanos),
    ];
    let lateness = prop_oneof![Just(1_000_000), 0..1_000_000u64].prop_map(Duration::from_micros);
    let start = prop_oneof![0..1u64 << 40, any::<u64>(), u64::MAX - 5_000_000_000..=u64::MAX];
    (window, lateness, start).prop_map(|(window, lateness, start)| Setup {
        window,
        lateness,
        start,
    })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ticks(0)),
        4 => (0..1_500u32).prop_map(Step::Window),
        1 => any::<u32>().prop_map(Step::Ticks),
        4 => (-1..=1i8).prop_map(Step::ComeBack),
        2 => (0..=1_000u32).prop_map(Step::Late),
        1 => (1..3u8, -3_000..3_000i32).prop_map(|(wraps, part)| Step::Wrap(wraps, part)),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Try),
        4 => Just(Op::Enter),
        2 => any::<bool>().prop_map(Op::Exit),
        1 => Just(Op::Look),
    ]
}

/// A duration in ticks, rounded up.
fn ticks_up(duration: Duration, hz: u64) -> i128 {
    i128::try_from((duration.as_nanos() * u128::from(hz)).div_ceil(1_000_000_000)).unwrap()
}

/// The power of two of ticks in a unit, which shows nowhere but in `Debug`.
fn right(log: &impl std::fmt::Debug) -> u32 {
    let text = format!("{log:?}");
    let (_, rest) = text.split_once("right: ").expect("the scale");
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// The reading of a call, the one from which on it is out of the window, and its number.
type Call = (i128, i128, usize);

/// All that was let in and not given back.
struct Model {
    limit: usize,
    window: i128,
    right: u32,
    live: Vec<Call>,
    /// When the newest call is out, and its number.
    newest: (i128, usize),
}

impl Model {
    /// The window in units, as the documentation says.
    fn units(&self) -> i128 {
        let up = (self.window + (1 << self.right) - 1) >> self.right;
        up + i128::from(self.right > 0)
    }

    /// The reading at which a call that came at `at` is certainly out of the window, and as late as
    /// the newest one before it.
    fn out(&self, at: i128) -> i128 {
        let own = ((at >> self.right) + self.units()) << self.right;
        own.max(self.newest.0)
    }

    fn used(&self, now: i128) -> usize {
        self.live.iter().filter(|(_, out, _)| *out > now).count()
    }

    fn wait(&self, now: i128) -> i128 {
        if self.used(now) < self.limit {
            return 0;
        }
        // Until less than the limit are left.
        let mut outs: Vec<i128> = self.live.iter().map(|(_, out, _)| out - now).collect();
        outs.sort_unstable_by(|a, b| b.cmp(a));
        outs[self.limit - 1]
    }
}

/// The log beside its model, and who uses both.
struct Both<'a, const N: usize, const HZ: u64> {
    log: &'a SlidingLog<N, &'a ManualClock<HZ>>,
    clock: &'a ManualClock<HZ>,
    model: Model,
    lateness: i128,
    wrap: i128,
    held: Vec<(LogEntry, Call)>,
    now: i128,
    latest: i128,
    come_back: i128,
    /// Until when something that was mistaken may have been noted.
    noted: i128,
    /// All that was written, and how far from it it may be by mistake: what may be taken for live
    /// after a wrap.
    written: Vec<(i128, i128)>,
    /// The instants from which on places are free that were given back.
    returned: Vec<i128>,
}

impl<const N: usize, const HZ: u64> Both<'_, N, HZ> {
    fn step(&mut self, step: &Step) {
        let window = self.model.window;
        self.now += match *step {
            Step::Window(part) => window * i128::from(part) / 1_000,
            Step::Ticks(ticks) => ticks.into(),
            Step::ComeBack(more) => self.come_back + i128::from(more),
            Step::Late(part) => -(self.lateness * i128::from(part) / 1_000),
            Step::Wrap(n, part) => self.wrap * i128::from(n) + window * i128::from(part) / 1_000,
        };
        // A reader is late by at most what is supported.
        self.now = self.now.max(self.latest.saturating_sub(self.lateness));
        self.latest = self.latest.max(self.now);
        self.clock.set(Ticks(self.now.rem_euclid(1 << 64) as u64));
        self.come_back = 0;
    }

    fn horizon(&self) -> i128 {
        let right = self.model.right;
        (self.model.units() << right) + 2 * self.lateness + (4 << right)
    }

    /// Whether a place that was written a wrap ago may be taken for live.
    fn is_mistaken(&mut self) -> bool {
        let (now, wrap, horizon) = (self.now, self.wrap, self.horizon());
        let alias = |(until, more): &(i128, i128)| {
            *until <= now && (until + more - now).rem_euclid(wrap) <= horizon + 2 * more
        };
        // What was written by mistake holds for a while.
        let mistaken = now < self.noted || self.written.iter().any(alias);
        if mistaken {
            self.noted = self.noted.max(now + 2 * horizon);
        }
        mistaken
    }

    fn op(&mut self, op: &Op) {
        let mistaken = self.is_mistaken();
        match op {
            Op::Try | Op::Enter => match self.log.enter() {
                Ok(token) => {
                    // A late reader may come where a window before the latest has room.
                    let expected = self.model.used(self.now) < N;
                    assert!(expected || mistaken || self.now < self.latest, "one call too many");
                    let call = self.granted(mistaken);
                    if matches!(op, Op::Enter) {
                        self.held.push((token, call));
                    }
                }
                Err(refused) => self.refused(refused, mistaken),
            },
            Op::Exit(refused) => {
                if !self.held.is_empty() {
                    self.exit(*refused, mistaken);
                }
            }
            Op::Look => {
                if !mistaken && self.now == self.latest {
                    self.look();
                }
            }
        }
    }

    fn granted(&mut self, mistaken: bool) -> Call {
        let (now, model) = (self.now, &mut self.model);
        model.newest = (model.out(now), model.newest.1 + 1);
        let call = (now, model.newest.0, model.newest.1);
        model.live.push(call);
        // Strictly, in ticks: no window holds more, wherever it begins.
        for (from, _, _) in &model.live {
            let window = *from..*from + model.window;
            let calls = model.live.iter().filter(|(at, _, _)| window.contains(at));
            assert!(calls.count() <= N, "a window holds more");
        }
        self.wrote(call.1, mistaken);
        call
    }

    fn wrote(&mut self, until: i128, mistaken: bool) {
        let more = if mistaken { self.horizon() } else { 0 };
        self.written.push((until, more));
    }

    fn refused(&mut self, refused: Rejection, mistaken: bool) {
        let now = self.now;
        let expected = self.model.used(now) < N;
        // A place that was given back is free from the reading on at which it was taken.
        let mistaken = mistaken || self.returned.iter().any(|from| *from > now);
        assert!(!expected || mistaken, "refused while there is room");
        assert_eq!(refused.reason(), Reason::RateLimited);
        let nanos = refused.retry_after().unwrap().as_nanos();
        let wait = i128::try_from(nanos * u128::from(HZ) / 1_000_000_000).unwrap();
        if !mistaken {
            let expected = self.model.wait(now);
            // A late reader may be told by a note from before the last calls.
            let exact = wait == expected || (now < self.latest && wait < expected);
            assert!(exact, "{wait} is not {expected}: when to come back");
        }
        self.come_back = wait;
    }

    fn exit(&mut self, refused: bool, mistaken: bool) {
        let (token, call) = self.held.remove(self.held.len() / 2);
        // Held for about a wrap, it may look like one of the calls that came since.
        if self.now - call.0 >= self.wrap - self.horizon() {
            return;
        }
        self.log.exit(token, if refused { Outcome::Refused } else { Outcome::Abandoned });
        if !refused {
            return;
        }
        // A call that is out of the window has nothing left to give back, but others may not have
        // taken its place yet.
        let model = &mut self.model;
        let index = model.live.iter().position(|live| *live == call).unwrap();
        model.live.remove(index);
        let from = call.1 - (model.units() << model.right);
        // Then nobody knows how late it was.
        if call.2 == model.newest.1 {
            model.newest.0 = from;
        }
        self.wrote(from, mistaken);
        self.returned.push(from);
    }

    fn look(&self) {
        let snapshot = self.log.snapshot();
        assert_eq!(snapshot.limit as usize, N);
        assert_eq!(snapshot.used as usize, self.model.used(self.now));
        let wait = self.log.time_until().as_nanos() * u128::from(HZ) / 1_000_000_000;
        assert_eq!(i128::try_from(wait).unwrap(), self.model.wait(self.now));
    }
}

/// Whether the configuration fits, and the run could be made.
fn agrees<const N: usize, const HZ: u64>(setup: &Setup, steps: &[(Step, Op)]) -> bool {
    let clock = ManualClock::<HZ>::new();
    let config = SlidingLogConfig::per(setup.window).max_lateness(setup.lateness);
    let Ok(log) = SlidingLog::<N, _>::try_new(config, &clock) else { return false };
    let right = right(&log);
    let mut both = Both {
        log: &log,
        clock: &clock,
        model: Model {
            limit: N,
            window: ticks_up(setup.window, HZ),
            right,
            live: Vec::new(),
            newest: (i128::MIN, 0),
        },
        lateness: ticks_up(setup.lateness, HZ),
        wrap: 1 << (TIME_BITS + right),
        held: Vec::new(),
        now: setup.start.into(),
        latest: i128::MIN,
        come_back: 0,
        noted: i128::MIN,
        written: Vec::new(),
        returned: Vec::new(),
    };
    for (step, op) in steps {
        both.step(step);
        both.op(op);
    }
    true
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn the_log_agrees_with_the_model(
        setup in setups(),
        clock in 0..3u8,
        limit in 0..3u8,
        steps in prop::collection::vec((steps(), ops()), 1..40),
    ) {
        let fits = match (clock, limit) {
            (0, 0) => agrees::<1, 1_000_000_000>(&setup, &steps),
            (0, 1) => agrees::<3, 1_000_000_000>(&setup, &steps),
            (0, _) => agrees::<8, 1_000_000_000>(&setup, &steps),
            (1, 0) => agrees::<2, 1_000_000>(&setup, &steps),
            (1, _) => agrees::<5, 1_000_000>(&setup, &steps),
            (_, 0) => agrees::<1, 32_768>(&setup, &steps),
            (_, _) => agrees::<4, 32_768>(&setup, &steps),
        };
        prop_assume!(fits);
    }
}
