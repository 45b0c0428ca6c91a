//! Turns what the benchmarks left in the target folder into `RESULTS.md` and `results.svg` beside
//! this crate's manifest. `benches/run` runs all of it.

mod chart;
mod jobs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use fusebox_benches::{Table, target};
use jobs::{JOBS, why};
use serde_json::Value;

/// Less of a difference is not one, from run to run.
const AS_FAST: f64 = 1.02;

/// A row on one thread: who, and nanoseconds per call.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) who: String,
    pub(crate) time: f64,
}

impl Row {
    fn is_ours(&self) -> bool {
        // What there is by key goes by its name.
        self.who == "us" || self.who.starts_with("us, ") || self.who.starts_with("Keyed")
    }

    fn is_limit(&self) -> bool {
        self.who.starts_with("limit: ")
    }

    /// As the tables and the chart name it.
    pub(crate) fn name(&self) -> String {
        if self.is_ours() { self.who.replacen("us", "fusebox", 1) } else { self.who.clone() }
    }
}

/// The rows of a job, fastest first, the limit after them.
pub(crate) fn sorted(rows: &[Row]) -> Vec<&Row> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by(|a, b| {
        (a.is_limit(), a.time).partial_cmp(&(b.is_limit(), b.time)).expect("times")
    });
    sorted
}

fn fastest(rows: &[Row], which: impl Fn(&Row) -> bool) -> Option<&Row> {
    sorted(rows).into_iter().find(|row| which(row))
}

/// Criterion's medians, by group.
fn measured() -> BTreeMap<String, Vec<Row>> {
    let mut groups = BTreeMap::<String, Vec<Row>>::new();
    let mut folders = vec![target().join("criterion")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        if !folder.ends_with("new") {
            continue;
        }
        let (about, found) =
            (json(&folder.join("benchmark.json")), json(&folder.join("estimates.json")));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let time = found["median"]["point_estimate"].as_f64().expect("criterion's median");
        let row = Row { who: text(&about["function_id"]), time };
        groups.entry(text(&about["group_id"])).or_default().push(row);
    }
    groups
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("criterion has written it");
    serde_json::from_str(&text).expect("criterion writes JSON")
}

/// Three digits, or all before the point.
pub(crate) fn short(figure: f64) -> String {
    match figure {
        f if f < 10.0 => format!("{f:.2}"),
        f if f < 100.0 => format!("{f:.1}"),
        f => format!("{f:.0}"),
    }
}

fn compared(text: &mut String, job: &str, rows: &[Row]) -> std::fmt::Result {
    let limit = fastest(rows, Row::is_limit);
    let peer = fastest(rows, |row| !row.is_ours() && !row.is_limit());
    let ours = fastest(rows, Row::is_ours);
    writeln!(text, "\n### {job}\n\n| | ns | × best peer | × limit |\n|---|---:|---:|---:|")?;
    for row in sorted(rows) {
        let to = |other: Option<&Row>| other.map_or(String::new(), |o| short(row.time / o.time));
        let to_peer = if row.is_limit() { String::new() } else { to(peer) };
        let name = if row.is_ours() { format!("**{}**", row.name()) } else { row.name() };
        writeln!(text, "| {name} | {} | {to_peer} | {} |", short(row.time), to(limit))?;
    }
    match (ours, peer) {
        (Some(ours), Some(peer)) if peer.time * AS_FAST < ours.time => {
            writeln!(text, "\n**{} is faster**: {}.", peer.name(), why(job, &peer.who))
        }
        _ => Ok(()),
    }
}

/// The jobs of the chart, a line each: what the README shows.
fn in_short(text: &mut String, groups: &BTreeMap<String, Vec<Row>>) -> std::fmt::Result {
    writeln!(text, "\n| | fusebox | best peer | limit |\n|---|---:|---|---|")?;
    for job in &JOBS {
        let (Some(name), Some(rows)) = (job.chart, groups.get(job.name)) else { continue };
        let Some(ours) = fastest(rows, Row::is_ours) else { continue };
        let said = |row: Option<&Row>| {
            row.map_or(String::new(), |row| {
                format!("{} ({})", short(row.time), row.who.trim_start_matches("limit: "))
            })
        };
        let peer = said(fastest(rows, |row| !row.is_ours() && !row.is_limit()));
        let limit = said(fastest(rows, Row::is_limit));
        writeln!(text, "| {name} | {} | {peer} | {limit} |", short(ours.time))?;
    }
    Ok(())
}

