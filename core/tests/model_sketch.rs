//! The sketch of buckets against buckets of each key's own.
//!
//! One column is one bucket for all. So many columns that no key shares all of its states are one
//! bucket for each key. In between the sketch may refuse more, and must never let in what the key's
//! own bucket would refuse, nor show tokens that are not in it.

mod modelling;

use std::time::Duration;

use fusebox_core::{BucketConfig, BucketSketch, Clock, SketchColumn, Ticks, TokenBucket};
use proptest::prelude::*;

/// A clock that is never read: the tests give the time.
#[derive(Clone, Copy)]
struct Ms;

impl Clock for Ms {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        panic!("only the given time counts here")
    }
}

const KEYS: u64 = 6;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// By a key, at a reading that is late by so many ms.
    Take {
        key: u64,
        tokens: u32,
        late: u64,
    },
    Advance(u64),
    /// By this part of what may be past the wrap.
    Jump(u64),
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    per_second: u32,
    burst: u32,
}

impl Settings {
    fn config(self) -> BucketConfig {
        // Late by at most as much as the histories are.
        BucketConfig::per_second(self.per_second)
            .burst(self.burst)
            .max_wait(Duration::ZERO)
            .max_lateness(Duration::from_millis(500))
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (prop_oneof![Just(1_u32), 1..50_u32], 1..8_u32)
        .prop_map(|(per_second, burst)| Settings { per_second, burst })
}

fn ops(with_jumps: bool) -> impl Strategy<Value = Vec<Op>> {
    let late = prop_oneof![4 => Just(0), 1 => 0..=500_u64];
    let take =
        (0..KEYS, 0..6_u32, late).prop_map(|(key, tokens, late)| Op::Take { key, tokens, late });
    let jumps = if with_jumps { 1 } else { 0 };
    let op = prop_oneof![
        20 => take,
        8 => prop_oneof![0..20_u64, 0..2_000_u64].prop_map(Op::Advance),
        jumps => (0..1_u64 << 50).prop_map(Op::Jump),
    ];
    prop::collection::vec(op, 1..60)
}

struct History {
    sketch: BucketSketch<Ms, Vec<SketchColumn>>,
    now: u64,
}

impl History {
    fn new(config: BucketConfig, columns: usize) -> Self {
        let columns = (0..columns).map(|_| SketchColumn::new()).collect();
        Self { sketch: BucketSketch::try_new(config, Ms, columns).unwrap(), now: 1_000_000 }
    }

    /// What `check` is given: key, tokens, the reading, and what the sketch says.
    fn run(&mut self, ops: &[Op], mut check: impl FnMut(&Self, usize, u32, Ticks, bool)) {
        for op in ops {
            match *op {
                Op::Advance(ms) => self.now += ms,
                Op::Jump(ms) => self.now += ms,
                Op::Take { key, tokens, late } => {
                    let at = Ticks(self.now - late);
                    let let_in = self.sketch.try_acquire_at(key, tokens, at).is_ok();
                    check(self, key as usize, tokens, at, let_in);
                }
            }
        }
    }
}

fn own_buckets(config: BucketConfig) -> Vec<TokenBucket<Ms>> {
    (0..KEYS).map(|_| TokenBucket::try_new(config, Ms).unwrap()).collect()
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn one_column_is_one_bucket(settings in settings(), ops in ops(true)) {
        let bucket = TokenBucket::try_new(settings.config(), Ms).unwrap();
        History::new(settings.config(), 1).run(&ops, |history, key, tokens, at, let_in| {
            assert_eq!(let_in, bucket.try_acquire_at(tokens, at).is_ok());
            assert_eq!(history.sketch.peek_at(key as u64, at), bucket.peek_at(at));
        });
    }

    #[test]
    fn many_columns_are_a_bucket_for_each(settings in settings(), ops in ops(true)) {
        let own = own_buckets(settings.config());
        History::new(settings.config(), 1_000).run(&ops, |history, key, tokens, at, let_in| {
            assert_eq!(let_in, own[key].try_acquire_at(tokens, at).is_ok());
            assert_eq!(history.sketch.peek_at(key as u64, at), own[key].peek_at(at));
        });
    }

    #[test]
    fn it_errs_on_the_side_of_refusing(
        settings in settings(),
        columns in 2..4_usize,
        ops in ops(false),
    ) {
        let own = own_buckets(settings.config());
        History::new(settings.config(), columns).run(&ops, |history, key, tokens, at, let_in| {
            // The own bucket is asked, and pays, for what was let in only.
            if let_in {
                assert!(own[key].try_acquire_at(tokens, at).is_ok());
            }
            for key in 0..KEYS {
                let (shown, there) = (history.sketch.peek_at(key, at), own[key as usize].peek_at(at));
                assert!(shown <= there, "{shown} for {key}, which has {there}");
            }
        });
    }
}
