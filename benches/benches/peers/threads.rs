//! The same operations by several threads at once on the same object: how many a second, and how
//! evenly the threads share it.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fusebox_benches::Table;

use crate::rows::Rows;

/// As many as the machine has processors for.
const THREADS: [usize; 4] = [2, 4, 8, 16];
const SPAN: Duration = Duration::from_millis(200);
/// Between two looks at whether it is over.
const BATCH: u64 = 64;

pub(crate) struct Threads {
    number: usize,
    span: Duration,
    job: String,
    table: Table,
}

/// Measures `rows` with each number of threads, and keeps what it found for the report. Once and
/// briefly where only one run was asked for (`--test`), not at all where some rows were.
pub(crate) fn measure(rows: impl Fn(&mut Threads)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let test = arguments.iter().any(|argument| argument == "--test");
    if arguments
        .iter()
        .any(|argument| !argument.starts_with('-') && argument.parse::<f64>().is_err())
    {
        return;
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut all = Threads {
        number: 0,
        span: if test { Duration::from_millis(1) } else { SPAN },
        job: String::new(),
        table: Table::new("threads"),
    };
    for number in THREADS.into_iter().filter(|number| *number <= processors) {
        all.number = number;
        rows(&mut all);
    }
    if !test {
        all.table.save();
    }
}

impl Rows for Threads {
    fn is_alone(&self) -> bool {
        false
    }

    fn group(&mut self, job: &str) {
        self.job = job.to_string();
    }

    fn row<M, F>(&mut self, name: &str, _: bool, make: M)
    where
        M: Fn() -> F + Sync,
        F: FnMut() -> bool,
    {
        let start = Barrier::new(self.number + 1);
        let over = AtomicBool::new(false);
        let one = || {
            let _entered = crate::runtime().enter();
            let mut operation = make();
            start.wait();
            let mut done = 0_u64;
            // Relaxed: says when, and publishes nothing.
            while !over.load(Ordering::Relaxed) {
                for _ in 0..BATCH {
                    black_box(operation());
                }
                done += BATCH;
            }
            done
        };
        let (each, elapsed) = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.number).map(|_| scope.spawn(one)).collect();
            start.wait();
            let begin = Instant::now();
            thread::sleep(self.span);
            over.store(true, Ordering::Relaxed);
            let elapsed = begin.elapsed();
            let each: Vec<u64> =
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            (each, elapsed)
        });
        let (least, most) = (each.iter().min().copied(), each.iter().max().copied());
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(0));
        let total = each.iter().sum::<u64>() as f64 / elapsed.as_secs_f64() / 1e6;
        let evenness = least as f64 / most.max(1) as f64;
        println!(
            "{} threads, {}: {name}: {total:.1} million a second, least / most {evenness:.2}",
            self.number, self.job
        );
        let number = self.number.to_string();
        self.table.add(&[&number, &self.job, name], &[total, evenness]);
    }
}
