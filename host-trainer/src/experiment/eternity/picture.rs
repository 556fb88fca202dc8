//! What the adapters take and what they get right, over the bits that they have for a byte.

use super::Data;
use super::low_rank::Start;
use super::memory::Projection;
use crate::report::format::thousands;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;

/// Width and height of the picture, pixels.
const SIZE: (u32, u32) = (940, 940);
/// Height of the upper part, pixels.
const UPPER: u32 = 440;
/// Bits that a random byte has.
const LIMIT: f64 = 8.0;

/// A mark.
#[derive(Clone, Copy)]
struct Mark {
    /// Bits of the adapter for each byte of the file.
    bits: f64,
    /// Share of the bytes that come out right.
    right: f64,
    exact: bool,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The measurements of the random files, or of all files where none is random, as an SVG picture.
///
/// # Errors
/// What the library that draws has to say; nothing in a report is known to lead there.
pub fn svg(data: &[Data], title: &str) -> Result<String, String> {
    let random: Vec<&Data> = data.iter().filter(|data| data.is_random).collect();
    let shown = if random.is_empty() { data.iter().collect() } else { random };
    let mut text = String::new();
    draw(&shown, title, &mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn memories(data: &[&Data], projection: Projection) -> Vec<Mark> {
    let all = data.iter().flat_map(|data| &data.memories).filter(|memory| memory.projection == projection);
    all.flat_map(|m| m.held.iter().map(|h| Mark { bits: f64::from(m.dim * h.bits), right: h.right, exact: h.exact }))
        .collect()
}

fn low_rank(data: &Data) -> Vec<Mark> {
    let learned = data.low_rank.iter().filter(|adapter| adapter.start == Start::UpZero);
    learned.map(|a| Mark { bits: 8.0 * a.bytes_per_byte, right: a.right, exact: a.exact }).collect()
}

fn draw(data: &[&Data], title: &str, text: &mut String) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(UPPER);
    let natural = memories(data, Projection::Natural);
    let random = memories(data, Projection::Random);
    let adapters: Vec<(String, Vec<Mark>)> =
        data.iter().map(|data| (format!("{} bytes", thousands(data.bytes)), low_rank(data))).collect();
    let residuals: Vec<f64> = data.iter().map(|data| 8.0 * data.residual.bytes_per_byte).collect();
    let marks = || natural.iter().chain(&random).chain(adapters.iter().flat_map(|(_, marks)| marks));
    let bits = || marks().map(|mark| mark.bits).chain(residuals.iter().copied());
    let (least, most) = (bits().fold(LIMIT, f64::min) / 1.5, bits().fold(LIMIT, f64::max) * 1.5);

    bytes(&upper, title, (least, most), &natural, &random, &adapters, &residuals)?;
    accuracy(&lower, (least, most), &natural, &random, &adapters)?;
    root.present()?;
    Ok(())
}

const GREEN: RGBColor = RGBColor(0, 120, 60);

fn disc<C>(at: C) -> Circle<C, i32> {
    Circle::new(at, 5, BLUE.filled())
}

fn ring<C>(at: C) -> Circle<C, i32> {
    Circle::new(at, 8, RED.stroke_width(2))
}

fn cross<C>(at: C) -> Cross<C, i32> {
    Cross::new(at, 7, RED.stroke_width(2))
}

fn triangle<C>(at: C) -> TriangleMarker<C, i32> {
    TriangleMarker::new(at, 6, GREEN.filled())
}

fn green_cross<C>(at: C) -> Cross<C, i32> {
    Cross::new(at, 5, GREEN.stroke_width(2))
}

/// The points of these marks that are exact, or that are not.
fn points(marks: &[Mark], exact: bool, at: impl Fn(&Mark) -> (f64, f64)) -> Vec<(f64, f64)> {
    marks.iter().filter(|mark| mark.exact == exact).map(at).collect()
}

fn bytes(
    area: &Area<'_>,
    title: &str,
    (least, most): (f64, f64),
    natural: &[Mark],
    random: &[Mark],
    adapters: &[(String, Vec<Mark>)],
    residuals: &[f64],
) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d((least..most).log_scale(), (least / 8.0..most / 8.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("bits of the adapter for each byte of the file (memories: d x bits)")
        .y_desc("bytes for each byte of the file")
        .axis_desc_style(("sans-serif", 17))
        .label_style(("sans-serif", 15))
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .light_line_style(WHITE)
        .draw()?;
    let limit = [(LIMIT, least / 8.0), (LIMIT, most / 8.0)];
    chart
        .draw_series(LineSeries::new(limit, BLACK.stroke_width(2)))?
        .label("8 bits: no less can be exact on random bytes")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLACK.stroke_width(2)));
    let at = |mark: &Mark| (mark.bits, mark.bits / 8.0);
    let key = |x: i32, y: i32| (x + 10, y);
    chart
        .draw_series(points(natural, true, at).into_iter().map(disc))?
        .label("memory, natural code: exact")
        .legend(move |(x, y)| disc(key(x, y)));
    chart
        .draw_series(points(random, true, at).into_iter().map(ring))?
        .label("memory, random projection: exact")
        .legend(move |(x, y)| ring(key(x, y)));
    let missed = [points(random, false, at), points(natural, false, at)].concat();
    chart
        .draw_series(missed.into_iter().map(cross))?
        .label("memory, random projection: not exact")
        .legend(move |(x, y)| cross(key(x, y)));
    let all: Vec<Mark> = adapters.iter().flat_map(|(_, marks)| marks).copied().collect();
    chart
        .draw_series(points(&all, true, at).into_iter().map(triangle))?
        .label("low rank: exact")
        .legend(move |(x, y)| triangle(key(x, y)));
    chart
        .draw_series(points(&all, false, at).into_iter().map(green_cross))?
        .label("low rank: not exact")
        .legend(move |(x, y)| green_cross(key(x, y)));
    let square = |x: i32, y: i32| Rectangle::new([(x - 5, y - 5), (x + 5, y + 5)], BLACK.stroke_width(2));
    let coded = residuals
        .iter()
        .map(|bits| EmptyElement::at((*bits, bits / 8.0)) + Rectangle::new([(-5, -5), (5, 5)], BLACK.stroke_width(2)));
    chart.draw_series(coded)?.label("residual, a GMCF file: exact").legend(move |(x, y)| square(x + 10, y));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font(("sans-serif", 15))
        .draw()?;
    Ok(())
}

fn accuracy(
    area: &Area<'_>,
    (least, most): (f64, f64),
    natural: &[Mark],
    random: &[Mark],
    adapters: &[(String, Vec<Mark>)],
) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d((least..most).log_scale(), -8.0..108.0)?;
    chart
        .configure_mesh()
        .x_desc("bits of the adapter for each byte of the file (memories: d x bits)")
        .y_desc("bytes that are right, %")
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .axis_desc_style(("sans-serif", 17))
        .label_style(("sans-serif", 15))
        .x_label_formatter(&number)
        .light_line_style(WHITE)
        .draw()?;
    chart.draw_series(LineSeries::new([(LIMIT, -8.0), (LIMIT, 108.0)], BLACK.stroke_width(2)))?;
    let at = |mark: &Mark| (mark.bits, 100.0 * mark.right);
    chart.draw_series(points(natural, true, at).into_iter().map(disc))?;
    chart.draw_series(points(random, true, at).into_iter().map(ring))?;
    chart.draw_series(points(random, false, at).into_iter().map(cross))?;
    for (name, marks) in adapters {
        chart.draw_series(LineSeries::new(marks.iter().map(at), GREEN.stroke_width(1)))?;
        chart.draw_series(points(marks, true, at).into_iter().map(triangle))?;
        chart.draw_series(points(marks, false, at).into_iter().map(green_cross))?;
        // Below the adapter of the lowest rank.
        let font = ("sans-serif", 15).into_font().color(&GREEN);
        let label = |at| EmptyElement::at(at) + Text::new(format!("low rank, {name}"), (-8, 8), font.clone());
        chart.draw_series(marks.first().map(at).map(label))?;
    }
    Ok(())
}

/// A tick of an axis of powers of ten.
fn number(value: &f64) -> String {
    if *value < 1.0 { format!("{value}") } else { thousands(*value as u64) }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, run};
    use super::svg;
    use crate::backend::cpu::Cpu;

    #[test]
    fn the_picture_has_both_axes_the_limit_and_the_marks() {
        let settings = Settings { lengths: vec![40], files: Vec::new(), seed: 1, most: 2 };
        let report = run(&Cpu::new(1), &settings, &|_, _, _| {}).unwrap();
        let svg = svg(&report.data, "a <title>").unwrap();
        for wanted in [
            "bits of the adapter",
            "bytes for each byte",
            "right, %",
            "8 bits: no less",
            "a &lt;title&gt;",
            "low rank, 40 bytes",
        ] {
            assert!(svg.contains(wanted), "{wanted}");
        }
        // 30 memories under the natural code, in both parts, and one in the legend.
        assert_eq!(svg.matches("r=\"5\"").count(), 61, "{svg}");
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        assert!(svg(&[], "x").unwrap().contains("</svg>"));
    }
}
