use super::*;
use crate::forecast::tree::{Child, Split};
use std::io::Write as _;

pub(crate) const SMALL: &str = "tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=Column_0 Column_1
feature_infos=[0:1] [0:1]
tree_sizes=10 10

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
split_gain=2 1
threshold=0.5 0.25
decision_type=2 2
left_child=1 -1
right_child=-2 -3
leaf_value=1.5 2.5 -3
leaf_count=1 1 1
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
leaf_value=10
shrinkage=0.1


end of trees

feature_importances:
Column_0=1
";

fn read(text: &str) -> Result<Model, ModelError> {
    Model::from_bytes(Path::new("m.lgb.txt"), text.as_bytes())
}

fn error(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn a_model_is_read() {
    let model = read(SMALL).unwrap();
    assert_eq!((model.objective, model.features, model.trees.len()), (Objective::Plain, 2, 2));
    let (left, right) = (Child::Split(1), Child::Leaf(1));
    assert_eq!(model.trees[0].splits[0], Split { feature: 0, threshold: 0.5, left, right });
    assert_eq!(model.trees[0].leaves, [1.5, 2.5, -3.0]);
    assert_eq!(model.trees[1], Tree { splits: vec![], leaves: vec![10.0] });
    let classifier = SMALL.replace("objective=regression", "objective=binary sigmoid:2");
    assert_eq!(read(&classifier).unwrap().objective, Objective::Logistic { sigmoid: 2.0 });
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        ("version=v4", "version=v9", "line 2: version=v9, expected v3 or v4"),
        ("num_class=1", "num_class=3", "line 3: num_class=3, expected 1"),
        ("label_index=0", "average_output", "line 5: average_output: random forests"),
        ("max_feature_idx=1", "max_feature_idx=x", "line 6: max_feature_idx=x, expected"),
        ("objective=regression", "objective=lambdarank", "line 7: objective=lambdarank, expected one of"),
        ("objective=regression", "objective=regression sqrt", "line 7: objective=regression sqrt"),
        ("Column_0 Column_1", "Column_0", "line 8: feature_names has 1 values, expected 2"),
        ("tree_sizes=10 10", "tree_sizes=10 10 10", "line 35: the file ends with 2 trees, tree_sizes lists 3"),
        ("Tree=1", "Tree=7", "line 27: \"Tree=7\", expected \"Tree=1\""),
        ("num_leaves=3", "num_leaves=0", "line 13: num_leaves=0, expected 1 to"),
        ("num_leaves=3", "num_leaves=4", "line 21: leaf_value has 3 values, expected 4"),
        ("num_cat=0\nsplit_feature=0", "num_cat=1\nsplit_feature=0", "line 14: num_cat=1, expected 0: categorical"),
        ("is_linear=0", "is_linear=1", "line 23: is_linear=1, expected 0"),
        ("split_feature=0 1", "split_feature=0 2", "line 15: split_feature 2 does not exist, expected 0 to 1"),
        ("threshold=0.5 0.25", "threshold=0.5 nan", "line 17: threshold has NaN"),
        ("threshold=0.5 0.25", "threshold=0.5 0,25", "line 17: threshold: value 2 is \"0,25\", expected a number"),
        ("decision_type=2 2", "decision_type=2 1", "line 18: decision_type 1 is not supported"),
        ("decision_type=2 2", "decision_type=2 6", "line 18: decision_type 6 is not supported"),
        ("left_child=1 -1", "left_child=2 -1", "line 19: left_child 2 does not exist, expected -3 to 1"),
        ("right_child=-2 -3", "right_child=-2 -4", "line 20: right_child -4 does not exist"),
        ("right_child=-2 -3", "right_child=-2147483648 -3", "line 20: right_child -2147483648 does not exist"),
        ("left_child=1 -1", "left_child=0 -1", "line 19: left_child and right_child lead to Split(0) twice"),
        ("left_child=1 -1", "left_child=-1 -1", "line 19: left_child and right_child leave out"),
        ("leaf_value=1.5", "leaf_value=inf", "line 21: leaf_value has inf"),
        ("leaf_count=1 1 1", "threshold=1 1", "line 22: \"threshold\" a second time"),
    ];
    for (from, to, expected) in cases {
        assert!(SMALL.contains(from));
        let error = error(&SMALL.replacen(from, to, 1));
        assert!(error.starts_with(&format!("m.lgb.txt: {expected}")), "{error}");
    }
    assert_eq!(error("PK\u{3}"), "m.lgb.txt: line 1: \"PK\\u{3}\", expected \"tree\"");
    let binary = Model::from_bytes(Path::new("m.lgb.txt"), b"tree\n\xff").unwrap_err();
    assert_eq!((binary.line, binary.what.contains("not text")), (Some(2), true));
}

#[test]
fn a_cut_file_is_refused_wherever_it_was_cut() {
    let end = SMALL.find("end of trees").unwrap() + "end of trees".len();
    for length in 0..end {
        let error = read(&SMALL[..length]).unwrap_err();
        assert!(error.line.is_some(), "{length} bytes: {error}");
    }
    assert!(read(&SMALL[..end]).is_ok());
}

#[test]
fn a_cut_or_damaged_compressed_file_is_refused() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(SMALL.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let file = Path::new("m.lgb.txt.gz");
    assert_eq!(Model::from_bytes(file, &packed).unwrap(), read(SMALL).unwrap());
    let error = Model::from_bytes(file, &packed[..packed.len() / 2]).unwrap_err().to_string();
    assert!(error.contains("line") && error.contains("damaged or cut off"), "{error}");
    let mut flipped = packed;
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    assert!(Model::from_bytes(file, &flipped).is_err());
}
