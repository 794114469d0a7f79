//! Charts as files: what a chart shows is plain data, and one drawing of it becomes an SVG and a PNG.

mod bins;
mod canvas;
mod cartesian;
mod draw;
mod graph;

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use plotters::prelude::{BitMapBackend, IntoDrawingArea, SVGBackend};

pub use self::{
    bins::Bins,
    graph::{Graph, GraphEdge, GraphNode},
};

/// Size of the SVG; the PNG has `PNG_SCALE` times as many pixels each way, so that it stays sharp on dense screens.
const SIZE: (u32, u32) = (960, 520);
const PNG_SCALE: u32 = 2;

/// A chart. Colours, legend and ticks follow from it.
#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    /// A second, smaller line: what was measured, how many values.
    pub subtitle: String,
    /// Names of the axes, with their units.
    pub x: String,
    pub y: String,
    pub content: Content,
    /// Vertical lines with a name, such as a mean.
    pub marks: Vec<Mark>,
}

#[derive(Clone, Debug)]
pub enum Content {
    /// Points joined by lines.
    Lines(Vec<Series>),
    /// Points alone: for clouds.
    Dots(Vec<Series>),
    /// Layers over each other, constant within a bin: counts per second, a density.
    Bins(Bins),
    /// Bars over names: one bar per layer beside each other, or one stack.
    Bars { categories: Vec<String>, layers: Vec<Layer>, stacked: bool },
    /// Nodes and edges; has no axes.
    Graph(Graph),
}

/// Named points. Points that are not finite leave a gap.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Named values, one for each bin or category; missing ones count as 0.
#[derive(Clone, Debug)]
pub struct Layer {
    pub name: String,
    pub values: Vec<f64>,
}

#[derive(Clone, Debug)]
pub struct Mark {
    pub name: String,
    pub x: f64,
}

impl Series {
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points }
    }
}

impl Layer {
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self { name: name.into(), values }
    }
}

impl Chart {
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>, content: Content) -> Self {
        let (title, x, y) = (title.into(), x.into(), y.into());
        Self { title, subtitle: String::new(), x, y, content, marks: Vec::new() }
    }

    #[must_use]
    pub fn subtitle(mut self, text: impl Into<String>) -> Self {
        self.subtitle = text.into();
        self
    }

    #[must_use]
    pub fn mark(mut self, name: impl Into<String>, x: f64) -> Self {
        self.marks.push(Mark { name: name.into(), x });
        self
    }

    /// Writes `STEM.svg` and `STEM.png`, replacing what is there, and gives back the two paths. The folder must exist.
    pub fn write(&self, stem: &Path) -> Result<[PathBuf; 2]> {
        let [svg, png] = ["svg", "png"].map(|kind| {
            let mut path = stem.as_os_str().to_owned();
            path.push(".");
            path.push(kind);
            PathBuf::from(path)
        });
        draw::draw(&SVGBackend::new(&svg, SIZE).into_drawing_area(), self, 1)
            .with_context(|| format!("cannot draw {}", svg.display()))?;
        self.write_png(&png).with_context(|| format!("cannot draw {}", png.display()))?;
        Ok([svg, png])
    }

    /// By the crate png itself: plotters' own way takes a library of all picture formats, which compiles for longer than
    /// the rest of the charts.
    fn write_png(&self, path: &Path) -> Result<()> {
        const BYTES_PER_PIXEL: usize = 3;
        let size = (SIZE.0 * PNG_SCALE, SIZE.1 * PNG_SCALE);
        let mut pixels = vec![0; size.0 as usize * size.1 as usize * BYTES_PER_PIXEL];
        draw::draw(&BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area(), self, PNG_SCALE)?;
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), size.0, size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut image = encoder.write_header()?;
        image.write_image_data(&pixels)?;
        image.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(chart: &Chart) -> (String, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let [svg, png] = chart.write(&folder.path().join("a.chart")).unwrap();
        assert_eq!(svg.file_name().unwrap(), "a.chart.svg");
        (std::fs::read_to_string(svg).unwrap(), std::fs::read(png).unwrap())
    }

    fn png_pixels(png: &[u8]) -> Vec<u8> {
        let mut image = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        assert_eq!(image.info().size(), (1920, 1040));
        let mut pixels = vec![0; image.output_buffer_size().unwrap()];
        image.next_frame(&mut pixels).unwrap();
        pixels
    }

    fn one_of_each() -> Vec<Content> {
        let series = || vec![Series::new("first", vec![(0.0, 1.0), (1.0, 3.0)]), Series::new("second", vec![])];
        let layers = || vec![Layer::new("first", vec![1.0, 2.0]), Layer::new("second", vec![3.0])];
        vec![
            Content::Lines(series()),
            Content::Dots(series()),
            Content::Bins(Bins { start: 0.0, width: 1.0, layers: layers() }),
            Content::Bars { categories: vec!["a".into(), "b".into()], layers: layers(), stacked: true },
            Content::Bars { categories: vec!["a".into(), "b".into()], layers: layers(), stacked: false },
        ]
    }

    #[test]
    fn every_kind_of_chart_becomes_an_svg_and_a_png_with_its_texts() {
        for content in one_of_each() {
            let chart = Chart::new("A <title>", "time (s)", "calls", content).subtitle("two series").mark("mean", 0.5);
            let (svg, png) = written(&chart);
            for text in ["A &lt;title&gt;", "time (s)", "calls", "two series", "first", "second", "mean"] {
                assert!(svg.contains(text), "{text} is not in {svg}");
            }
            let pixels = png_pixels(&png);
            assert!(pixels.contains(&255) && pixels.iter().any(|byte| *byte < 64), "paper and ink");
        }
    }

    #[test]
    fn charts_without_values_and_with_odd_ones_are_drawn_all_the_same() {
        let odd = vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (2.0, 2.0)];
        for points in [vec![], vec![(5.0, 5.0)], odd] {
            let chart = Chart::new("t", "x", "y", Content::Lines(vec![Series::new("s", points)]));
            assert!(written(&chart).0.contains("</svg>"));
        }
        let nothing = Content::Bins(Bins { start: 0.0, width: 1.0, layers: vec![] });
        assert!(written(&Chart::new("t", "x", "y", nothing)).0.contains("</svg>"));
        let nothing = Content::Bars { categories: vec![], layers: vec![], stacked: false };
        assert!(written(&Chart::new("t", "x", "y", nothing)).0.contains("</svg>"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_in_the_error() {
        let chart = Chart::new("t", "x", "y", Content::Lines(vec![]));
        let error = chart.write(Path::new("/nonexistent/chart")).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/chart.svg"), "{error:#}");
    }
}
