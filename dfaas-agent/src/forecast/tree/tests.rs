use super::*;
use proptest::prelude::*;

/// The meaning of a tree, step by step.
fn plain(tree: &Tree, features: &[f64]) -> f64 {
    let mut at = if tree.splits.is_empty() { Child::Leaf(0) } else { Child::Split(0) };
    loop {
        match at {
            Child::Leaf(leaf) => return tree.leaves[leaf],
            Child::Split(split) => {
                let split = tree.splits[split];
                at = if features[split.feature] <= split.threshold { split.left } else { split.right };
            }
        }
    }
}

/// Grows a tree by splitting leaves, as leaf-wise training does.
fn grown(choices: &[(usize, usize, i8)]) -> Tree {
    let mut tree = Tree { splits: vec![], leaves: vec![0.5] };
    for &(leaf, feature, threshold) in choices {
        let leaf = leaf % tree.leaves.len();
        let (split, new) = (tree.splits.len(), tree.leaves.len());
        for child in tree.splits.iter_mut().flat_map(|s| [&mut s.left, &mut s.right]) {
            if *child == Child::Leaf(leaf) {
                *child = Child::Split(split);
            }
        }
        let threshold = f64::from(threshold) / 4.0;
        tree.splits.push(Split { feature, threshold, left: Child::Leaf(leaf), right: Child::Leaf(new) });
        tree.leaves.push(new as f64 * 1.25);
    }
    tree
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let choices = prop::collection::vec((0usize..100, 0usize..3, -8i8..8), 0..80);
    prop::collection::vec(choices.prop_map(|c| grown(&c)), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_forest_sums_what_its_trees_give(
        first in trees(),
        second in trees(),
        rows in prop::collection::vec(prop::array::uniform3(-9i8..9), 1..100),
    ) {
        let forest = Forest::<3, 2>::new([&first, &second]).unwrap();
        let rows: Vec<[f64; 3]> = rows.into_iter().map(|row| row.map(|v| f64::from(v) / 4.0)).collect();
        let mut sums = vec![[7.0; 2]; rows.len()];
        forest.predict_rows(&rows, &mut sums);
        for (row, sum) in rows.iter().zip(&sums) {
            let plain = [&first, &second].map(|trees| trees.iter().map(|t| plain(t, row)).sum::<f64>() + 0.0);
            prop_assert_eq!(forest.predict(row), plain);
            prop_assert_eq!(*sum, plain);
        }
    }
}

#[test]
fn a_value_equal_to_the_threshold_goes_left() {
    let tree = grown(&[(0, 0, 4)]);
    let forest = Forest::<1, 1>::new([&[tree]]).unwrap();
    assert_eq!(forest.predict(&[1.0]), [0.5]);
    assert_eq!(forest.predict(&[1.0 + f64::EPSILON]), [1.25]);
    assert_eq!(forest.predict(&[f64::INFINITY]), [1.25]);
    assert_eq!(forest.predict(&[f64::NAN]), [0.5]);
}

#[test]
fn a_tree_of_many_words_gives_the_leaf_of_the_right_one() {
    let splits: Vec<_> = (1..1000).map(|leaf| (leaf - 1, 0, (leaf * 7 % 100) as i8)).collect();
    let tree = grown(&splits);
    let forest = Forest::<1, 1>::new([std::slice::from_ref(&tree)]).unwrap();
    for value in -10..110 {
        let value = f64::from(value) / 4.0;
        assert_eq!(forest.predict(&[value]), [plain(&tree, &[value])]);
    }
}

#[test]
fn a_forest_without_trees_sums_to_nothing() {
    assert_eq!(Forest::<2, 1>::new([&[]]).unwrap().predict(&[1.0, 2.0]), [0.0]);
}
