//! Charts with two axes.

use anyhow::Result;
use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{cartesian::Cartesian2d, types::RangedCoordf64},
    prelude::{Circle, DashedLineSeries, LineSeries, Rectangle},
    style::{
        Color as _, ShapeStyle,
        text_anchor::{HPos, VPos},
    },
};

use super::{
    Chart, Content, Layer, Series,
    bins::{Bins, tops},
    canvas::{Area, Backend, FAINT, GRID, INK, color, mark_color, text},
};

type Context<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) fn draw<B: Backend>(area: &Area<B>, chart: &Chart, scale: u32) -> Result<()> {
    let ((x0, x1), top) = extent(chart);
    let mut context = ChartBuilder::on(area)
        .margin_right(24 * scale)
        .margin_left(14 * scale)
        .margin_bottom(8 * scale)
        .x_label_area_size(46 * scale)
        .y_label_area_size(70 * scale)
        .build_cartesian_2d(x0..x1, 0.0..top)?;
    mesh(&mut context, chart, scale)?;
    match &chart.content {
        Content::Lines(series) => lines(&mut context, series, scale)?,
        Content::Dots(series) => dots(&mut context, series, scale)?,
        Content::Bins(bins) => stairs(&mut context, bins)?,
        Content::Bars { categories, layers, stacked } => {
            bars(&mut context, categories.len(), layers, *stacked)?;
            category_names(area, &context, categories, scale)?;
        }
        Content::Graph(_) => {}
    }
    for (n, mark) in chart.marks.iter().enumerate().filter(|(_, mark)| (x0..=x1).contains(&mark.x)) {
        let style = ShapeStyle { color: mark_color(n).to_rgba(), filled: false, stroke_width: 2 * scale };
        let (dash, gap) = (6 * scale as i32, 4 * scale as i32);
        context.draw_series(DashedLineSeries::new([(mark.x, 0.0), (mark.x, top)], dash, gap, style))?;
    }
    Ok(())
}

/// Where the x axis begins and ends, and the y axis ends; it begins at 0.
fn extent(chart: &Chart) -> ((f64, f64), f64) {
    let (range, top) = match &chart.content {
        Content::Lines(series) | Content::Dots(series) => {
            let points = || series.iter().flat_map(finite);
            let least = points().map(|p| p.0).fold(f64::INFINITY, f64::min);
            let range = (if least.is_finite() { least } else { 0.0 }, points().map(|p| p.0).fold(0.0, f64::max));
            (range, points().map(|p| p.1).fold(0.0, f64::max))
        }
        Content::Bins(bins) => ((bins.start, bins.end()), highest(&bins.coarsened().tops())),
        Content::Bars { categories, layers, stacked } => {
            let values = layers.iter().flat_map(|layer| &layer.values).copied().filter(|value| value.is_finite());
            let top = if *stacked { highest(&tops(layers, categories.len())) } else { values.fold(0.0, f64::max) };
            ((0.0, categories.len().max(1) as f64), top)
        }
        Content::Graph(_) => ((0.0, 1.0), 1.0),
    };
    let range = if range.1 > range.0 { range } else { (range.0, range.0 + 1.0) };
    (range, if top > 0.0 { top * 1.06 } else { 1.0 })
}

fn highest(stacks: &[Vec<f64>]) -> f64 {
    stacks.iter().flatten().copied().fold(0.0, f64::max)
}

