//! All times at which interrupts can come into a race.

use core::fmt;

use board::{NANOS_PER_INSTRUCTION, Report, STORES_CONDITIONALLY, stores_conditionally, timer};

use crate::race::{INTERRUPTS, Outcome, Race, When};
use crate::time::Time;

/// A time, in ticks, after which no steps are still being taken.
const LONG: u32 = 1 << 20;

/// The ticks from one time to try to the next: as many as pass over no instruction, although the
/// timer may be set in the middle of a tick, which makes up to one of difference.
const STRIDE: u32 = {
    let ticks = NANOS_PER_INSTRUCTION * timer::TICKS_PER_SECOND / 1_000_000_000;
    assert!(ticks >= 2, "the timer cannot hit each instruction");
    ticks as u32 - 1
};

/// The orders in which steps and interrupts can come, and what comes of each.
struct Orders {
    outcomes: [Outcome; 16],
    came_up: [bool; 16],
    count: usize,
}

/// A race to explore.
pub(crate) struct Case {
    name: &'static str,
    interrupts: usize,
    race: fn(&mut Race),
    /// What must be noted in some of the runs.
    note: Option<&'static str>,
}

impl Case {
    /// A race with one interrupt.
    pub(crate) const fn new(name: &'static str, race: fn(&mut Race)) -> Self {
        Self { name, interrupts: 1, race, note: None }
    }

    /// The same with two.
    pub(crate) const fn twice(name: &'static str, race: fn(&mut Race)) -> Self {
        Self { interrupts: 2, ..Self::new(name, race) }
    }

    /// A race with one interrupt, that [notes](Race::noted) something in some of its runs.
    pub(crate) const fn noting(
        note: &'static str,
        name: &'static str,
        race: fn(&mut Race),
    ) -> Self {
        Self { note: Some(note), ..Self::new(name, race) }
    }

    /// Runs the race with interrupts at all times, and reports what came of it.
    pub(crate) fn explore(&self, report: &mut Report, margins: &mut Margins) {
        let explored = Sweep::new(self).and_then(Sweep::all);
        if let (Ok(covered), 1) = (&explored, self.interrupts) {
            margins.note(covered);
        }
        report.tell(self.name, explored);
    }
}

/// Whether each instruction was interrupted.
///
/// How long the steps take is measured just around them, and interrupts are counted from a few
/// instructions before that to a few after it. These are the same few each time, so there must be
/// as many interrupts more than instructions each time; one of difference comes of rounding. (Where
/// compare-and-swap masks interrupts, its instructions cannot be interrupted, and nothing is said.)
#[derive(Default)]
pub(crate) struct Margins(Option<(u32, u32)>);

impl Margins {
    fn note(&mut self, covered: &Coverage) {
        let margin = covered.times.saturating_sub(covered.instructions);
        let (least, most) = self.0.unwrap_or((margin, margin));
        self.0 = Some((least.min(margin), most.max(margin)));
    }

    pub(crate) fn report(self, report: &mut Report) {
        let (least, most) = self.0.unwrap_or_default();
        const NAME: &str = "each instruction was interrupted";
        if STORES_CONDITIONALLY && (least == 0 || most > least + 1) {
            let why = format_args!("{least} to {most} interrupts more than instructions");
            report.check(NAME, Err(why));
        } else if STORES_CONDITIONALLY {
            report.check(NAME, Ok::<_, &str>(()));
        }
    }
}

struct Sweep<'a> {
    case: &'a Case,
    orders: Orders,
    covered: Coverage,
    last: [Option<usize>; INTERRUPTS],
}

impl<'a> Sweep<'a> {
    /// Finds out what may come of the race, and how long it is.
    fn new(case: &'a Case) -> Result<Self, Failure> {
        let covered = Coverage { note: case.note, ..Coverage::default() };
        let mut sweep = Self { case, orders: Orders::NONE, covered, last: [None; INTERRUPTS] };
        let steps = sweep.run(When::Before([0; INTERRUPTS])).steps;
        for first in 0..=steps {
            for second in first..=if case.interrupts > 1 { steps } else { first } {
                let race = sweep.run(When::Before([first, second]));
                if !race.holds {
                    return Err(Failure::Wrong { at: race.hits, outcome: race.outcome });
                }
                sweep.orders.allow(race.outcome);
            }
        }
        sweep.covered.orders = sweep.orders.count as u32;

        let alone = sweep.run(When::After([LONG; INTERRUPTS]));
        let nanos = u64::from(alone.ticks) * 1_000_000_000 / timer::TICKS_PER_SECOND;
        sweep.covered.instructions = (nanos / NANOS_PER_INSTRUCTION) as u32;
        Ok(sweep)
    }

    fn run(&self, when: When) -> Race {
        Time::reset();
        let mut run = Race::new(self.case.interrupts, when);
        (self.case.race)(&mut run);
        run
    }

