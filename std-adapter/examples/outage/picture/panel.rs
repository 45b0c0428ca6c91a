//! One client's share of the picture: the load, what came of it, and what its breaker did.

use std::time::Duration;

use fusebox_std::State;
use svg::node::element::{ClipPath, Definitions, Group, Path, Text};

use super::{
    CAPACITY, FAINT, FRAME, GOOD, GOOD_SHADE, GRID, HALF_OPEN, HALF_OPEN_SHADE, INK, LEFT, OFFERED,
    OPEN, OPEN_SHADE, PANEL, REQUESTS, RIGHT, TROUBLE, across, area, line, round, stroke, text,
};
use crate::Act;
use crate::drive::{Run, TICK};
use crate::schedule::{Plan, Stage};

/// A curve has so many points.
const POINTS: u32 = 300;

/// The panel of one client.
pub struct Panel {
    pub plan: Plan,
    /// Its upper edge.
    pub top: f64,
}

impl Panel {
    /// Draws the `index`-th act.
    pub fn draw(&self, index: usize, act: &Act) -> Group {
        let clip = format!("panel-{index}");
        let frame = || area(LEFT, self.top, RIGHT - LEFT, PANEL, "#ffffff");
        let rates = Rates::of(&act.run, &self.plan);
        let good = self.curve(&rates.good);
        let down = format!("L{RIGHT} {y}L{LEFT} {y}Z", y = self.top + PANEL);
        let data = Group::new()
            .set("clip-path", format!("url(#{clip})"))
            .add(self.stages())
            .add(self.grid())
            .add(self.breaker(&act.run))
            .add(stroke(&self.capacity(), CAPACITY, 2.0).set("stroke-dasharray", "6 4"))
            .add(
                Path::new()
                    .set("d", good.clone() + &down)
                    .set("fill", GOOD)
                    .set("fill-opacity", GOOD_SHADE),
            )
            .add(stroke(&self.curve(&rates.requests), REQUESTS, 1.8))
            .add(stroke(&self.curve(&rates.offered), OFFERED, 1.4))
            .add(stroke(&good, GOOD, 2.2));
        let mut panel = Group::new()
            .add(Definitions::new().add(ClipPath::new().set("id", clip).add(frame())))
            .add(frame())
            .add(data)
            .add(frame().set("fill", "none").set("stroke", FRAME))
            .add(self.scale())
            .add(self.figures(act));
        if index == 0 {
            panel = panel.add(self.stage_names());
        }
        if let Some(note) = self.overflow(&rates.requests) {
            panel = panel.add(note);
        }
        panel
    }

    /// The top of the scale: a little above what the upstream can do at its best.
    fn most(&self) -> f64 {
        self.plan.capacity(Stage::Healthy) * 1.3
    }

    fn up(&self, rate: f64) -> f64 {
        // What is higher than the panel runs along its upper edge.
        self.top + PANEL - PANEL * (rate / self.most()).min(0.988)
    }

    fn curve(&self, rates: &[(Duration, f64)]) -> String {
        let mut path = String::new();
        for (index, &(at, rate)) in rates.iter().enumerate() {
            let (x, y) = (round(across(&self.plan, at)), round(self.up(rate)));
            path += &format!("{}{x} {y}", if index == 0 { "M" } else { "L" });
        }
        path
    }

    fn capacity(&self) -> String {
        let steps = Stage::ALL.into_iter().flat_map(|stage| {
            let capacity = self.plan.capacity(stage);
            [(self.plan.begin(stage), capacity), (self.plan.end(stage), capacity)]
        });
        self.curve(&steps.collect::<Vec<_>>())
    }

    /// The bad times, shaded.
    fn stages(&self) -> Group {
        let bad = [Stage::Slow, Stage::Failing];
        bad.into_iter().fold(Group::new(), |group, stage| {
            let x = across(&self.plan, self.plan.begin(stage));
            let width = across(&self.plan, self.plan.end(stage)) - x;
            group
                .add(area(x, self.top, width, PANEL, TROUBLE))
                .add(line((x + width, self.top), (x + width, self.top + PANEL), FRAME))
                .add(line((x, self.top), (x, self.top + PANEL), FRAME))
        })
    }

    fn stage_names(&self) -> Group {
        let names = Group::new().set("text-anchor", "middle").set("font-weight", 600);
        Stage::ALL.into_iter().fold(names, |names, stage| {
            let middle = (self.plan.begin(stage) + self.plan.end(stage)) / 2;
            names.add(text(across(&self.plan, middle), self.top - 10.0, INK, stage.name()))
        })
    }

