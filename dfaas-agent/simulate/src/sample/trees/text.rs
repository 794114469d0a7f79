//! Trees as LightGBM's text.

use std::fmt::{Display, Write as _};

/// Numbers up to the threshold go below, the others above; what LightGBM writes for data without missing values.
const NUMERICAL_SPLIT: u32 = 2;

#[derive(Clone, Debug)]
pub(super) enum Tree {
    Leaf(f64),
    Split { feature: usize, threshold: f64, below: Box<Self>, above: Box<Self> },
}

impl Tree {
    pub(super) fn split(feature: usize, threshold: f64, below: Self, above: Self) -> Self {
        Self::Split { feature, threshold, below: Box::new(below), above: Box::new(above) }
    }
}

/// Columns of the text: splits and leaves in the order in which they are met, leaves named by the complement.
#[derive(Debug, Default)]
struct Columns {
    feature: Vec<usize>,
    threshold: Vec<f64>,
    below: Vec<i64>,
    above: Vec<i64>,
    leaves: Vec<f64>,
}

impl Columns {
    /// The number by which a parent names the tree.
    fn add(&mut self, tree: &Tree) -> i64 {
        match tree {
            Tree::Leaf(value) => {
                self.leaves.push(*value);
                -(self.leaves.len() as i64)
            }
            Tree::Split { feature, threshold, below, above } => {
                let number = self.feature.len();
                self.feature.push(*feature);
                self.threshold.push(*threshold);
                self.below.push(0);
                self.above.push(0);
                self.below[number] = self.add(below);
                self.above[number] = self.add(above);
                number as i64
            }
        }
    }

    fn text(&self) -> String {
        let (splits, leaves) = (self.feature.len(), self.leaves.len());
        let mut text = format!("num_leaves={leaves}\nnum_cat=0\n");
        let mut line = |key: &str, values: String| {
            let _ = writeln!(text, "{key}={values}");
        };
        line("split_feature", list(&self.feature));
        line("split_gain", list(&vec![1; splits]));
        line("threshold", list(&self.threshold));
        line("decision_type", list(&vec![NUMERICAL_SPLIT; splits]));
        line("left_child", list(&self.below));
        line("right_child", list(&self.above));
        line("leaf_value", list(&self.leaves));
        // Of training, which did not happen; no reader needs it to predict.
        line("leaf_weight", list(&vec![1; leaves]));
        line("leaf_count", list(&vec![1; leaves]));
        line("internal_value", list(&vec![0; splits]));
        line("internal_weight", list(&vec![1; splits]));
        line("internal_count", list(&vec![1; splits]));
        line("is_linear", "0".to_owned());
        line("shrinkage", "1".to_owned());
        text
    }
}

fn list(values: &[impl Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A model over the four inputs.
pub(super) fn model(objective: &str, trees: &[Tree]) -> String {
    let bodies: Vec<String> = trees
        .iter()
        .enumerate()
        .map(|(number, tree)| {
            let mut columns = Columns::default();
            columns.add(tree);
            format!("Tree={number}\n{}\n\n", columns.text())
        })
        .collect();
    let sizes: Vec<usize> = bodies.iter().map(String::len).collect();
    let head = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=3\n";
    let names = "feature_names=Column_0 Column_1 Column_2 Column_3\nfeature_infos=[0:1] [0:1] [0:1] [0:1]\n";
    let sizes = list(&sizes);
    format!("{head}objective={objective}\n{names}tree_sizes={sizes}\n\n{}end of trees\n", bodies.concat())
}
