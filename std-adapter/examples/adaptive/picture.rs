//! The picture: a panel for each limit over a shared time axis. It brings its own background and
//! needs nothing but an SVG viewer.

use svg::Document;
use svg::node::element::{Group, Line, Path, Rectangle, Text, Title};

use crate::plan::Plan;
use crate::report::Act;

const WIDTH: f64 = 1000.0;

/// Where the panels are; right of them stand the figures.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 766.0;
const TOP: f64 = 132.0;
const PANEL: f64 = 92.0;
const GAP: f64 = 16.0;

const PAPER: &str = "#fbfcfe";
const INK: &str = "#1d2733";
const FAINT: &str = "#5d6b7a";
const GRID: &str = "#dfe5ec";
const FRAME: &str = "#bcc6d2";
const GOOD: &str = "#12946a";
const CAPACITY: &str = "#c96a12";
const LIMIT: &str = "#8a4fd3";
const FONT: &str = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Helvetica, Arial, sans-serif";

/// Draws the acts in their order.
pub fn draw(plan: &Plan, acts: &[Act]) -> Document {
    let bottom = TOP + acts.len() as f64 * (PANEL + GAP) - GAP;
    let height = bottom + 50.0;
    let document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", FONT)
        .set("font-size", 13)
        .set("role", "img")
        .add(Title::new("One overloaded service, behind each of the limits"))
        .add(area((0.5, 0.5), (WIDTH - 1.0, height - 1.0), PAPER).set("rx", 14).set("stroke", GRID))
        .add(heading(plan));
    let panels = acts.iter().enumerate().fold(document, |document, (index, act)| {
        let top = TOP + index as f64 * (PANEL + GAP);
        document.add(Panel { plan, top }.draw(index, act))
    });
    panels.add(time_axis(plan, bottom))
}

fn heading(plan: &Plan) -> Group {
    let words = format!(
        "{} clients want about twice what the service can do. Good: answered within a second.",
        plan.clients
    );
    let key = |x: f64, colour, name| {
        let stroke = line((LEFT + x, 96.0), (LEFT + x + 24.0, 96.0), colour);
        let name = text(LEFT + x + 31.0, 100.5, INK, name);
        Group::new().add(stroke.set("stroke-width", 2)).add(name)
    };
    let title = text(LEFT, 44.0, INK, "One overloaded service, behind each of the limits");
    Group::new()
        .add(title.set("font-size", 25).set("font-weight", 700))
        .add(text(LEFT, 68.0, FAINT, words).set("font-size", 14))
        .add(key(0.0, GOOD, "good answers"))
        .add(key(143.0, CAPACITY, "what the service can do"))
        .add(key(350.0, LIMIT, "limit (a full panel is ten times what is of use)"))
}

fn time_axis(plan: &Plan, bottom: f64) -> Group {
    let axis = Group::new().set("text-anchor", "middle");
    let labels =
        (0..=plan.length()).step_by(plan.seconds as usize / 2).fold(axis, |axis, second| {
            let x = across(plan, f64::from(second));
            axis.add(line((x, bottom), (x, bottom + 5.0), FAINT)).add(text(
                x,
                bottom + 19.0,
                FAINT,
                second.to_string(),
            ))
        });
    labels.add(text((LEFT + RIGHT) / 2.0, bottom + 38.0, FAINT, "seconds"))
}

/// The place of a moment on the time axis.
fn across(plan: &Plan, second: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * second / f64::from(plan.length())
}

/// The panel of one limit.
struct Panel<'a> {
    plan: &'a Plan,
    /// Its upper edge.
    top: f64,
}

