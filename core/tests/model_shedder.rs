//! The load shedder against a model of it that is slow and obvious: two numbers and a list of
//! shares.

mod modelling;

use fusebox_core::{
    Gate, LoadShedder, Outcome, Permit, Priority, Ratio, Reason, ShedderConfig, WORD_BITS,
};
use proptest::prelude::*;

/// The largest limit, as documented.
const MAX: u32 = if WORD_BITS == 64 { (1 << 24) - 1 } else { 4_095 };

#[derive(Clone, Copy, Debug)]
enum Op {
    Enter(Option<Priority>),
    /// End a call, one way or another.
    Exit(usize, Outcome),
    /// Give back what was not taken.
    ExitTwice,
    SetLimit(u32),
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(Priority::ALL.to_vec())
}

fn op() -> impl Strategy<Value = Op> {
    use Outcome::{Abandoned, Failure, Ignored, Refused, Success};
    let outcome = prop::sample::select(vec![Success, Failure, Ignored, Abandoned, Refused]);
    let limit = prop_oneof![6 => 0..8_u32, 1 => Just(MAX), 1 => Just(MAX + 1), 1 => any::<u32>()];
    prop_oneof![
        8 => prop::option::of(priority()).prop_map(Op::Enter),
        6 => (0..8_usize, outcome).prop_map(|(index, outcome)| Op::Exit(index, outcome)),
        1 => Just(Op::ExitTwice),
        2 => limit.prop_map(Op::SetLimit),
    ]
}

struct Model {
    limit: u32,
    in_flight: u32,
    shares: [(u32, u32); 4],
}

impl Model {
    fn places(&self, priority: Option<Priority>) -> u32 {
        let Some(priority) = priority else { return self.limit };
        let (numerator, denominator) = self.shares[priority as usize];
        // In units of 1/32768, rounded up, and never less than one call.
        let share = (u64::from(numerator) * 32_768).div_ceil(u64::from(denominator));
        ((u64::from(self.limit) * share / 32_768) as u32).max(1)
    }

    fn enter(&mut self, priority: Option<Priority>) -> bool {
        let admitted = self.in_flight < self.places(priority);
        self.in_flight += u32::from(admitted);
        admitted
    }
}

/// Runs `ops` on a shedder and the model.
fn run(limit: u32, shares: [(u32, u32); 4], ops: &[Op]) -> Result<(), TestCaseError> {
    let config = Priority::ALL.iter().fold(ShedderConfig::new(limit), |config, &priority| {
        let (numerator, denominator) = shares[priority as usize];
        config.share(priority, Ratio::new(numerator, denominator))
    });
    let at_most = |a: (u32, u32), b: (u32, u32)| a.0 * b.1 <= b.0 * a.1;
    let valid = shares.windows(2).all(|pair| at_most(pair[0], pair[1]))
        && shares.iter().all(|&share| share.0 > 0 && at_most(share, (1, 1)));
    let shedder = match LoadShedder::try_new(config) {
        Ok(shedder) => shedder,
        Err(error) => {
            prop_assert!(!valid, "{}", error);
            return Ok(());
        }
    };
    prop_assert!(valid, "{:?} was taken", shares);
    let mut model = Model { limit, in_flight: 0, shares };
    let mut held = 0;
    for op in ops {
        match *op {
            Op::Enter(priority) => {
                let answer = match priority {
                    Some(priority) => shedder.at(priority).permit().map(std::mem::forget),
                    None => shedder.permit().map(std::mem::forget),
                };
                prop_assert_eq!(answer.is_ok(), model.enter(priority), "{:?}", op);
                if let Err(refused) = answer {
                    prop_assert_eq!(refused.reason(), Reason::Overloaded);
                }
                held += usize::from(answer.is_ok());
            }
            Op::Exit(index, outcome) if index < held => {
                Permit::adopt(&shedder, ()).finish(outcome);
                held -= 1;
                model.in_flight -= 1;
            }
            Op::Exit(..) => {}
            Op::ExitTwice => {
                if held == 0 {
                    shedder.exit((), Outcome::Success);
                }
            }
            Op::SetLimit(limit) => {
                let valid = (1..=MAX).contains(&limit);
                prop_assert_eq!(shedder.set_limit(limit).is_ok(), valid);
                model.limit = if valid { limit } else { model.limit };
            }
        }
        let load = shedder.snapshot();
        prop_assert_eq!((load.limit(), load.in_flight()), (model.limit, model.in_flight));
        let percent = u64::from(model.in_flight) * 100 / u64::from(model.limit);
        prop_assert_eq!(u64::from(load.percent()), percent);
    }
    Ok(())
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn lets_in_what_the_model_lets_in(
        limit in prop_oneof![4 => 1..10_u32, 1 => 1..=MAX],
        shares in prop_oneof![
            3 => prop::array::uniform4(1..=7_u32).prop_map(|mut parts| {
                parts.sort_unstable();
                parts.map(|part| (part, 7))
            }),
            1 => prop::array::uniform4((0..5_u32, 1..5_u32)),
        ],
        ops in prop::collection::vec(op(), 1..60),
    ) {
        run(limit, shares, &ops)?;
    }
}
