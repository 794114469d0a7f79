//! Values that are constant within bins of equal width.

use super::Layer;

/// More than this is not told apart on a screen.
const MAX_BINS: usize = 400;

#[derive(Clone, Debug)]
pub struct Bins {
    /// Where the first bin begins.
    pub start: f64,
    pub width: f64,
    pub layers: Vec<Layer>,
}

impl Bins {
    /// The share of the values in each bin of this width, as one layer: a density histogram whose area is 1.
    ///
    /// Values above `end` count in a last bin, so that one far value does not make the rest a single line.
    pub fn density(name: impl Into<String>, values: &[f64], width: f64, end: f64) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let start = finite.iter().copied().fold(f64::INFINITY, f64::min);
        let start = if start.is_finite() { (start / width).floor() * width } else { 0.0 };
        let largest = finite.iter().copied().fold(start, f64::max).min(end);
        let bins = ((largest - start) / width).floor().max(0.0) as usize + 1;
        let mut counts = vec![0.0; bins];
        for value in &finite {
            let bin = ((value.min(end) - start) / width).max(0.0) as usize;
            counts[bin.min(bins - 1)] += 1.0;
        }
        let area = finite.len().max(1) as f64 * width;
        let share = counts.iter().map(|count| count / area).collect();
        Self { start, width, layers: vec![Layer::new(name, share)] }
    }

    pub(super) fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.values.len()).max().unwrap_or(0)
    }

    pub(super) fn end(&self) -> f64 {
        self.start + self.width * self.len().max(1) as f64
    }

    /// The same with at most `MAX_BINS` bins: neighbours become one, with their mean.
    pub(super) fn coarsened(&self) -> Self {
        let together = self.len().div_ceil(MAX_BINS).max(1);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let layers = self.layers.iter();
        let layers = layers.map(|layer| Layer::new(&layer.name, layer.values.chunks(together).map(mean).collect()));
        Self { start: self.start, width: self.width * together as f64, layers: layers.collect() }
    }

    /// For each bin, where each layer ends when they lie over each other.
    pub(super) fn tops(&self) -> Vec<Vec<f64>> {
        tops(&self.layers, self.len())
    }
}

/// For each of `n` places, where each layer ends when they lie over each other.
pub(super) fn tops(layers: &[Layer], n: usize) -> Vec<Vec<f64>> {
    let stack = |place: usize| {
        let mut top = 0.0;
        let add = |layer: &Layer| {
            top += layer.values.get(place).copied().filter(|value| value.is_finite()).unwrap_or(0.0).max(0.0);
            top
        };
        layers.iter().map(add).collect()
    };
    (0..n).map(stack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_density_has_area_one_and_keeps_far_values_in_its_last_bin() {
        let bins = Bins::density("d", &[1.0, 1.5, 26.0, 9_000.0], 25.0, 100.0);
        assert_eq!((bins.start, bins.len()), (0.0, 5));
        let values = &bins.layers[0].values;
        assert_eq!(values[..2], [2.0 / 100.0, 1.0 / 100.0]);
        assert_eq!(values[4], 1.0 / 100.0);
        assert!((values.iter().sum::<f64>() * bins.width - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_density_of_nothing_is_one_empty_bin() {
        let bins = Bins::density("d", &[f64::NAN], 25.0, 100.0);
        assert_eq!((bins.start, bins.layers[0].values.as_slice()), (0.0, [0.0].as_slice()));
    }

    #[test]
    fn coarser_bins_keep_extent_and_mean() {
        let values = (0..1_000).map(f64::from).collect();
        let coarse = Bins { start: 10.0, width: 2.0, layers: vec![Layer::new("l", values)] }.coarsened();
        assert_eq!((coarse.len(), coarse.width), (334, 6.0));
        assert_eq!(coarse.layers[0].values[..2], [1.0, 4.0]);
    }

    #[test]
    fn layers_lie_over_each_other_and_missing_values_are_none() {
        let layers = [Layer::new("a", vec![1.0]), Layer::new("b", vec![2.0, f64::NAN, 5.0])];
        assert_eq!(tops(&layers, 3), [[1.0, 3.0], [0.0, 0.0], [0.0, 5.0]]);
    }
}
