//! What is printed: a table of the stages, and how goodput and limit went.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::judge::Figures;
use crate::plan::Plan;
use crate::world::Second;

/// One player's run.
#[derive(Debug)]
pub struct Act {
    pub name: &'static str,
    pub seconds: Vec<Second>,
    pub figures: Vec<Figures>,
}

/// For each player and stage what was reached.
pub fn table(plan: &Plan, acts: &[Act]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let stages = plan.stages.iter().map(|stage| {
        let capacity = plan.capacity(stage);
        format!("{}\n{capacity:.0}/s, {} of use", stage.name, stage.workers)
    });
    table.set_header(["".to_owned()].into_iter().chain(stages));
    for act in acts {
        let cells = act.figures.iter().map(|stage| {
            let settled = stage.settled.map_or("never".into(), |seconds| format!("{seconds} s"));
            let (good, limit, peak) = (stage.reached * 100.0, stage.limit, stage.peak);
            let text = format!(
                "{good:.0} % after {settled}\nlimit {limit}, peak {peak}\n{:.0} ms",
                stage.milliseconds
            );
            Cell::new(text).set_alignment(CellAlignment::Right)
        });
        table.add_row([Cell::new(act.name)].into_iter().chain(cells));
    }
    table
}

/// Goodput against the capacity, and the limit against ten times what is of use, over time.
pub fn timeline(plan: &Plan, act: &Act) -> String {
    let columns = act.seconds.chunks(2).enumerate().map(|(column, seconds)| {
        let stage = plan.stage(column as u64 * 2 * crate::world::SECOND);
        let count = seconds.len() as f64;
        let good = seconds.iter().map(|second| f64::from(second.good)).sum::<f64>() / count;
        let limit = seconds.iter().map(|second| second.limit).max().unwrap_or(0);
        let above = f64::from(limit) / f64::from(stage.workers * 10);
        (bar(good / plan.capacity(stage)), bar(above))
    });
    let (good, limit): (String, String) = columns.unzip();
    format!("  goodput {good}\n  limit   {limit}")
}

/// A share as a bar, from nothing to 1 and above.
fn bar(share: f64) -> char {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    BARS[((share * 8.0).round() as usize).min(8)]
}
