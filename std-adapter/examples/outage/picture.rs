//! The picture: one panel per client over a shared time axis, so that what differs between them is
//! seen at a glance. It brings its own background and needs nothing but an SVG viewer.

use std::time::Duration;

use svg::Document;
use svg::node::element::{Group, Line, Path, Rectangle, Text, Title};

use self::panel::Panel;
use crate::Act;
use crate::schedule::{Plan, Stage};

mod panel;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 900.0;

/// Where the panels are; right of them stand the figures.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 806.0;
const TOP: f64 = 146.0;
const PANEL: f64 = 158.0;
const GAP: f64 = 20.0;
const BOTTOM: f64 = TOP + 4.0 * PANEL + 3.0 * GAP;

const PAPER: &str = "#fbfcfe";
const INK: &str = "#1d2733";
const FAINT: &str = "#5d6b7a";
const GRID: &str = "#dfe5ec";
const FRAME: &str = "#bcc6d2";
const TROUBLE: &str = "#e9edf3";
const GOOD: &str = "#12946a";
const OFFERED: &str = "#334155";
const REQUESTS: &str = "#8a4fd3";
const CAPACITY: &str = "#c96a12";
const OPEN: &str = "#e0484d";
const HALF_OPEN: &str = "#eeb11c";
const GOOD_SHADE: f64 = 0.32;
const OPEN_SHADE: f64 = 0.22;
const HALF_OPEN_SHADE: f64 = 0.65;
const FONT: &str = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Helvetica, Arial, sans-serif";

/// Draws the acts in their order.
pub fn draw(plan: &Plan, acts: &[Act; 4]) -> Document {
    let paper = area(0.5, 0.5, WIDTH - 1.0, HEIGHT - 1.0, PAPER).set("rx", 14).set("stroke", GRID);
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, HEIGHT))
        .set("width", WIDTH)
        .set("height", HEIGHT)
        .set("font-family", FONT)
        .set("font-size", 13)
        .set("role", "img")
        .add(Title::new("One outage, four clients"))
        .add(paper)
        .add(heading(plan))
        .add(legend());
    for (index, act) in acts.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL + GAP);
        document = document.add(Panel { plan: *plan, top }.draw(index, act));
    }
    document.add(time_axis(plan))
}

fn text(x: f64, y: f64, fill: &str, words: impl Into<String>) -> Text {
    Text::new(words).set("x", round(x)).set("y", round(y)).set("fill", fill)
}

fn line(from: (f64, f64), to: (f64, f64), stroke: &str) -> Line {
    Line::new()
        .set("x1", round(from.0))
        .set("y1", round(from.1))
        .set("x2", round(to.0))
        .set("y2", round(to.1))
        .set("stroke", stroke)
}

fn area(x: f64, y: f64, width: f64, height: f64, fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", round(x))
        .set("y", round(y))
        .set("width", round(width))
        .set("height", round(height))
        .set("fill", fill)
}

fn stroke(path: &str, colour: &str, width: f64) -> Path {
    Path::new()
        .set("d", path)
        .set("fill", "none")
        .set("stroke", colour)
        .set("stroke-width", width)
        .set("stroke-linejoin", "round")
}

/// A tenth of a pixel is finer than any eye, and keeps the file small.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn heading(plan: &Plan) -> Group {
    let subtitle = format!(
        "The same {} calls/s through each, to a real HTTP service that can answer {:.0}/s. \
         Good: a 200 within {} s.",
        plan.rate,
        plan.capacity(Stage::Healthy),
        plan.patience.as_secs_f64(),
    );
    Group::new()
        .add(
            text(LEFT, 44.0, INK, "One outage, four clients")
                .set("font-size", 25)
                .set("font-weight", 700),
        )
        .add(text(LEFT, 68.0, FAINT, subtitle).set("font-size", 14))
}

fn legend() -> Group {
    const Y: f64 = 96.0;
    let stroke = |x, colour| line((x, Y), (x + 24.0, Y), colour).set("stroke-width", 2);
    let patch = |x, colour| area(x, Y - 7.0, 24.0, 14.0, colour).set("rx", 2);
    let name = |x, words| text(x + 31.0, Y + 4.5, INK, words);
    // Apart enough for the widest of the fonts that may come to be used.
    let [offered, good, requests, capacity, open, half_open] =
        [0.0, 140.0, 283.0, 466.0, 643.0, 791.0].map(|x| LEFT + x);
    Group::new()
        .add(stroke(offered, OFFERED))
        .add(name(offered, "calls offered"))
        .add(patch(good, GOOD).set("fill-opacity", GOOD_SHADE))
        .add(line((good, Y - 7.0), (good + 24.0, Y - 7.0), GOOD).set("stroke-width", 2))
        .add(name(good, "good answers"))
        .add(stroke(requests, REQUESTS))
        .add(name(requests, "requests upstream"))
        .add(stroke(capacity, CAPACITY).set("stroke-dasharray", "6 4"))
        .add(name(capacity, "upstream capacity"))
        .add(patch(open, OPEN).set("fill-opacity", OPEN_SHADE))
        .add(name(open, "breaker open"))
        .add(patch(half_open, HALF_OPEN).set("fill-opacity", HALF_OPEN_SHADE))
        .add(name(half_open, "half-open"))
}

fn time_axis(plan: &Plan) -> Group {
    let seconds = plan.length.as_secs_f64();
    // At most sixteen labels, at round distances.
    let apart = [1, 2, 5, 10, 30, 60, 120].into_iter().find(|&d| seconds / f64::from(d) <= 16.0);
    let apart = apart.unwrap_or(300);
    let mut axis = Group::new().set("text-anchor", "middle");
    for second in (0..=plan.length.as_secs()).step_by(apart as usize) {
        let x = across(plan, Duration::from_secs(second));
        let label = text(x, BOTTOM + 19.0, FAINT, second.to_string());
        axis = axis.add(line((x, BOTTOM), (x, BOTTOM + 5.0), FAINT)).add(label);
    }
    axis.add(text((LEFT + RIGHT) / 2.0, BOTTOM + 38.0, FAINT, "seconds of each client's run"))
}

/// The place of a moment on the time axis.
fn across(plan: &Plan, at: Duration) -> f64 {
    LEFT + (RIGHT - LEFT) * at.min(plan.length).as_secs_f64() / plan.length.as_secs_f64()
}
