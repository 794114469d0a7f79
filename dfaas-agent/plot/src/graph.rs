//! Nodes and edges.

use std::f64::consts::TAU;

use anyhow::Result;
use plotters::{
    prelude::{Circle, PathElement, Polygon, Rectangle},
    style::{
        Color as _, RGBColor, ShapeStyle,
        text_anchor::{HPos, VPos},
    },
};

use super::canvas::{Area, Backend, FAINT, INK, PAPER, color, text};

#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
    /// What the colours of nodes mean, by the number in `GraphNode::group`; shown in the legend.
    pub groups: Vec<String>,
    /// Edges end in an arrow.
    pub directed: bool,
}

#[derive(Clone, Debug)]
pub struct GraphNode {
    pub name: String,
    /// Between 0 and 1 each; y grows downwards.
    pub position: (f64, f64),
    pub group: usize,
}

#[derive(Clone, Debug)]
pub struct GraphEdge {
    /// Indices of nodes; an edge to a node that is not there is left out.
    pub from: usize,
    pub to: usize,
    /// Between 0 and 1: how thick the line is.
    pub weight: f64,
    pub label: String,
}

impl Graph {
    /// Nodes on a circle, the first at the top, then clockwise.
    pub fn circle(names: impl IntoIterator<Item = String>, edges: Vec<GraphEdge>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let n = names.len().max(1) as f64;
        let place = |(i, name)| {
            let angle = TAU * i as f64 / n;
            GraphNode { name, position: (0.5 + 0.5 * angle.sin(), 0.5 - 0.5 * angle.cos()), group: 0 }
        };
        let nodes = names.into_iter().enumerate().map(place).collect();
        Self { nodes, edges, groups: Vec::new(), directed: false }
    }
}

pub(super) fn draw<B: Backend>(area: &Area<B>, graph: &Graph, scale: u32) -> Result<()> {
    let (width, height) = area.dim_in_pixel();
    let margin = 46.0 * f64::from(scale);
    // A circle stays a circle.
    let side = (f64::from(width.min(height)) - 2.0 * margin).max(1.0);
    let left = (f64::from(width) - side) / 2.0;
    let at = |(x, y): (f64, f64)| (left + x * side, margin + y * side);
    let radius = (side * 1.1 / graph.nodes.len().max(1) as f64).clamp(7.0, 17.0 * f64::from(scale));
    // The two directions between two nodes lie beside each other.
    let aside = if graph.directed { 4.0 * f64::from(scale) } else { 0.0 };
    let mut labels = Vec::new();
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (graph.nodes.get(edge.from), graph.nodes.get(edge.to)) else { continue };
        let Some((start, end, label)) = course((at(from.position), at(to.position)), radius, aside) else { continue };
        draw_edge(area, edge, (start, end), graph.directed, scale)?;
        labels.push((&edge.label, round(label)));
    }
    for (label, place) in labels.into_iter().filter(|(label, _)| !label.is_empty()) {
        draw_label(area, label, place, scale)?;
    }
    for node in &graph.nodes {
        let (x, y) = at(node.position);
        area.draw(&Circle::new(round((x, y)), radius as i32, color(node.group).filled()))?;
        // The name stands outside of the circle on which nodes usually lie.
        let gap = radius + 6.0 * f64::from(scale);
        let (h, v, shift) = match (node.position.0 - 0.5, node.position.1 - 0.5) {
            (x, _) if x > 0.05 => (HPos::Left, VPos::Center, (gap, 0.0)),
            (x, _) if x < -0.05 => (HPos::Right, VPos::Center, (-gap, 0.0)),
            (_, y) if y <= 0.0 => (HPos::Center, VPos::Bottom, (0.0, -gap)),
            _ => (HPos::Center, VPos::Top, (0.0, gap)),
        };
        area.draw_text(&node.name, &text(15 * scale, INK, h, v), round((x + shift.0, y + shift.1)))?;
    }
    Ok(())
}

