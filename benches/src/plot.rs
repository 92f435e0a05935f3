//! The plot of docs/benchmarks.md, drawn from the tables of that page: the cost of a look-up of a known name against
//! the number of leases. The colour shows whose module it is, the dash which of the two modules.

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::lookups::KNOWN;
use crate::state::{Scene, thousands};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 500.0;
/// The margins of the area with the lines in it.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 590.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 400.0;
/// The least distance between the lines' names.
const NAME_HEIGHT: f64 = 17.0;

const SOLID: &str = "none";
const DASHED: &str = "6 4";
const DOTTED: &str = "2 3";

/// It has its own background, so that it is readable on a page of any colour, and is dark if the reader's system is.
const STYLE: &str = "\
text { fill: #202124 } .ground { fill: #ffffff } .grid { stroke: #dadce0 }
line.stock, polyline.stock { stroke: #b3261e } circle.stock, text.stock { fill: #b3261e }
line.ours, polyline.ours { stroke: #0b57d0 } circle.ours, text.ours { fill: #0b57d0 }
line.daemon, polyline.daemon { stroke: #146c2e } circle.daemon, text.daemon { fill: #146c2e }
line.floor, polyline.floor { stroke: #5f6368 } circle.floor, text.floor { fill: #5f6368 }
@media (prefers-color-scheme: dark) {
text { fill: #e8eaed } .ground { fill: #1e222a } .grid { stroke: #3c4043 }
line.stock, polyline.stock { stroke: #f28b82 } circle.stock, text.stock { fill: #f28b82 }
line.ours, polyline.ours { stroke: #8ab4f8 } circle.ours, text.ours { fill: #8ab4f8 }
line.daemon, polyline.daemon { stroke: #81c995 } circle.daemon, text.daemon { fill: #81c995 }
line.floor, polyline.floor { stroke: #9aa0a6 } circle.floor, text.floor { fill: #9aa0a6 }
}";

/// A line of the plot: a point for each scene.
struct Line {
    name: String,
    /// Its class in the style sheet.
    class: &'static str,
    dash: &'static str,
    /// Seconds.
    took: Vec<f64>,
}

/// A logarithmic axis.
struct Axis {
    /// The values at its ends.
    values: (f64, f64),
    /// The positions of its ends.
    places: (f64, f64),
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let ((least, most), (start, end)) = (self.values, self.places);
        start + (value / least).log10() / (most / least).log10() * (end - start)
    }
}

/// The plot, as SVG. `page` is the text of benchmarks.md.
///
/// # Errors
/// The page lacks a figure.
pub(crate) fn of_page(page: &str) -> Result<String> {
    let scenes: Vec<Scene> =
        Scene::ALL.iter().copied().filter(|scene| *scene != Scene::SPREAD).collect();
    let line = |name: &str, class, dash, table: &str, service: &str, column: &str| {
        let time = |scene: &Scene| {
            let label = match table {
                "snapshot" => format!("{}, {service}, {KNOWN}", scene.label()),
                _ => format!("{}, {KNOWN}", scene.label()),
            };
            figure(page, table, &label, column)
        };
        let took = scenes.iter().map(time).collect::<Result<_>>()?;
        Ok(Line { name: name.to_owned(), class, dash, took })
    };
    let stock = format!("libvirt {}", stock_version(page)?);
    let lines: Vec<Line> = [
        line(&stock, "stock", DASHED, "lookups-guest", "", "libvirt's"),
        line(&stock, "stock", SOLID, "lookups-libvirt", "", "libvirt's"),
        line("libvirt-nss", "ours", DASHED, "lookups-guest", "", "ours"),
        line("libvirt-nss", "ours", SOLID, "lookups-libvirt", "", "ours"),
        line("libvirt-nss with libvirt-nssd", "daemon", SOLID, "snapshot", "libvirt", "ours"),
        line("reading the files, no more", "floor", DOTTED, "lookups-libvirt", "", "floor"),
    ]
    .into_iter()
    .collect::<Result<_>>()?;
    Ok(svg(&scenes, &lines))
}

/// One figure of a table, in seconds.
fn figure(page: &str, table: &str, row: &str, column: &str) -> Result<f64> {
    let lacks = || Error::new(format!("the table {table} has no '{column}' of '{row}'"));
    let begin = format!("<!-- bench:{table} -->\n");
    let (_, table) = page.split_once(&begin).ok_or_else(lacks)?;
    let mut lines = table.lines().take_while(|line| line.starts_with('|')).map(cells);
    let header = lines.next().ok_or_else(lacks)?;
    let at = header.iter().position(|cell| *cell == column).ok_or_else(lacks)?;
    let cells = lines.find(|cells| cells.first() == Some(&row)).ok_or_else(lacks)?;
    cells.get(at).and_then(|cell| seconds(cell)).ok_or_else(lacks)
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// Parses a time as the tables have it: `9.19 µs`.
fn seconds(cell: &str) -> Option<f64> {
    let (number, unit) = cell.split_once(' ')?;
    let factor = match unit {
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// The first two numbers of the version of libvirt's modules: `9.0`.
fn stock_version(page: &str) -> Result<String> {
    let (_, after) = page
        .split_once("libvirt's modules of ")
        .ok_or_else(|| Error::new("the page lacks the version of libvirt's modules"))?;
    let version = after.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let version = version.into_iter().next().unwrap_or_default();
    Ok(version.split('.').take(2).collect::<Vec<_>>().join("."))
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
         <style>\n{STYLE}\n</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n"
    );
    let mut put = |line: String| svg.extend([line.as_str(), "\n"]);
    put(text(LEFT, 28.0, "start", "Processor time of a look-up of a known name"));
    put(text((LEFT + RIGHT) / 2.0, BOTTOM + 56.0, "middle", "leases (networks)"));
    let mut power = powers.0;
    while power <= powers.1 * 1.01 {
        let place = y.place(power);
        put(stroke("grid", SOLID, (LEFT, place), (RIGHT, place)));
        put(text(LEFT - 8.0, place + 4.5, "end", &power_label(power)));
        power *= 10.0;
    }
    for scene in scenes {
        let place = x.place(leases(scene));
        put(stroke("grid", SOLID, (place, TOP), (place, BOTTOM)));
        put(text(place, BOTTOM + 20.0, "middle", &thousands(scene.leases)));
        put(text(place, BOTTOM + 36.0, "middle", &format!("({})", scene.networks)));
    }
    let last = |line: &Line| line.took.last().map_or(BOTTOM, |&took| y.place(took));
    let names = apart(lines.iter().map(last).collect());
    for (line, name) in lines.iter().zip(names) {
        let Line { class, dash, .. } = line;
        let points: Vec<(f64, f64)> = scenes
            .iter()
            .zip(&line.took)
            .map(|(scene, &took)| (x.place(leases(scene)), y.place(took)))
            .collect();
        let joined: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(format!(
            "<polyline class=\"{class}\" points=\"{}\" fill=\"none\" stroke-width=\"2\" \
             stroke-dasharray=\"{dash}\"/>",
            joined.join(" ")
        ));
        for (x, y) in points {
            put(format!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"));
        }
        let label = text(RIGHT + 10.0, name + 4.5, "start", &line.name);
        put(label.replacen("<text", &format!("<text class=\"{class}\""), 1));
    }
    for (at, (dash, meaning)) in [
        (SOLID, "host names (libvirt)"),
        (DASHED, "domain names (libvirt_guest)"),
        (DOTTED, "the floor: reading the files"),
    ]
    .into_iter()
    .enumerate()
    {
        let start = LEFT + [0.0, 200.0, 440.0][at];
        put(stroke("floor", dash, (start, HEIGHT - 18.0), (start + 30.0, HEIGHT - 18.0)));
        put(text(start + 38.0, HEIGHT - 13.5, "start", meaning));
    }
    svg.push_str("</svg>\n");
    svg
}

/// The positions of the names, in the same order and not too close to each other.
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
    written.expect("writing to a String succeeds");
    label
}

fn stroke(class: &str, dash: &str, from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke-dasharray=\"{dash}\"/>",
        from.0, from.1, to.0, to.1
    )
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

    /// docs/benchmarks.svg shows what the tables beside it say.
    #[test]
    fn the_plot_is_of_its_page() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let page = std::fs::read_to_string(docs.join("benchmarks.md")).expect("the page exists");
        let drawn = std::fs::read_to_string(docs.join("benchmarks.svg")).expect("the plot exists");
        let plot = of_page(&page).expect("the page has all figures");
        assert!(plot == drawn, "draw it again with target/release/bench --plot docs");
        assert!(figure(&page, "lookups-libvirt", "no such row", "ours").is_err());
    }
}
