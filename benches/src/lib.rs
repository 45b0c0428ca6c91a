//! What the benchmarks share: an allocator that counts, and where they leave their figures for the
//! report.

mod counting;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

pub use counting::{Counting, allocated, take_peak};

/// The folder of what cargo builds, by where this program is in it: `target/release/deps/it`.
///
/// # Panics
///
/// Where the program is not in such a folder.
#[must_use]
pub fn target() -> PathBuf {
    let program = std::env::current_exe().expect("the program has a path");
    program.ancestors().nth(3).expect("cargo has built it").to_path_buf()
}

fn path(name: &str) -> PathBuf {
    target().join("fusebox-benches").join(format!("{name}.tsv"))
}

/// Figures with names, one row a line, in a file that the report reads.
#[derive(Debug)]
pub struct Table {
    name: &'static str,
    lines: String,
}

impl Table {
    /// An empty one; it replaces the one of the same name when it is saved.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, lines: String::new() }
    }

    /// Adds a row.
    pub fn add(&mut self, names: &[&str], figures: &[f64]) {
        self.lines.push_str(&names.join("\t"));
        for figure in figures {
            write!(self.lines, "\t{figure}").expect("a String takes all");
        }
        self.lines.push('\n');
    }

    /// Writes it down.
    ///
    /// # Panics
    ///
    /// Where the target folder cannot be written.
    pub fn save(&self) {
        let path = path(self.name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("may write");
        fs::write(path, &self.lines).expect("may write");
    }

    /// The rows of a saved one, names and figures; none where it was not measured.
    ///
    /// # Panics
    ///
    /// Where a line has fewer names.
    #[must_use]
    pub fn read(name: &str, names: usize) -> Vec<(Vec<String>, Vec<f64>)> {
        let text = fs::read_to_string(path(name)).unwrap_or_default();
        let rows = text.lines().map(|line| {
            let mut cells = line.split('\t').map(String::from);
            let names = cells.by_ref().take(names).collect();
            (names, cells.map(|figure| figure.parse().expect("a figure")).collect())
        });
        rows.collect()
    }
}
