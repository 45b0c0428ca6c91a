//! Adaptive limits at work: 10 000 clients want twice what a service can do, which changes by
//! steps, and at its door stands nothing, or one of the limits. It fails where one of them does not
//! reach what it must.
//!
//! All of it is simulated in virtual time, call by call and from a seed, by the library's own state
//! machines. What to look for:
//!
//! * Without a limit the queue grows until nobody waits for the answers any more that the service
//!   is working on, and it stays so.
//! * Gradient2 as it was published takes the queue for usual in the end, and allows ever more of
//!   it. Here it does not, and even begun there it finds back.
//! * The others find what the service can do within seconds, also where it lost most of its
//!   workers, and where all calls take three times as long: then the limit is right and the latency
//!   not a sign of load. AIMD has nothing to tell that by; it fills the queue up to what it is
//!   told.
//!
//! ```text
//! cargo run --release -p fusebox-std --example adaptive
//! ```

#![allow(unreachable_pub, reason = "a binary exports nothing; `pub` is for the sibling modules")]

mod cast;
mod judge;
mod limits;
mod picture;
mod plan;
mod report;
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::cast::Player;
use crate::judge::Figures;
use crate::plan::Plan;
use crate::report::Act;

/// Simulates an overloaded service behind each of the adaptive limits.
#[derive(Debug, Parser)]
#[command(name = "adaptive")]
struct Args {
    /// Half of the service, fewer clients, less time
    #[arg(long)]
    short: bool,

    /// Seed of all chance: the same seed, the same history
    #[arg(long, default_value = "1")]
    seed: u64,

    /// Where the picture goes; without it there is none
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match show(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &Args) -> Result<(), Box<dyn Error>> {
    let plan = Plan::new(args.short);
    let begin = Instant::now();
    let mut acts = Vec::new();
    let mut misses = Vec::new();
    for player in Player::ALL {
        let seconds = player.play(&plan, args.seed);
        let figures = Figures::of(&plan, &seconds);
        misses.extend(judge::misses(player, &figures));
        let act = Act { name: player.name(), seconds, figures };
        println!("{}\n{}", act.name, report::timeline(&plan, &act));
        acts.push(act);
    }
    let took = begin.elapsed();
    let calls: u64 = acts.iter().flat_map(|act| &act.seconds).map(|s| u64::from(s.calls)).sum();
    println!("\n{}", report::table(&plan, &acts));
    println!("{calls} calls in {:.1} s", took.as_secs_f64());
    if let Some(out) = &args.out {
        svg::save(out, &picture::draw(&plan, &acts))
            .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
        println!("picture: {}", out.display());
    }
    if misses.is_empty() {
        return Ok(());
    }
    let misses: Vec<_> = misses.iter().map(ToString::to_string).collect();
    Err(misses.join("\n").into())
}
