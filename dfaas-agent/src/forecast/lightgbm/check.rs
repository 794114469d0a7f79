//! Every number of a text model is checked here, before anything walks the trees.

use super::{Fault, Objective, block::Block, cut};
use crate::forecast::tree::{Child, Split, Tree};

/// Far more than training would make of any data.
const MAX_LEAVES: usize = 1 << 16;
/// Objectives whose sum of trees is the answer.
const PLAIN: [&str; 6] = ["regression", "regression_l1", "quantile", "huber", "fair", "mape"];

/// What the trees mean, and over how many features.
pub(super) fn header(header: &Block<'_>) -> Result<(Objective, usize), Fault> {
    let (line, version) = header.get("version")?;
    if !matches!(version, "v3" | "v4") {
        return Err((line, format!("version={}, expected v3 or v4", cut(version))));
    }
    header.only("num_class", "1", "models of several classes are not supported")?;
    header.only("num_tree_per_iteration", "1", "models of several classes are not supported")?;
    if let Some(line) = header.has("average_output") {
        return Err((line, "average_output: random forests are not supported".into()));
    }
    let last: u16 = header.number("max_feature_idx", "the number of the last feature")?;
    let features = usize::from(last) + 1;
    header.list::<String>("feature_names", features, "a name")?;
    let (line, text) = header.get("objective")?;
    let mut words = text.split_whitespace();
    let objective = match words.next() {
        Some("binary") => {
            let sigmoid = words.find_map(|word| word.strip_prefix("sigmoid:")?.parse().ok()).unwrap_or(1.0);
            Objective::Logistic { sigmoid }
        }
        Some(name) if PLAIN.contains(&name) && words.all(|word| word != "sqrt") => Objective::Plain,
        _ => return Err((line, format!("objective={}, expected one of {PLAIN:?} or \"binary\"", cut(text)))),
    };
    Ok((objective, features))
}

/// The tree of a block.
pub(super) fn tree(block: &Block<'_>, features: usize) -> Result<Tree, Fault> {
    let count: usize = block.number("num_leaves", "the number of leaves")?;
    if !(1..=MAX_LEAVES).contains(&count) {
        return Err((block.get("num_leaves")?.0, format!("num_leaves={count}, expected 1 to {MAX_LEAVES}")));
    }
    block.only("num_cat", "0", "categorical features are not supported")?;
    block.only("is_linear", "0", "linear trees are not supported")?;
    let leaves = finite(block, "leaf_value", count)?;
    let splits = if count == 1 { Vec::new() } else { splits(block, features, count)? };
    // The last line of a tree: without it the file was cut off somewhere in between.
    block.get("shrinkage")?;
    Ok(Tree { splits, leaves })
}

fn splits(block: &Block<'_>, features: usize, leaves: usize) -> Result<Vec<Split>, Fault> {
    let inner = leaves - 1;
    let feature = block.list::<usize>("split_feature", inner, "the number of a feature")?;
    if let Some(bad) = feature.iter().find(|f| **f >= features) {
        let line = block.get("split_feature")?.0;
        return Err((line, format!("split_feature {bad} does not exist, expected 0 to {}", features - 1)));
    }
    let threshold = finite(block, "threshold", inner)?;
    for kind in block.list::<u8>("decision_type", inner, "a number below 16")? {
        // Bit 0: categorical. Bits 2 and 3: what counts as missing, 0 nothing, 1 zero, 2 NaN (which nobody passes).
        if kind & 1 == 1 || kind >> 2 == 1 || kind > 11 {
            let line = block.get("decision_type")?.0;
            return Err((line, format!("decision_type {kind} is not supported, expected comparisons of numbers")));
        }
    }
    let left = children(block, "left_child", leaves)?;
    let right = children(block, "right_child", leaves)?;
    let split = |i: usize| Split { feature: feature[i], threshold: threshold[i], left: left[i], right: right[i] };
    let splits: Vec<_> = (0..inner).map(split).collect();
    one_tree(block, &splits, leaves)?;
    Ok(splits)
}

/// Splits count from 0; leaves are written as -1, -2 and so on.
fn children(block: &Block<'_>, key: &str, leaves: usize) -> Result<Vec<Child>, Fault> {
    let numbers = block.list::<i32>(key, leaves - 1, "the number of a split or leaf")?;
    let child = |number: i32| {
        let index = (if number < 0 { !number } else { number }) as usize;
        let (child, count) = if number < 0 { (Child::Leaf(index), leaves) } else { (Child::Split(index), leaves - 1) };
        (index < count).then_some(child).ok_or(number)
    };
    let line = block.get(key)?.0;
    let wrong = |number| (line, format!("{key} {number} does not exist, expected -{leaves} to {}", leaves - 2));
    numbers.into_iter().map(|number| child(number).map_err(wrong)).collect()
}

/// Every split and leaf is reached once from the root: no cycles, nothing shared, nothing lost.
fn one_tree(block: &Block<'_>, splits: &[Split], leaves: usize) -> Result<(), Fault> {
    let mut seen = (vec![false; splits.len()], vec![false; leaves]);
    let mut open = vec![Child::Split(0)];
    let mut reached = 0;
    while let Some(child) = open.pop() {
        let seen = match child {
            Child::Split(i) => &mut seen.0[i],
            Child::Leaf(i) => &mut seen.1[i],
        };
        if std::mem::replace(seen, true) {
            let line = block.get("left_child")?.0;
            return Err((line, format!("left_child and right_child lead to {child:?} twice, expected a tree")));
        }
        reached += 1;
        if let Child::Split(i) = child {
            open.extend([splits[i].left, splits[i].right]);
        }
    }
    if reached < splits.len() + leaves {
        let line = block.get("left_child")?.0;
        return Err((line, "left_child and right_child leave out a part of the tree".into()));
    }
    Ok(())
}

fn finite(block: &Block<'_>, key: &str, count: usize) -> Result<Vec<f64>, Fault> {
    let values = block.list::<f64>(key, count, "a number")?;
    match values.iter().find(|v| !v.is_finite()) {
        Some(bad) => Err((block.get(key)?.0, format!("{key} has {bad}, expected finite numbers"))),
        None => Ok(values),
    }
}
