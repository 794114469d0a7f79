//! Regression trees, evaluated without a branch and without allocation.
//!
//! Nothing is walked. The leaves of a tree are bits of a word, and what a feature's value leaves possible is a mask, made
//! beforehand for every interval between two thresholds. The masks of all features together leave one bit: the leaf.
//! So a prediction reads one row of masks for each feature, front to back. A tree of more leaves than a word has bits
//! takes several words, of which all but one end up empty and add nothing.

use std::ops::Range;

/// One tree as a training program writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The root first; empty if the tree is a single leaf.
    pub splits: Vec<Split>,
    pub leaves: Vec<f64>,
}

/// Left if the feature is at most the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    pub feature: usize,
    pub threshold: f64,
    pub left: Child,
    pub right: Child,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    Split(usize),
    Leaf(usize),
}

/// Leaves in a word.
const BITS: usize = u32::BITS as usize;
/// Values of a word's leaves, and 0 for an empty word: its trailing zeros count to 32.
const SLOTS: usize = BITS + 1;
/// Bytes of masks that are still reasonable.
const MAX_BYTES: usize = 1 << 30;

/// Sums of trees over the same features: one sum for each of `OUTPUTS` models.
#[derive(Clone, Debug)]
pub struct Forest<const FEATURES: usize, const OUTPUTS: usize> {
    features: [Feature; FEATURES],
    /// The words of each model, in the order of its trees.
    words: [Range<usize>; OUTPUTS],
    values: Vec<[f64; SLOTS]>,
}

#[derive(Clone, Debug, Default)]
struct Feature {
    /// All thresholds, ascending.
    cuts: Vec<f64>,
    /// A row of words for every number of cuts that a value can exceed.
    masks: Vec<u32>,
}

impl<const FEATURES: usize, const OUTPUTS: usize> Forest<FEATURES, OUTPUTS> {
    /// The trees must be checked: every split and leaf used once, features below `FEATURES`, thresholds finite.
    /// Fails if the masks would fill the memory.
    pub fn new(models: [&[Tree]; OUTPUTS]) -> Result<Self, String> {
        let count = |trees: &[Tree]| trees.iter().map(words_of).sum::<usize>();
        let total = models.iter().map(|trees| count(trees)).sum::<usize>();
        let mut features = features(models.into_iter().flatten());
        let bytes: usize = features.iter().map(|f| (f.cuts.len() + 1) * total * size_of::<u32>()).sum();
        if bytes > MAX_BYTES {
            return Err(format!(
                "the masks of {total} words of leaves take {bytes} bytes, expected at most {MAX_BYTES}"
            ));
        }
        for feature in &mut features {
            feature.masks = vec![u32::MAX; (feature.cuts.len() + 1) * total];
        }
        let mut forest = Self { features, words: std::array::from_fn(|_| 0..0), values: Vec::with_capacity(total) };
        for (output, trees) in models.into_iter().enumerate() {
            let first = forest.values.len();
            for tree in trees {
                forest.add(tree, total);
            }
            forest.words[output] = first..forest.values.len();
        }
        Ok(forest)
    }

    /// Sums of all models. Features must be finite: NaN counts as smaller than everything.
    pub fn predict(&self, features: &[f64; FEATURES]) -> [f64; OUTPUTS] {
        let total = self.values.len();
        let rows: [&[u32]; FEATURES] = std::array::from_fn(|i| {
            let Feature { cuts, masks } = &self.features[i];
            let exceeded = cuts.partition_point(|cut| *cut < features[i]);
            &masks[exceeded * total..][..total]
        });
        std::array::from_fn(|output| {
            let words = self.words[output].clone();
            let rows = rows.map(|row| &row[words.clone()]);
            let values = &self.values[words];
            // In the order of the trees, so that the sum is the same on every machine.
            values.iter().enumerate().fold(0.0, |sum, (word, values)| {
                let left = rows.iter().fold(u32::MAX, |left, row| left & row[word]);
                sum + values[left.trailing_zeros() as usize]
            })
        })
    }

