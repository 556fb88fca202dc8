//! The learning curve: what a byte costs, over the bytes seen.

use super::run::Progress;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::error::Error;

/// Points of a run's own loss, at most.
const POINTS: u64 = 400;
/// Measurements of the files held back that a run is divided into.
const MEASURED: u64 = 20;
/// Width and height of the picture, pixels.
const SIZE: (u32, u32) = (900, 540);
/// Bytes of a sample of the files held back, at least and at most.
const SAMPLE: (u64, u64) = (4 << 10, 64 << 10);
/// Bytes of a file in the sample, where there are many files.
const HEAD: u64 = 2 << 10;

/// One point of the curve.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Point {
    /// Bytes seen.
    pub seen: u64,
    /// Bits per byte of the bytes learned from, a running mean.
    pub loss: f64,
    /// Bits per byte of the sample of the files held back, where they were measured.
    pub held_back: Option<f64>,
}

/// A learning curve.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Curve {
    points: Vec<Point>,
}

/// Which files held back are measured while a network learns, and how many bytes of each: `(every, bytes)`. A run of
/// `all` bytes spends little of its time on that.
pub fn sample(files: usize, all: u64) -> (usize, usize) {
    let size = (all / 100).clamp(SAMPLE.0, SAMPLE.1);
    let head = HEAD.max(size / files.max(1) as u64);
    (files.div_ceil((size / head).max(1) as usize).max(1), head as usize)
}

impl Curve {
    /// All points, in the order of the bytes seen.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Bits per byte of the files held back when they were last measured.
    pub fn held_back(&self) -> Option<f64> {
        self.points.iter().rev().find_map(|point| point.held_back)
    }

    /// Whether it is time to measure the files held back: some twenty times in a run, and at the end of an epoch that
    /// is not a short one.
    pub fn wants_measure(&self, progress: &Progress, epoch_is_over: bool) -> bool {
        let last = self.points.iter().rfind(|point| point.held_back.is_some()).map_or(0, |point| point.seen);
        let since = progress.seen - last.min(progress.seen);
        let share = progress.all / MEASURED;
        since > 0 && since >= if epoch_is_over { share / 4 } else { share }
    }

    /// Notes how far a run has come, where the last point is far enough behind or something was measured.
    pub fn note(&mut self, progress: &Progress, held_back: Option<f64>) {
        let Progress { seen, all, loss, .. } = *progress;
        let last = self.points.last().map_or(0, |point| point.seen);
        if held_back.is_some() || self.points.is_empty() || seen >= last + (all / POINTS).max(1) {
            self.points.push(Point { seen, loss, held_back });
        }
    }

    /// The curve as an SVG picture under this title.
    ///
    /// # Errors
    /// What the library that draws has to say; nothing in a curve is known to lead there.
    pub fn svg(&self, title: &str) -> Result<String, String> {
        let mut text = String::new();
        self.draw(title, &mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn draw(&self, title: &str, text: &mut String) -> Result<(), Box<dyn Error>> {
        let seen = self.points.last().map_or(0, |point| point.seen);
        let (unit, name) = if seen < 2_000_000 { (1e3, "KB") } else { (1e6, "MB") };
        let at = |point: &Point| point.seen as f64 / unit;
        // A run that has gone astray has numbers that no axis can hold.
        let sane = |(_, y): &(f64, f64)| (0.0..1e4).contains(y);
        let learned: Vec<_> = self.points.iter().map(|point| (at(point), point.loss)).filter(sane).collect();
        let held: Vec<_> =
            self.points.iter().filter_map(|point| Some((at(point), point.held_back?))).filter(sane).collect();
        let ys = || learned.iter().chain(&held).map(|(_, y)| *y);
        let (low, high) = (ys().fold(f64::INFINITY, f64::min).min(8.0), ys().fold(0.0, f64::max));
        let high = if high > low { high } else { low + 1.0 };
        let margin = (high - low) * 0.05;

        let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..(seen as f64 / unit).max(0.001), (low - margin).max(0.0)..high + margin)?;
        chart
            .configure_mesh()
            .x_desc(format!("bytes seen, {name}"))
            .y_desc("bits per byte")
            .axis_desc_style(("sans-serif", 19))
            .label_style(("sans-serif", 17))
            .light_line_style(WHITE)
            .draw()?;
        chart
            .draw_series(LineSeries::new(learned, BLUE.stroke_width(2)))?
            .label("files learned from (running mean)")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLUE.stroke_width(2)));
        chart
            .draw_series(LineSeries::new(held.iter().copied(), RED.stroke_width(2)))?
            .label("files held back (sample)")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], RED.stroke_width(2)));
        chart.draw_series(held.into_iter().map(|at| Circle::new(at, 3, RED.filled())))?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .label_font(("sans-serif", 17))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(seen: u64, loss: f64) -> Progress {
        Progress { seen, all: 100_000, loss, held_back: None }
    }

    #[test]
    fn a_run_is_measured_twenty_times_and_noted_often() {
        let mut curve = Curve::default();
        for seen in (100..=100_000).step_by(100) {
            let progress = progress(seen, 8.0 - seen as f64 / 20_000.0);
            let measured = curve.wants_measure(&progress, false).then_some(5.0);
            curve.note(&progress, measured);
        }
        assert_eq!(curve.points().iter().filter(|point| point.held_back.is_some()).count(), 20);
        assert!((300..=430).contains(&curve.points().len()), "{}", curve.points().len());
        assert!(!curve.wants_measure(&progress(100_000, 3.0), true));
        assert!(curve.wants_measure(&progress(102_000, 3.0), true));
        assert!(!curve.wants_measure(&progress(102_000, 3.0), false));
    }

    #[test]
    fn the_sample_is_bounded_and_never_empty() {
        for files in [1, 2, 31, 32, 33, 300] {
            for all in [0, 10_000, 1_000_000, 1 << 40] {
                let (every, head) = sample(files, all);
                let taken = files.div_ceil(every);
                assert!(taken > 0 && taken * head <= 64 << 10, "{files} files, {all} bytes: {taken} of {head}");
                assert!(all < 10_000_000 || files < 4 || taken * head >= 32 << 10, "{files}: {taken} of {head}");
            }
        }
    }

    #[test]
    fn the_picture_has_axes_labels_and_a_legend() {
        let mut curve = Curve::default();
        for i in 1..=50 {
            curve.note(&progress(i * 2000, 8.0 / i as f64), (i % 10 == 0).then_some(9.0 / i as f64));
        }
        let svg = curve.svg("a <title>").unwrap();
        for wanted in ["<svg", "bytes seen, KB", "bits per byte", "learned from", "held back", "a &lt;title&gt;"] {
            assert!(svg.contains(wanted), "{wanted} in\n{svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 5);
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 4, "two lines, and each in the legend\n{svg}");
    }

    /// A run without a point, with one, and one whose loss is no number.
    #[test]
    fn strange_curves_are_drawn() {
        let mut curve = Curve::default();
        assert!(curve.svg("x").unwrap().contains("</svg>"));
        for loss in [f64::NAN, f64::INFINITY, -1.0, 3.0] {
            curve.note(&progress(10_000 * curve.points.len() as u64, loss), Some(loss));
            assert!(curve.svg("x").unwrap().contains("</svg>"), "{loss}");
        }
        let equal = Curve { points: vec![Point { seen: 1, loss: 20.0, held_back: Some(20.0) }; 3] };
        assert!(equal.svg("x").unwrap().contains("</svg>"));
    }
}
