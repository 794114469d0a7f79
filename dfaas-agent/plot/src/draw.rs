//! A whole chart: title, legend, and what its kind draws below them.

use std::sync::Once;

use anyhow::Result;
use plotters::{
    prelude::{Circle, PathElement, Rectangle},
    style::{
        Color as _, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, register_font,
        text_anchor::{HPos, VPos},
    },
};

use super::{
    Chart, Content,
    canvas::{Area, Backend, FAINT, FONT, INK, PAPER, color, mark_color, text},
    cartesian, graph,
};

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