    /// Interrupts at all times.
    fn all(mut self) -> Result<Coverage, Failure> {
        let mut last = None;
        for first in ticks() {
            let hit = self.at([first, LONG])?[0];
            if hit.is_none() && last.is_some() {
                return self.close();
            }
            // What follows an instruction is another one: the same one is the same time, hit by two
            // ticks.
            if hit != last && self.case.interrupts > 1 {
                self.all_after(first)?;
            }
            last = hit;
        }
        Err(Failure::Endless)
    }

    /// Interrupts at all times after the first interrupt.
    fn all_after(&mut self, first: u32) -> Result<(), Failure> {
        for second in ticks() {
            if self.at([first, second])?[1].is_none() {
                return Ok(());
            }
        }
        Err(Failure::Endless)
    }

    /// Interrupts after so many ticks, and judges what came of it.
    fn at(&mut self, ticks: [u32; INTERRUPTS]) -> Result<[Option<usize>; INTERRUPTS], Failure> {
        let race = self.run(When::After(ticks));
        let hits = race.hits;
        if !self.orders.note(race.outcome) || !race.holds {
            return Err(Failure::Wrong { at: hits, outcome: race.outcome });
        }
        self.covered.noted += u32::from(race.noted);
        self.cover(hits);
        Ok(hits)
    }

    fn cover(&mut self, hits: [Option<usize>; INTERRUPTS]) {
        let last = core::mem::replace(&mut self.last, hits);
        let newest = hits[self.case.interrupts - 1];
        if let Some(address) = newest.filter(|_| hits != last) {
            self.covered.times += 1;
            self.covered.conditional += u32::from(stores_conditionally(address));
        }
    }

    fn close(self) -> Result<Coverage, Failure> {
        let covered = self.covered;
        if covered.note.is_some() && covered.noted == 0 {
            return Err(Failure::NeverNoted(covered));
        }
        match self.orders.missing() {
            None => Ok(covered),
            Some(outcome) => Err(Failure::NeverCameUp(outcome)),
        }
    }
}

/// Times to try. SysTick cannot count less than two.
fn ticks() -> impl Iterator<Item = u32> {
    (2..LONG).step_by(STRIDE as usize)
}

impl Orders {
    const NONE: Self = Self { outcomes: [Outcome::NONE; 16], came_up: [false; 16], count: 0 };

    /// Something that may come of the race. (Orders beyond the room there is are not allowed, which
    /// is on the safe side.)
    fn allow(&mut self, outcome: Outcome) {
        if self.find(outcome).is_none() && self.count < self.outcomes.len() {
            self.outcomes[self.count] = outcome;
            self.count += 1;
        }
    }

    fn find(&self, outcome: Outcome) -> Option<usize> {
        self.outcomes[..self.count].iter().position(|&allowed| allowed == outcome)
    }

    /// Notes something that came of the race; false where it may not.
    fn note(&mut self, outcome: Outcome) -> bool {
        let found = self.find(outcome);
        if let Some(which) = found {
            self.came_up[which] = true;
        }
        found.is_some()
    }

    /// What should have come up and did not.
    fn missing(&self) -> Option<Outcome> {
        let which = self.came_up[..self.count].iter().position(|&came_up| !came_up)?;
        Some(self.outcomes[which])
    }
}

/// What the interrupts met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    /// Different times, in instructions, or pairs of times.
    times: u32,
    /// How many of them were just before a store-conditional: between an atomic's load and its
    /// store.
    conditional: u32,
    /// The instructions of the steps, uninterrupted.
    instructions: u32,
    /// The different outcomes that there may be, all of which came up.
    orders: u32,
    /// In how many runs something was noted, and what.
    noted: u32,
    note: Option<&'static str>,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, conditional, instructions, orders, noted, note } = self;
        write!(f, "{instructions} instructions, {times} interrupts")?;
        if STORES_CONDITIONALLY {
            write!(f, " ({conditional} before a store-conditional)")?;
        }
        write!(f, ", outcomes {orders}")?;
        note.map_or(Ok(()), |note| write!(f, ", {noted} {note}"))
    }
}

enum Failure {
    /// What came of it may not come of it.
    Wrong { at: [Option<usize>; INTERRUPTS], outcome: Outcome },
    /// This may come of it, and never did.
    NeverCameUp(Outcome),
    /// What should be noted never was.
    NeverNoted(Coverage),
    /// The steps do not end.
    Endless,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong { at, outcome } => {
                write!(f, "wrong outcome: {outcome}; interrupted before")?;
                at.iter().flatten().try_for_each(|address| write!(f, " {address:#010x}"))
            }
            Self::NeverCameUp(outcome) => write!(f, "{outcome} never came up"),
            Self::NeverNoted(covered) => write!(f, "something never happened: {covered}"),
            Self::Endless => f.write_str("does not end"),
        }
    }
}
