//! An outage, staged: one upstream service turns slow, then fails, then recovers, and four clients
//! with more and more protection live through it under the same load.
//!
//! Nothing of it is played: a real HTTP server with a finite number of workers and a queue, real
//! connections, and the same arrivals for everybody. What to look for:
//!
//! * Without protection, calls fail until the queue has drained; then all is well by itself.
//! * Retries alone are more load than the upstream can take, so the queue never drains: it stays
//!   down long after its trouble is over. This is a metastable failure (Huang et al., OSDI 2022).
//! * A retry budget bounds the extra load, and so the upstream comes back. Later than without
//!   retries: a timeout gives up the answer, not the work, and ten percent more is still more.
//! * The full pipeline keeps the queue short (bulkhead), stays away while most answers are errors
//!   (breaker), and so serves what can be served and is back at once.
//!
//! ```text
//! cargo run --release -p fusebox-std --example outage
//! ```

#![allow(unreachable_pub, reason = "a binary exports nothing; `pub` is for the sibling modules")]

mod args;
mod client;
mod drive;
mod link;
mod picture;
mod progress;
mod report;
mod schedule;
mod upstream;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use fusebox_std::ConfigError;

use crate::args::Args;
use crate::client::{Careful, Client, Fused, RetriesOnly, Unprotected};
use crate::drive::{Run, drive};
use crate::link::Link;
use crate::progress::Progress;
use crate::report::Summary;
use crate::schedule::Plan;
use crate::upstream::Upstream;

const NAMES: [&str; 4] = ["no protection", "retries only", "backoff + budget", "full pipeline"];

fn main() -> ExitCode {
    let args = Args::parse();
    match show(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &Args) -> Result<(), Box<dyn Error>> {
    args.prepare()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plan = args.plan();
    progress::announce(&plan, args.seed);
    let stage = Scene {
        plan,
        seed: args.seed,
        arrivals: plan.arrivals(args.seed),
        progress: Progress::new(plan, &NAMES),
    };
    let acts = runtime.block_on(async {
        let seed = args.seed;
        Ok::<_, Box<dyn Error>>([
            stage.act(NAMES[0], |link| Ok(Unprotected::new(link))).await?,
            stage.act(NAMES[1], |link| Ok(RetriesOnly::new(link))).await?,
            stage.act(NAMES[2], |link| Careful::new(link, &plan, seed)).await?,
            stage.act(NAMES[3], |link| Fused::new(link, &plan, seed)).await?,
        ])
    })?;
    println!("\n{}", report::table(&acts.each_ref().map(|act| (act.name, act.summary))));
    svg::save(&args.out, &picture::draw(&plan, &acts))
        .map_err(|error| format!("cannot write {}: {error}", args.out.display()))?;
    println!("picture: {}", args.out.display());
    Ok(())
}

/// What is the same for every client.
struct Scene {
    plan: Plan,
    seed: u64,
    arrivals: Vec<Duration>,
    progress: Progress,
}

/// One client's part in it.
#[derive(Debug)]
pub struct Act {
    name: &'static str,
    run: Run,
    summary: Summary,
}

impl Scene {
    /// Drives the client that `build` makes against an upstream of its own.
    async fn act<C: Client>(
        &self,
        name: &'static str,
        build: impl FnOnce(Arc<Link>) -> Result<C, ConfigError>,
    ) -> Result<Act, Box<dyn Error>> {
        let upstream = Upstream::start(self.plan, self.seed)
            .map_err(|error| format!("cannot start the upstream: {error}"))?;
        let link = Arc::new(Link::new(&upstream)?);
        let client = Arc::new(build(Arc::clone(&link))?);
        let mut follower = self.progress.client(name);
        let watch = |sample: &_| follower.see(sample);
        let run = drive(client, &upstream, &self.plan, &self.arrivals, watch).await?;
        let summary = Summary::new(&run, &self.plan);
        let (goodput, back) = (summary.goodput, summary.recovery_text());
        follower.finish(format!("good {goodput:.0}/s  back to normal: {back}"));
        if link.broken() > 0 {
            eprintln!("note: {} requests of \"{name}\" found no connection", link.broken());
        }
        Ok(Act { name, run, summary })
    }
}
