//! A bar for each, job by job, each job on a scale of its own.

use std::collections::BTreeMap;

use svg::node::element::{Rectangle, Style, Text};
use svg::{Document, Node};

use crate::jobs::JOBS;
use crate::{Row, short, sorted};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 300.0;
const LONGEST: f64 = WIDTH - LEFT - 130.0;
const BAR: f64 = 13.0;
const LINE: f64 = 18.0;
const HEAD: f64 = 30.0;
const FAR: f64 = 10.0;

/// Readable on light and dark pages: the picture has its own background.
const STYLE: &str = "text { font: 12px sans-serif; fill: #222 } .head { font-weight: bold } \
                     .right { text-anchor: end } .small { font-size: 10px; fill: #666 }";

fn colour(row: &Row) -> &'static str {
    match () {
        () if row.is_ours() => "#d1495b",
        () if row.is_limit() => "#c8c8c8",
        () => "#5b7fa6",
    }
}

pub(crate) fn draw(groups: &BTreeMap<String, Vec<Row>>, machine: &str) -> Document {
    let mut picture = Picture { document: Document::new().add(Style::new(STYLE)), y: 14.0 };
    picture.document = picture.document.add(background());
    for job in &JOBS {
        if let (Some(name), Some(rows)) = (job.chart, groups.get(job.name)) {
            picture.job(name, rows);
        }
    }
    picture.text(
        10.0,
        "ns per call, shorter is better; grey: what the machine itself takes",
        "small",
    );
    picture.y += LINE;
    picture.text(10.0, machine, "small");
    let height = picture.y + 12.0;
    picture.document.set("viewBox", (0, 0, WIDTH, height)).set("width", WIDTH).set("height", height)
}

fn background() -> Rectangle {
    Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "#fff")
}

struct Picture {
    document: Document,
    y: f64,
}

impl Picture {
    fn job(&mut self, name: &str, rows: &[Row]) {
        self.text(10.0, name, "head");
        let mut times: Vec<f64> = rows.iter().map(|row| row.time).collect();
        times.sort_by(|a, b| b.total_cmp(a));
        // One that takes far longer than all others would make them too short to compare.
        let most = times[0].min(FAR * times.get(1).unwrap_or(&times[0]));
        self.y += LINE;
        for row in sorted(rows) {
            let long = (row.time / most * LONGEST).clamp(1.0, LONGEST);
            let cut = if row.time > most { " (cut short)" } else { "" };
            let bar = Rectangle::new()
                .set("x", LEFT)
                .set("y", self.y - 11.0)
                .set("width", format!("{long:.1}"))
                .set("height", BAR)
                .set("fill", colour(row));
            self.document.append(bar);
            self.text(LEFT - 8.0, &row.name(), "right");
            self.text(LEFT + long + 6.0, &(short(row.time) + cut), "");
            self.y += LINE;
        }
        self.y += HEAD - LINE;
    }

    fn text(&mut self, x: f64, text: &str, class: &str) {
        let text = Text::new(text).set("x", format!("{x:.1}")).set("y", self.y).set("class", class);
        self.document.append(text);
    }
}