fn finite(series: &Series) -> impl Iterator<Item = (f64, f64)> {
    series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

fn mesh<B: Backend>(context: &mut Context<'_, B>, chart: &Chart, scale: u32) -> Result<()> {
    let bars = matches!(chart.content, Content::Bars { .. });
    let number = |value: &f64| short(*value);
    let nothing = |_: &f64| String::new();
    let line =
        |color: plotters::style::RGBColor| ShapeStyle { color: color.to_rgba(), filled: false, stroke_width: scale };
    let mut mesh = context.configure_mesh();
    mesh.disable_x_mesh()
        .bold_line_style(line(GRID))
        .light_line_style(plotters::style::TRANSPARENT)
        .axis_style(line(FAINT))
        .set_all_tick_mark_size(4 * scale)
        .label_style(text(13 * scale, INK, HPos::Center, VPos::Center))
        .axis_desc_style(text(15 * scale, INK, HPos::Center, VPos::Center))
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .x_labels(if bars { 1 } else { 12 })
        .y_labels(8)
        .y_label_formatter(&number);
    let formatter: &dyn Fn(&f64) -> String = if bars { &nothing } else { &number };
    mesh.x_label_formatter(formatter).draw()?;
    Ok(())
}

/// A number as short as it can be said: 12, 0.25, 1500, 2.5e7.
fn short(value: f64) -> String {
    let text = if value != 0.0 && (value.abs() >= 1e6 || value.abs() < 1e-3) {
        return format!("{value:.1e}").replace(".0e", "e");
    } else {
        format!("{value:.4}")
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn lines<B: Backend>(context: &mut Context<'_, B>, series: &[Series], scale: u32) -> Result<()> {
    for (n, one) in series.iter().enumerate() {
        let style = ShapeStyle { color: color(n).to_rgba(), filled: true, stroke_width: 2 * scale };
        for part in one.points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
            match part {
                [] => {}
                // A line through one point would not be seen.
                [point] => {
                    context.draw_series([Circle::new(*point, 2 * scale, style)])?;
                }
                _ => {
                    context.draw_series(LineSeries::new(part.iter().copied(), style))?;
                }
            }
        }
    }
    Ok(())
}

fn dots<B: Backend>(context: &mut Context<'_, B>, series: &[Series], scale: u32) -> Result<()> {
    for (n, one) in series.iter().enumerate() {
        context.draw_series(finite(one).map(|point| Circle::new(point, 3 * scale / 2, color(n).mix(0.7).filled())))?;
    }
    Ok(())
}

fn stairs<B: Backend>(context: &mut Context<'_, B>, bins: &Bins) -> Result<()> {
    let bins = bins.coarsened();
    for (place, stack) in bins.tops().iter().enumerate() {
        let from = bins.start + bins.width * place as f64;
        pile(context, stack, (from, from + bins.width))?;
    }
    Ok(())
}

/// One stack of boxes between two places of the x axis.
fn pile<B: Backend>(context: &mut Context<'_, B>, stack: &[f64], (from, to): (f64, f64)) -> Result<()> {
    let mut bottom = 0.0;
    for (n, &top) in stack.iter().enumerate().filter(|(_, top)| top.is_finite()) {
        if top > bottom {
            context.draw_series([Rectangle::new([(from, bottom), (to, top)], color(n).filled())])?;
        }
        bottom = top;
    }
    Ok(())
}

fn bars<B: Backend>(context: &mut Context<'_, B>, places: usize, layers: &[Layer], stacked: bool) -> Result<()> {
    if stacked {
        for (place, stack) in tops(layers, places).iter().enumerate() {
            pile(context, stack, (place as f64 + 0.2, place as f64 + 0.8))?;
        }
        return Ok(());
    }
    let width = 0.8 / layers.len().max(1) as f64;
    for (n, layer) in layers.iter().enumerate() {
        for (place, &value) in
            layer.values.iter().enumerate().filter(|(place, value)| *place < places && value.is_finite())
        {
            let from = place as f64 + 0.1 + width * n as f64;
            context.draw_series([Rectangle::new([(from, 0.0), (from + width * 0.94, value)], color(n).filled())])?;
        }
    }
    Ok(())
}

fn category_names<B: Backend>(area: &Area<B>, context: &Context<'_, B>, names: &[String], scale: u32) -> Result<()> {
    let (left, top) = area.get_base_pixel();
    // Crowded names are shortened, so that each stays below its bar.
    let room = 110 / names.len().max(1);
    for (place, name) in names.iter().enumerate() {
        let (x, y) = context.backend_coord(&(place as f64 + 0.5, 0.0));
        let style = text(13 * scale, INK, HPos::Center, VPos::Top);
        let name: String = name.chars().take(room.max(3)).collect();
        area.draw_text(&name, &style, (x - left, y - top + 8 * scale as i32))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_the_axes_are_short() {
        let said = [0.0, 12.0, 0.25, 1_500.0, 25_000_000.0, 0.000_2, -3.5].map(short);
        assert_eq!(said, ["0", "12", "0.25", "1500", "2.5e7", "2e-4", "-3.5"]);
    }
}
