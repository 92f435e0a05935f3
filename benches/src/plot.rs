//! The plot of docs/benchmarks.md: what a look-up costs against how many leases there are.

use std::fmt::Write as _;

use crate::contender::{Kind, OURS, STOCK};
use crate::lookups::{KNOWN, Lookups, Row};
use crate::state::{Scene, thousands};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 470.0;
/// Of the area with the lines in it.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 400.0;
/// Between the lines' names, at least.
const NAME_HEIGHT: f64 = 17.0;

/// A line of the plot: a point for each scene.
struct Line {
    name: String,
    colour: &'static str,
    dash: &'static str,
    /// Seconds.
    took: Vec<f64>,
}

/// A logarithmic axis.
struct Axis {
    /// Values at its ends.
    values: (f64, f64),
    /// Places of its ends.
    places: (f64, f64),
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let ((least, most), (start, end)) = (self.values, self.places);
        start + (value / least).log10() / (most / least).log10() * (end - start)
    }
}

/// The plot, as SVG.
pub(crate) fn of_lookups(lookups: &Lookups) -> String {
    let mut scenes: Vec<Scene> = Vec::new();
    let known = || lookups.forward.iter().filter(|row| row.label == KNOWN);
    for row in known() {
        // Of two with as many leases the first.
        if scenes.iter().all(|scene| scene.leases != row.scene.leases) {
            scenes.push(row.scene);
        }
    }
    let line = |name: &str, colour, dash, kind: Kind, of: fn(&Row) -> usize| {
        let rows = known().filter(|row| row.kind == kind && scenes.contains(&row.scene));
        let took = rows.map(|row| row.took[of(row)].median).collect();
        Line { name: name.to_owned(), colour, dash, took }
    };
    let (stock, ours) = ("#b3261e", "#0b57d0");
    let dashed = "6 4";
    let lines = [
        line("libvirt_guest of libvirt", stock, dashed, Kind::Guest, |_| STOCK),
        line("libvirt of libvirt", stock, "none", Kind::Host, |_| STOCK),
        line("libvirt_guest, ours", ours, dashed, Kind::Guest, |_| OURS),
        line("libvirt, ours", ours, "none", Kind::Host, |_| OURS),
        line("floor under libvirt", "#5f6368", "2 3", Kind::Host, |row| row.took.len() - 1),
    ];
    svg(&scenes, &lines)
}

fn svg(scenes: &[Scene], lines: &[Line]) -> String {
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values
            .fold((f64::INFINITY, 0f64), |(least, most), value| (least.min(value), most.max(value)))
    };
    let (least, most) = ends(&mut lines.iter().flat_map(|line| line.took.iter().copied()));
    let powers = (10f64.powf(least.log10().floor()), 10f64.powf(most.log10().ceil()));
    let leases = |scene: &Scene| scene.leases as f64;
    let x = Axis { values: ends(&mut scenes.iter().map(leases)), places: (LEFT + 15.0, RIGHT) };
    let y = Axis { values: powers, places: (BOTTOM, TOP) };

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Processor time of a look-up against the number of leases</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let mut put = |line: String| svg.extend([line.as_str(), "\n"]);
    put(text(LEFT, 24.0, "start", "Processor time of a look-up of a known name"));
    put(text((LEFT + RIGHT) / 2.0, HEIGHT - 14.0, "middle", "leases (networks)"));
    let mut power = powers.0;
    while power <= powers.1 * 1.01 {
        let place = y.place(power);
        put(format!(
            "<line x1=\"{LEFT}\" y1=\"{place:.1}\" x2=\"{RIGHT}\" y2=\"{place:.1}\" stroke=\"#dadce0\"/>"
        ));
        put(text(LEFT - 8.0, place + 4.5, "end", &power_label(power)));
        power *= 10.0;
    }
    for scene in scenes {
        let place = x.place(leases(scene));
        put(format!(
            "<line x1=\"{place:.1}\" y1=\"{TOP}\" x2=\"{place:.1}\" y2=\"{BOTTOM}\" stroke=\"#dadce0\"/>"
        ));
        put(text(place, BOTTOM + 20.0, "middle", &thousands(scene.leases)));
        put(text(place, BOTTOM + 36.0, "middle", &format!("({})", scene.networks)));
    }
    let last = |line: &Line| line.took.last().map_or(BOTTOM, |&took| y.place(took));
    let names = apart(lines.iter().map(last).collect());
    for (line, name) in lines.iter().zip(names) {
        let Line { colour, dash, .. } = line;
        let points: Vec<(f64, f64)> = scenes
            .iter()
            .zip(&line.took)
            .map(|(scene, &took)| (x.place(leases(scene)), y.place(took)))
            .collect();
        let joined: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dash}\"/>",
            joined.join(" ")
        ));
        for (x, y) in points {
            put(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
        }
        let label = text(RIGHT + 10.0, name + 4.5, "start", &line.name);
        put(label.replacen("<text", &format!("<text fill=\"{colour}\""), 1));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The places of the names, in the same order, with room between them.
fn apart(places: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let mut moved = places;
    for pair in order.windows(2) {
        let [above, below] = [pair[0], pair[1]];
        moved[below] = moved[below].max(moved[above] + NAME_HEIGHT);
    }
    moved
}

fn power_label(seconds: f64) -> String {
    let microseconds = (seconds * 1e6).round();
    let mut label = String::new();
    let written = match microseconds {
        many if many >= 1e6 => write!(label, "{} s", many / 1e6),
        many if many >= 1e3 => write!(label, "{} ms", many / 1e3),
        few => write!(label, "{few} µs"),
    };
    written.expect("a string takes all");
    label
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_logarithmic() {
        let axis = Axis { values: (1.0, 100.0), places: (0.0, 200.0) };
        assert_eq!([axis.place(1.0), axis.place(10.0), axis.place(100.0)], [0.0, 100.0, 200.0]);
    }

    #[test]
    fn names_stand_apart() {
        let places = apart(vec![100.0, 20.0, 101.0]);
        assert_eq!(places, [100.0, 20.0, 117.0]);
    }

    #[test]
    fn labels_of_powers() {
        let labels = [1e-6, 1e-4, 1e-3, 0.1, 1.0].map(power_label);
        assert_eq!(labels, ["1 µs", "100 µs", "1 ms", "100 ms", "1 s"]);
    }
}
