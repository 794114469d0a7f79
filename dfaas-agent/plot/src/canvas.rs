//! What all charts share: font and colours.

use plotters::{
    coord::Shift,
    prelude::{DrawingArea, DrawingBackend},
    style::{
        Color as _, RGBColor, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_series_have_sixteen_colours() {
        let colors: std::collections::BTreeSet<_> = (0..16).map(|n| (color(n).0, color(n).1, color(n).2)).collect();
        assert_eq!(colors.len(), 16);
    }
}