    fn breaker(&self, run: &Run) -> Group {
        let mut bands = Group::new();
        for same in run.samples.chunk_by(|a, b| a.breaker == b.breaker) {
            let (Some(first), Some(last)) = (same.first(), same.last()) else { continue };
            let (colour, shade) = match first.breaker {
                Some(State::Open) => (OPEN, OPEN_SHADE),
                Some(State::HalfOpen) => (HALF_OPEN, HALF_OPEN_SHADE),
                _ => continue,
            };
            let x = across(&self.plan, first.at);
            let width = across(&self.plan, last.at + TICK) - x;
            bands = bands.add(area(x, self.top, width, PANEL, colour).set("fill-opacity", shade));
        }
        bands
    }

    /// The rates that get a label: multiples of half the load.
    fn ticks(&self) -> impl Iterator<Item = u32> {
        let apart = self.plan.rate / 2;
        (0..).map(move |tick| tick * apart).take_while(|&tick| f64::from(tick) < self.most())
    }

    fn grid(&self) -> Group {
        self.ticks().fold(Group::new(), |grid, tick| {
            let y = self.up(tick.into());
            grid.add(line((LEFT, y), (RIGHT, y), GRID))
        })
    }

    fn scale(&self) -> Group {
        let labels = Group::new().set("text-anchor", "end").set("font-size", 12);
        self.ticks().fold(labels, |labels, tick| {
            let label = if tick == 0 { "0".into() } else { format!("{tick}/s") };
            labels.add(text(LEFT - 8.0, self.up(tick.into()) + 4.0, FAINT, label))
        })
    }

    /// Says how high the requests are after the recovery, if that is mostly above the panel.
    fn overflow(&self, requests: &[(Duration, f64)]) -> Option<Text> {
        let begin = self.plan.begin(Stage::Recovered);
        let after = requests.partition_point(|&(at, _)| at < begin);
        let rates = || requests[after..].iter().map(|&(_, rate)| rate);
        let above = rates().filter(|&rate| rate > self.most()).count();
        (above * 2 > rates().count()).then(|| {
            let mean = rates().sum::<f64>() / rates().count() as f64;
            let middle = across(&self.plan, (begin + self.plan.length) / 2);
            text(middle, self.top + 18.0, REQUESTS, format!("\u{2191} {mean:.0} requests/s"))
                .set("text-anchor", "middle")
                .set("font-weight", 600)
        })
    }

    fn figures(&self, act: &Act) -> Group {
        const X: f64 = RIGHT + 18.0;
        let summary = &act.summary;
        let (colour, back) = match summary.recovery {
            Some(_) => (GOOD, format!("normal after {}", summary.recovery_text())),
            None => (OPEN, "never back to normal".into()),
        };
        Group::new()
            .add(
                text(X, self.top + 24.0, INK, act.name)
                    .set("font-size", 16)
                    .set("font-weight", 700),
            )
            .add(text(X, self.top + 50.0, INK, format!("{:.0} good/s", summary.goodput)))
            .add(text(
                X,
                self.top + 71.0,
                INK,
                format!("{:.0} % of calls good", summary.success * 100.0),
            ))
            .add(text(
                X,
                self.top + 92.0,
                INK,
                format!("{:.2} requests per call", summary.amplification),
            ))
            .add(text(X, self.top + 118.0, colour, back).set("font-weight", 700))
    }
}

/// What happened per second, over time.
struct Rates {
    offered: Vec<(Duration, f64)>,
    good: Vec<(Duration, f64)>,
    requests: Vec<(Duration, f64)>,
}

impl Rates {
    /// Calls count when they arrived, so that the gap between the two curves is what was lost.
    fn of(run: &Run, plan: &Plan) -> Self {
        let mut rates = Self { offered: Vec::new(), good: Vec::new(), requests: Vec::new() };
        // A rate is what happened this long before and after: enough calls to be smooth.
        let around = plan.patience / 5;
        for at in (0..=POINTS).map(|point| plan.length * point / POINTS) {
            let from = at.saturating_sub(around);
            let to = (at + around).min(plan.length);
            let per_second = |count: f64| (at, count / (to - from).as_secs_f64());
            let begin = run.calls.partition_point(|call| call.at < from);
            let end = run.calls.partition_point(|call| call.at < to);
            let good = run.calls[begin..end].iter().filter(|call| call.good).count();
            let received = |at| {
                let past = run.samples.partition_point(|sample| sample.at <= at);
                past.checked_sub(1).map_or(0, |last| run.samples[last].received)
            };
            rates.offered.push(per_second((end - begin) as f64));
            rates.good.push(per_second(good as f64));
            rates.requests.push(per_second((received(to) - received(from)) as f64));
        }
        rates
    }
}