fn threads(text: &mut String) -> std::fmt::Result {
    let rows = Table::read("threads", 3);
    let mut head = "";
    for (names, figures) in &rows {
        let [number, job, who] = names.as_slice() else { continue };
        let [total, evenness] = figures.as_slice() else { continue };
        if head != number {
            head = number;
            writeln!(
                text,
                "\n### {number} threads\n\n| | | million calls/s | × best peer | least / most of a thread |\n\
                 |---|---|---:|---:|---:|"
            )?;
        }
        let is_peer =
            |who: &str| who != "us" && !who.starts_with("us, ") && !who.starts_with("limit");
        let best = rows
            .iter()
            .filter(|(other, _)| other[..2] == names[..2] && is_peer(&other[2]))
            .map(|(_, figures)| figures[0])
            .fold(0.0, f64::max);
        let ratio = if best > 0.0 && !who.starts_with("limit") {
            short(total / best)
        } else {
            String::new()
        };
        let who = Row { who: who.clone(), time: 0.0 }.name();
        writeln!(text, "| {job} | {who} | {} | {ratio} | {evenness:.2} |", short(*total))?;
    }
    Ok(())
}

fn memory(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n| | | bytes | and on the heap |\n|---|---|---:|---:|")?;
    for (names, figures) in Table::read("memory", 2) {
        writeln!(text, "| {} | {} | {} | {} |", names[0], names[1], figures[0], figures[1])?;
    }
    let keyed = Table::read("keyed", 1);
    if !keyed.is_empty() {
        writeln!(
            text,
            "\nA map of 10^6 keys:\n\n| | bytes per key | while it grows | ns to add one |"
        )?;
        writeln!(text, "|---|---:|---:|---:|")?;
    }
    for (names, figures) in keyed {
        let [now, peak, time] = figures.as_slice() else { continue };
        writeln!(text, "| {} | {now:.1} | {peak:.1} | {time:.0} |", names[0])?;
    }
    Ok(())
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_string())
}

/// The processor, how many of it, the compiler, the date.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor that does not say", |(_, model)| model);
    let number = std::thread::available_parallelism().map_or(1, usize::from);
    let virtual_one = if info.contains("hypervisor") { ", in a virtual machine" } else { "" };
    let rust = said_by("rustc", &["-V"]);
    let rust: Vec<&str> = rust.split(' ').take(2).collect();
    let date = said_by("date", &["-u", "+%F"]);
    let trial = if std::env::args().any(|argument| argument == "--quick") {
        " (a quick trial on a busy machine, not figures to go by)"
    } else {
        ""
    };
    format!("{number} × {model}{virtual_one}, {}, {date}{trial}", rust.join(" "))
}

fn results(
    groups: &mut BTreeMap<String, Vec<Row>>,
    machine: &str,
) -> Result<String, std::fmt::Error> {
    let mut text = format!(
        "# What it costs, beside others\n\n\
         {machine}. `benches/run` measures it again; machines differ and this one is shared, so compare \
         ratios.\n\n\
         Medians of criterion, one call on one thread, nothing contended, fat LTO, one codegen unit. The limit is \
         what the machine takes for what no implementation can do without, measured right after the rows that it \
         stands with. The sources in [`benches/peers`](benches/peers) say how each peer is set up to do the same \
         job, and which are left out.\n\n\
         ![Nanoseconds per call](results.svg)\n\n## In short\n"
    );
    in_short(&mut text, groups)?;
    text.push_str("\n## On one thread\n");
    for job in &JOBS {
        if let Some(rows) = groups.remove(job.name) {
            compared(&mut text, job.name, &rows)?;
        }
    }
    text.push_str("\n## By several threads on one object\n");
    threads(&mut text)?;
    text.push_str("\n## Memory\n");
    memory(&mut text)?;
    text.push_str("\n## Others\n");
    for (job, rows) in groups {
        writeln!(text, "\n### {job}\n\n| | ns |\n|---|---:|")?;
        for row in sorted(rows) {
            writeln!(text, "| {} | {} |", row.name(), short(row.time))?;
        }
    }
    Ok(text)
}

fn main() -> std::io::Result<()> {
    let mut groups = measured();
    let machine = machine();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    svg::save(folder.join("results.svg"), &chart::draw(&groups, &machine))?;
    let text = results(&mut groups, &machine).expect("a String takes all");
    fs::write(folder.join("RESULTS.md"), text)
}