    /// Sums for many rows, as [`Forest::predict`] gives them; ends with the shorter of both slices.
    pub fn predict_rows(&self, rows: &[[f64; FEATURES]], sums: &mut [[f64; OUTPUTS]]) {
        for (row, sums) in rows.iter().zip(sums) {
            *sums = self.predict(row);
        }
    }

    fn add(&mut self, tree: &Tree, total: usize) {
        let first = self.values.len();
        let Layout { order, spans } = Layout::of(tree);
        for leaves in order.chunks(BITS) {
            let mut values = [0.0; SLOTS];
            for (value, leaf) in values.iter_mut().zip(leaves) {
                *value = tree.leaves[*leaf];
            }
            self.values.push(values);
        }
        // Bits without a leaf are taken away by any feature, and single leaves need no feature: by the first.
        let unused = order.len()..(self.values.len() - first) * BITS;
        if let Some(feature) = self.features.first_mut() {
            for row in feature.masks.chunks_mut(total) {
                clear(&mut row[first..], unused.clone());
            }
        }
        for (split, Span { left, right }) in tree.splits.iter().zip(spans) {
            let Feature { cuts, masks } = &mut self.features[split.feature];
            let cut = cuts.partition_point(|cut| *cut < split.threshold);
            for (exceeded, row) in masks.chunks_mut(total).enumerate() {
                let gone = if exceeded > cut { left.clone() } else { right.clone() };
                clear(&mut row[first..], gone);
            }
        }
    }
}

/// Where the leaves of a tree lie when read from left to right.
struct Layout {
    order: Vec<usize>,
    /// By split.
    spans: Vec<Span>,
}

/// The leaves on both sides of a split, by their place in the order.
#[derive(Clone, Default)]
struct Span {
    left: Range<usize>,
    right: Range<usize>,
}

impl Layout {
    fn of(tree: &Tree) -> Self {
        enum Step {
            Enter(Child),
            Middle(usize),
            Leave(usize),
        }
        let mut layout = Self { order: Vec::new(), spans: vec![Span::default(); tree.splits.len()] };
        let mut steps = vec![Step::Enter(if tree.splits.is_empty() { Child::Leaf(0) } else { Child::Split(0) })];
        while let Some(step) = steps.pop() {
            let here = layout.order.len();
            match step {
                Step::Enter(Child::Leaf(leaf)) => layout.order.push(leaf),
                Step::Enter(Child::Split(i)) => {
                    let Split { left, right, .. } = tree.splits[i];
                    layout.spans[i].left.start = here;
                    steps.extend([Step::Leave(i), Step::Enter(right), Step::Middle(i), Step::Enter(left)]);
                }
                Step::Middle(i) => {
                    layout.spans[i].left.end = here;
                    layout.spans[i].right.start = here;
                }
                Step::Leave(i) => layout.spans[i].right.end = here,
            }
        }
        layout
    }
}

fn words_of(tree: &Tree) -> usize {
    tree.leaves.len().div_ceil(BITS)
}

fn clear(words: &mut [u32], bits: Range<usize>) {
    for bit in bits {
        words[bit / BITS] &= !(1 << (bit % BITS));
    }
}

/// With their cuts only.
fn features<'a, const FEATURES: usize>(trees: impl Iterator<Item = &'a Tree>) -> [Feature; FEATURES] {
    let mut features: [Feature; FEATURES] = std::array::from_fn(|_| Feature::default());
    for split in trees.flat_map(|tree| &tree.splits) {
        features[split.feature].cuts.push(split.threshold);
    }
    for Feature { cuts, .. } in &mut features {
        cuts.sort_by(f64::total_cmp);
        // By value, because -0 and 0 are one threshold.
        cuts.dedup_by(|a, b| a == b);
    }
    features
}

#[cfg(test)]
mod tests;
