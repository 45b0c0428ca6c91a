//! The simulated world: clients, a service with a queue, and the limit at its door, in virtual
//! time.
//!
//! Nothing sleeps and nothing is random but by the seed: the same plan is the same history, call by
//! call. The limits are those of the library, asked with the world's own time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use fusebox_std::{Outcome, Random, Rng, Ticks};

use crate::limits::Limit;
use crate::plan::{Plan, Stage};

/// Nanoseconds of virtual time.
pub type Nanos = u64;

pub const SECOND: Nanos = 1_000_000_000;

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// Calls that clients made, those that were refused included.
    pub calls: u32,
    /// Calls that were refused at the door.
    pub refused: u32,
    /// Calls that were answered within the clients' patience.
    pub good: u32,
    /// The sum of their latencies.
    pub waited: Nanos,
    /// The largest limit; 0 where there is none.
    pub limit: u32,
}

impl Second {
    /// The mean latency in milliseconds.
    pub fn latency(&self) -> f64 {
        self.waited as f64 / 1e6 / f64::from(self.good.max(1))
    }
}

/// What the queue of events holds, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// This client makes a call.
    Call(u32),
    /// This job is done.
    Done(u32),
}

/// A call that was let in.
#[derive(Clone, Copy, Debug)]
struct Job {
    client: u32,
    began: Nanos,
    entered: Ticks,
    /// How much work it is: the time that it takes an idle worker of a healthy service.
    work: Nanos,
    /// Its client has given up.
    abandoned: bool,
    /// Tells jobs apart that have the same number one after the other; 0 once done.
    serial: u64,
}

/// The world during a run.
struct World<'a, L> {
    plan: &'a Plan,
    limit: &'a L,
    now: Nanos,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    /// Counts events and jobs: ties are broken in the order of birth.
    born: u64,
    jobs: Vec<Job>,
    spare: Vec<u32>,
    /// Jobs that no worker has taken up yet.
    queue: VecDeque<u32>,
    /// When clients give up: all have the same patience, so this is in order.
    patience: VecDeque<(Nanos, u32, u64)>,
    busy: u32,
    chance: Rng,
    seconds: Vec<Second>,
}

/// Lives through `plan` with `limit` at the door of the service.
pub fn run<L: Limit>(plan: &Plan, limit: &L, seed: u64) -> Vec<Second> {
    let mut world = World {
        plan,
        limit,
        now: 0,
        events: BinaryHeap::with_capacity(plan.clients as usize * 2),
        born: 0,
        jobs: Vec::new(),
        spare: Vec::new(),
        queue: VecDeque::new(),
        patience: VecDeque::new(),
        busy: 0,
        chance: Rng::from_seed(seed),
        seconds: vec![Second::default(); plan.length() as usize],
    };
    for client in 0..plan.clients {
        let first = world.chance.below(plan.think * 2);
        world.schedule(first, Event::Call(client));
    }
    let end = u64::from(plan.length()) * SECOND;
    while world.now < end {
        world.step();
    }
    world.seconds
}

impl<L: Limit> World<'_, L> {
    fn schedule(&mut self, at: Nanos, event: Event) {
        self.born += 1;
        self.events.push(Reverse((at, self.born, event)));
    }

    fn step(&mut self) {
        let next = self.events.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        if let Some(&(at, job, serial)) = self.patience.front() {
            if at < next {
                self.patience.pop_front();
                self.now = at;
                self.give_up(job, serial);
                return;
            }
        }
        let Some(Reverse((at, _, event))) = self.events.pop() else { return };
        self.now = at;
        match event {
            Event::Call(client) => self.call(client),
            Event::Done(job) => self.done(job),
        }
    }

    fn second(&mut self) -> &mut Second {
        let last = self.seconds.len() - 1;
        &mut self.seconds[((self.now / SECOND) as usize).min(last)]
    }

    fn stage(&self) -> &Stage {
        self.plan.stage(self.now)
    }

    fn call(&mut self, client: u32) {
        self.second().calls += 1;
        let Some(entered) = self.limit.enter(Ticks(self.now)) else {
            self.second().refused += 1;
            self.think(client);
            return;
        };
        let work = self.work();
        self.born += 1;
        let serial = self.born;
        let job = Job { client, began: self.now, entered, work, abandoned: false, serial };
        let number = match self.spare.pop() {
            Some(number) => {
                self.jobs[number as usize] = job;
                number
            }
            None => {
                self.jobs.push(job);
                self.jobs.len() as u32 - 1
            }
        };
        self.patience.push_back((self.now + self.plan.patience, number, serial));
        self.queue.push_back(number);
        self.take_up();
    }

    /// Idle workers take up what waits.
    fn take_up(&mut self) {
        while self.busy < self.stage().workers {
            let Some(number) = self.queue.pop_front() else { return };
            self.busy += 1;
            let work = self.jobs[number as usize].work * u64::from(self.stage().slowdown);
            self.schedule(self.now + work, Event::Done(number));
        }
    }

    fn done(&mut self, number: u32) {
        self.busy -= 1;
        self.spare.push(number);
        let job = self.jobs[number as usize];
        self.jobs[number as usize].serial = 0;
        if !job.abandoned {
            let latency = self.now - job.began;
            self.limit.exit(job.entered, Outcome::Success, Ticks(self.now));
            let limit = self.limit.limit();
            let second = self.second();
            second.good += 1;
            second.waited += latency;
            second.limit = second.limit.max(limit);
            self.think(job.client);
        }
        self.take_up();
    }

    /// The client of a job goes away. The service does not know, and does the work.
    fn give_up(&mut self, number: u32, serial: u64) {
        let job = &mut self.jobs[number as usize];
        if job.serial != serial {
            return;
        }
        job.abandoned = true;
        let (client, entered) = (job.client, job.entered);
        self.limit.exit(entered, Outcome::Failure, Ticks(self.now));
        self.think(client);
    }

    fn think(&mut self, client: u32) {
        let pause = self.exponential(self.plan.think);
        self.schedule(self.now + pause, Event::Call(client));
    }

    /// Half of the work is the same for all, half of it varies.
    fn work(&mut self) -> Nanos {
        self.plan.work / 2 + self.exponential(self.plan.work / 2)
    }

    fn exponential(&mut self, mean: Nanos) -> Nanos {
        // In (0, 1], so that the logarithm is finite.
        let unit = ((self.chance.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        (mean as f64 * -unit.ln()) as Nanos
    }
}