impl Panel<'_> {
    fn draw(&self, index: usize, act: &Act) -> Group {
        let frame = || area((LEFT, self.top), (RIGHT - LEFT, PANEL), "#ffffff");
        let most = self.plan.stages.iter().map(|stage| self.plan.capacity(stage));
        let most = most.fold(0.0, f64::max) * 1.15;
        let rate = |rate: f64| rate / most;
        let good = self.curve(act.seconds.iter().map(|second| rate(f64::from(second.good))));
        let useful = f64::from(self.plan.stages[0].workers);
        let limit = act.seconds.iter().map(|second| f64::from(second.limit) / useful / 10.0);
        let shade = Path::new()
            .set("d", format!("{good}L{RIGHT} {y}L{LEFT} {y}Z", y = self.top + PANEL))
            .set("fill", GOOD)
            .set("fill-opacity", 0.25);
        let mut panel = Group::new()
            .add(frame())
            .add(shade)
            .add(stroke(&self.capacity(&rate), CAPACITY).set("stroke-dasharray", "6 4"))
            .add(stroke(&good, GOOD));
        if act.seconds.iter().any(|second| second.limit > 0) {
            panel = panel.add(stroke(&self.curve(limit), LIMIT));
        }
        panel = panel.add(frame().set("fill", "none").set("stroke", FRAME));
        if index == 0 {
            panel = panel.add(self.stages());
        }
        panel.add(self.figures(act))
    }

    /// A curve of shares of the panel, one for each second.
    fn curve(&self, shares: impl Iterator<Item = f64>) -> String {
        shares.enumerate().fold(String::new(), |path, (second, share)| {
            let x = round(across(self.plan, second as f64 + 0.5));
            let y = round(self.up(share));
            format!("{path}{}{x} {y}", if path.is_empty() { "M" } else { "L" })
        })
    }

    fn up(&self, share: f64) -> f64 {
        // What is higher than the panel runs along its upper edge.
        self.top + PANEL - PANEL * share.min(0.985)
    }

    fn capacity(&self, rate: &dyn Fn(f64) -> f64) -> String {
        let steps = self.plan.stages.iter().enumerate().flat_map(|(index, stage)| {
            let y = round(self.up(rate(self.plan.capacity(stage))));
            [index, index + 1].map(|edge| {
                let x = across(self.plan, edge as f64 * f64::from(self.plan.seconds));
                format!("{} {y}", round(x))
            })
        });
        format!("M{}", steps.collect::<Vec<_>>().join("L"))
    }

    fn stages(&self) -> Group {
        let names = Group::new().set("text-anchor", "middle").set("font-weight", 600);
        self.plan.stages.iter().enumerate().fold(names, |names, (index, stage)| {
            let middle = (index as f64 + 0.5) * f64::from(self.plan.seconds);
            names.add(text(across(self.plan, middle), self.top - 8.0, INK, stage.name))
        })
    }

    fn figures(&self, act: &Act) -> Group {
        const X: f64 = RIGHT + 16.0;
        let mean = |of: &dyn Fn(&crate::judge::Figures) -> f64| {
            act.figures.iter().map(of).sum::<f64>() / act.figures.len() as f64
        };
        let good = mean(&|stage| stage.reached) * 100.0;
        let slower = mean(&|stage| stage.latency);
        let name = text(X, self.top + 22.0, INK, act.name);
        let good = text(X, self.top + 46.0, INK, format!("{good:.0} % of what can be done"));
        let slower = match slower > 0.0 {
            true => format!("{slower:.1} x the latency without load"),
            false => "nothing in time".into(),
        };
        Group::new().add(name.set("font-size", 14).set("font-weight", 700)).add(good).add(text(
            X,
            self.top + 66.0,
            INK,
            slower,
        ))
    }
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

fn area(corner: (f64, f64), size: (f64, f64), fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", round(corner.0))
        .set("y", round(corner.1))
        .set("width", round(size.0))
        .set("height", round(size.1))
        .set("fill", fill)
}

fn stroke(path: &str, colour: &str) -> Path {
    Path::new()
        .set("d", path)
        .set("fill", "none")
        .set("stroke", colour)
        .set("stroke-width", 2)
        .set("stroke-linejoin", "round")
}

/// A tenth of a pixel is finer than any eye, and keeps the file small.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
