//! What all charts share: font, colours, title and legend.

use std::sync::Once;

use anyhow::Result;
use plotters::{
    coord::Shift,
    prelude::{Circle, DrawingArea, DrawingBackend, PathElement, Rectangle},
    style::{
        Color as _, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Chart, Content, cartesian, graph};

/// A backend whose errors can be passed on.
pub(super) trait Backend: DrawingBackend<ErrorType: 'static> {}
impl<B: DrawingBackend<ErrorType: 'static>> Backend for B {}

pub(super) type Area<B> = DrawingArea<B, Shift>;

pub(super) const FONT: &str = "sans-serif";
pub(super) const INK: RGBColor = RGBColor(38, 38, 38);
pub(super) const FAINT: RGBColor = RGBColor(110, 110, 110);
pub(super) const GRID: RGBColor = RGBColor(226, 226, 226);
pub(super) const PAPER: RGBColor = RGBColor(255, 255, 255);

/// Okabe and Ito's colours, which people with any kind of colour vision tell apart; yellow, too pale for lines on
/// white, is darkened.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(184, 168, 30),
    RGBColor(90, 90, 90),
];

/// The colour of the n-th series; after the eighth they come again, lighter.
pub(super) fn color(n: usize) -> RGBColor {
    let RGBColor(r, g, b) = PALETTE[n % PALETTE.len()];
    let paler = |c: u8| if n < PALETTE.len() { c } else { 255 - (255 - c) / 2 };
    RGBColor(paler(r), paler(g), paler(b))
}

/// The colours of marks, apart from those of the series.
pub(super) fn mark_color(n: usize) -> RGBColor {
    [RGBColor(20, 20, 20), RGBColor(213, 94, 0), RGBColor(150, 60, 130)][n % 3]
}

pub(super) fn text(size: u32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    TextStyle { font: (FONT, size).into(), color: color.to_backend_color(), pos: Pos::new(h, v) }
}

/// Fonts of the system are not asked: a node need not have any.
fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let regular = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
        let bold = register_font(FONT, FontStyle::Bold, dejavu::sans::bold());
        debug_assert!(regular.is_ok() && bold.is_ok(), "the embedded fonts are sound");
    });
}

/// `scale`: pixels per point.
pub(super) fn draw<B: Backend>(root: &Area<B>, chart: &Chart, scale: u32) -> Result<()> {
    register_fonts();
    root.fill(&PAPER)?;
    let top = header(root, chart, scale)?;
    let (_, body) = root.split_vertically(top);
    match &chart.content {
        Content::Graph(graph) => graph::draw(&body, graph, scale)?,
        _ => cartesian::draw(&body, chart, scale)?,
    }
    root.present()?;
    Ok(())
}

enum Sign {
    Line(RGBColor),
    Dot(RGBColor),
    Box(RGBColor),
    Dashes(RGBColor),
}

fn legend(chart: &Chart) -> Vec<(String, Sign)> {
    let numbered = |names: Vec<&String>, sign: fn(RGBColor) -> Sign| -> Vec<(String, Sign)> {
        names.into_iter().enumerate().map(|(n, name)| (name.clone(), sign(color(n)))).collect()
    };
    let mut entries = match &chart.content {
        Content::Lines(series) => numbered(series.iter().map(|s| &s.name).collect(), Sign::Line),
        Content::Dots(series) => numbered(series.iter().map(|s| &s.name).collect(), Sign::Dot),
        Content::Bins(bins) => numbered(bins.layers.iter().map(|l| &l.name).collect(), Sign::Box),
        Content::Bars { layers, .. } => numbered(layers.iter().map(|l| &l.name).collect(), Sign::Box),
        Content::Graph(graph) => numbered(graph.groups.iter().collect(), Sign::Dot),
    };
    let marks = chart.marks.iter().enumerate();
    entries.extend(marks.map(|(n, mark)| (mark.name.clone(), Sign::Dashes(mark_color(n)))));
    entries
}

/// Title, subtitle and legend; gives back where the rest begins.
fn header<B: Backend>(root: &Area<B>, chart: &Chart, scale: u32) -> Result<i32> {
    let s = scale as i32;
    let (left, width) = (18 * s, root.dim_in_pixel().0 as i32);
    let mut y = 12 * s;
    let mut title = text(20 * scale, INK, HPos::Left, VPos::Top);
    title.font = FontDesc::new(FontFamily::SansSerif, f64::from(20 * scale), FontStyle::Bold);
    root.draw_text(&chart.title, &title, (left, y))?;
    y += 26 * s;
    if !chart.subtitle.is_empty() {
        root.draw_text(&chart.subtitle, &text(14 * scale, FAINT, HPos::Left, VPos::Top), (left, y))?;
        y += 22 * s;
    }
    let style = text(14 * scale, INK, HPos::Left, VPos::Center);
    let mut x = left;
    y += 8 * s;
    for (name, sign) in legend(chart) {
        let wide = root.estimate_text_size(&name, &style)?.0 as i32 + 44 * s;
        if x > left && x + wide > width - left {
            (x, y) = (left, y + 20 * s);
        }
        draw_sign(root, &sign, (x, y), s)?;
        root.draw_text(&name, &style, (x + 22 * s, y))?;
        x += wide;
    }
    Ok(y + 14 * s)
}

fn draw_sign<B: Backend>(root: &Area<B>, sign: &Sign, (x, y): (i32, i32), s: i32) -> Result<()> {
    let thick = |color: RGBColor| ShapeStyle { color: color.to_rgba(), filled: true, stroke_width: 2 * s as u32 };
    match sign {
        Sign::Line(color) => root.draw(&PathElement::new([(x, y), (x + 16 * s, y)], thick(*color)))?,
        Sign::Dot(color) => root.draw(&Circle::new((x + 10 * s, y), 4 * s, color.filled()))?,
        Sign::Box(color) => {
            root.draw(&Rectangle::new([(x + 2 * s, y - 5 * s), (x + 16 * s, y + 5 * s)], color.filled()))?;
        }
        Sign::Dashes(color) => {
            for part in 0..3 {
                let from = x + part * 6 * s;
                root.draw(&PathElement::new([(from, y), (from + 4 * s, y)], thick(*color)))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_series_have_sixteen_colours() {
        let colors: std::collections::BTreeSet<_> = (0..16).map(|n| (color(n).0, color(n).1, color(n).2)).collect();
        assert_eq!(colors.len(), 16);
    }
}
