//! The command line. Whatever cannot give a meaningful run is refused, with what would be right.

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::schedule::Plan;

/// Stages an outage of a real HTTP service and shows how four kinds of client come through it.
#[derive(Debug, Parser)]
#[command(name = "outage")]
pub struct Args {
    /// Length of the whole demonstration in seconds; each of the four clients gets a quarter
    #[arg(long, default_value = "60", value_parser = seconds, allow_hyphen_values = true)]
    seconds: u32,

    /// Calls offered per second
    #[arg(long, default_value = "200", value_parser = rate, allow_hyphen_values = true)]
    rate: u32,

    /// Seed of arrivals, service times and jitter: the same seed, the same load
    #[arg(long, default_value = "1", value_parser = seed, allow_hyphen_values = true)]
    pub seed: u64,

    /// Where the picture goes
    #[arg(long, default_value = "target/outage.svg", value_name = "FILE")]
    pub out: PathBuf,
}

/// Clients that share the time.
const CLIENTS: u32 = 4;

/// Calls per second that can be asked for.
const RATES: RangeInclusive<u32> = 50..=1000;

/// Files open beside the connections, generously.
const SPARE_FILES: u64 = 100;

impl Args {
    /// What each client goes through.
    pub fn plan(&self) -> Plan {
        Plan::new(self.rate, Duration::from_secs(self.seconds.into()) / CLIENTS)
    }

    /// Makes sure, before a minute is spent, that the picture can be written and that the process
    /// may open as many connections as the collapse of the naive client takes.
    ///
    /// # Errors
    ///
    /// A message for the user.
    pub fn prepare(&self) -> Result<(), String> {
        let out = self.out.display();
        if self.out.is_dir() {
            return Err(format!(
                "--out {out} is a folder; name a file in it, like {out}/outage.svg"
            ));
        }
        if let Some(folder) = self.out.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| format!("cannot create the folder of --out {out}: {error}"))?;
        }
        // Both ends of a connection live in this process, and the naive client has up to four
        // seconds' worth of calls under way at once.
        let needed = u64::from(self.rate) * 8 + SPARE_FILES;
        match rlimit::increase_nofile_limit(needed) {
            Ok(limit) if limit < needed => {
                let fits = limit.saturating_sub(SPARE_FILES) / 8;
                let or = if fits >= (*RATES.start()).into() {
                    format!(", or use --rate {fits}")
                } else {
                    String::new()
                };
                let rate = self.rate;
                Err(format!(
                    "--rate {rate} takes up to {needed} open files and the limit is {limit}: \
                     raise it (ulimit -n {needed}){or}"
                ))
            }
            // Where there is no such limit to ask for, connecting will tell.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn seconds(text: &str) -> Result<u32, String> {
    whole(text, 30..=3600).ok_or_else(|| {
        "give whole seconds from 30 to 3600: four clients share them, and each needs enough for \
         the upstream to be healthy, slow, failing and recovered"
            .into()
    })
}

fn rate(text: &str) -> Result<u32, String> {
    whole(text, RATES).ok_or_else(|| {
        "give whole calls per second from 50 to 1000: fewer show nothing but noise, more measure \
         this machine instead of the upstream"
            .into()
    })
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

fn whole(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    text.parse().ok().filter(|value| range.contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: &[&str]) -> String {
        match Args::try_parse_from([&["outage"], args].concat()) {
            Ok(args) => panic!("accepted {args:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn bad_numbers_are_refused_with_the_range() {
        for bad in ["0", "29", "-5", "1e9", "", "soon"] {
            assert!(refused(&["--seconds", bad]).contains("30 to 3600"), "{bad}");
        }
        for bad in ["0", "49", "-200", "100000", "99999999999"] {
            assert!(refused(&["--rate", bad]).contains("50 to 1000"), "{bad}");
        }
    }

    #[test]
    fn clients_share_the_time() {
        let plan = Args::try_parse_from(["outage", "--seconds", "30"]).map(|args| args.plan());
        assert_eq!(plan.map(|plan| plan.length).ok(), Some(Duration::from_millis(7500)));
    }
}