type Point = (f64, f64);

/// Where the line of an edge begins and ends, and where its label stands; `None` if the nodes touch.
fn course((from, to): (Point, Point), radius: f64, aside: f64) -> Option<(Point, Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    if length <= 2.0 * radius {
        return None;
    }
    let (ux, uy) = (dx / length, dy / length);
    let place = |along: f64, aside: f64| (from.0 + ux * along - uy * aside, from.1 + uy * along + ux * aside);
    // Nearer to the end than to the start: the labels of the two directions do not meet.
    Some((place(radius, aside), place(length - radius, aside), place(length * 0.66, aside * 2.5)))
}

fn draw_edge<B: Backend>(
    area: &Area<B>,
    edge: &GraphEdge,
    (start, end): (Point, Point),
    directed: bool,
    scale: u32,
) -> Result<()> {
    let weight = if edge.weight.is_finite() { edge.weight.clamp(0.0, 1.0) } else { 0.0 };
    let style = ShapeStyle {
        color: RGBColor(140, 140, 140).to_rgba(),
        filled: true,
        stroke_width: scale + (weight * f64::from(4 * scale)) as u32,
    };
    area.draw(&PathElement::new([round(start), round(end)], style))?;
    if directed {
        let length = (end.0 - start.0).hypot(end.1 - start.1);
        let (ux, uy) = ((end.0 - start.0) / length, (end.1 - start.1) / length);
        let size = f64::from(style.stroke_width) + 6.0 * f64::from(scale);
        let corner = |side: f64| (end.0 - ux * size - uy * side, end.1 - uy * size + ux * side);
        let tip = [round(end), round(corner(size / 2.0)), round(corner(-size / 2.0))];
        area.draw(&Polygon::new(tip, FAINT.filled()))?;
    }
    Ok(())
}

fn draw_label<B: Backend>(area: &Area<B>, label: &str, at: (i32, i32), scale: u32) -> Result<()> {
    let style = text(13 * scale, INK, HPos::Center, VPos::Center);
    let (width, height) = area.estimate_text_size(label, &style)?;
    let (w, h) = (width as i32 / 2 + 2 * scale as i32, height as i32 / 2 + scale as i32);
    area.draw(&Rectangle::new([(at.0 - w, at.1 - h), (at.0 + w, at.1 + h)], PAPER.mix(0.85).filled()))?;
    area.draw_text(label, &style, at)?;
    Ok(())
}

fn round((x, y): Point) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Chart, Content},
        *,
    };

    #[test]
    fn nodes_of_a_circle_go_clockwise_from_the_top() {
        let graph = Graph::circle(["a", "b", "c", "d"].map(str::to_owned), vec![]);
        let rounded: Vec<_> =
            graph.nodes.iter().map(|node| round((node.position.0 * 10.0, node.position.1 * 10.0))).collect();
        assert_eq!(rounded, [(5, 0), (10, 5), (5, 10), (0, 5)]);
    }

    #[test]
    fn a_graph_is_drawn_and_edges_to_nowhere_are_left_out() {
        let edge = |from, to, label: &str| GraphEdge { from, to, weight: 0.5, label: label.into() };
        let edges = vec![edge(0, 1, "12"), edge(0, 9, "lost"), edge(1, 1, "self")];
        let mut graph = Graph::circle(["left", "right"].map(str::to_owned), edges);
        (graph.directed, graph.groups) = (true, vec!["light".into()]);
        let folder = tempfile::tempdir().unwrap();
        let [svg, _] = Chart::new("g", "", "", Content::Graph(graph)).write(&folder.path().join("g")).unwrap();
        let svg = std::fs::read_to_string(svg).unwrap();
        assert!(["left", "right", "12", "light"].iter().all(|text| svg.contains(text)), "{svg}");
        assert!(!svg.contains("lost") && !svg.contains("self"), "{svg}");
    }
}
