use std::{fs, path::Path};

use super::*;
use crate::forecast::scalers::tests::UNIT;

/// One split at half of the greatest rate: below it the first value, above the second.
pub(crate) fn stump(objective: &str, feature: usize, below: f64, above: f64) -> String {
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective={objective}\n\
         feature_names=a b c d\ntree_sizes=1\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature={feature}\n\
         threshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value={below} {above}\nis_linear=0\n\
         shrinkage=1\n\nend of trees\n"
    )
}

/// A folder of small models that differ by family.
pub(crate) fn write_models(folder: &Path) {
    let models = folder.join("models");
    fs::create_dir_all(&models).unwrap();
    fs::write(folder.join("scalers.json"), UNIT).unwrap();
    for (i, family) in Family::ALL.into_iter().enumerate() {
        for (feature, metric) in METRICS.into_iter().enumerate() {
            let text = stump("regression", feature, i as f64, 0.5 + i as f64);
            fs::write(models.join(format!("{metric}.{family}.lgb.txt")), text).unwrap();
        }
    }
    fs::write(models.join("overloaded_node.lgb.txt"), stump("binary sigmoid:1", 1, -1.0, 1.0)).unwrap();
}

#[test]
fn a_set_predicts_in_units() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    let folder = ModelFolder::open(folder.path()).unwrap();
    let models = UsageModels::load(&folder, Family::Quantile005).unwrap();
    let usage = models.predict(&[60.0, 50.0, 51.0, 1.0]);
    assert_eq!(usage, Usage { cpu: 160.0, ram: 1000.0, power: 1.5 });
    let overload = OverloadModel::load(&folder).unwrap();
    assert!((overload.probability(&[0.0, 51.0, 0.0, 0.0]) - 0.731_058).abs() < 1e-6);
    assert!(overload.overloaded(&[0.0, 51.0, 0.0, 0.0]) && !overload.overloaded(&[99.0, 50.0, 99.0, 0.0]));
}

#[test]
fn a_load_that_is_no_number_has_no_forecast() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    let models = UsageModels::load(&ModelFolder::open(folder.path()).unwrap(), Family::Regression).unwrap();
    let groups = GroupRates { low: f64::NAN, ..GroupRates::default() };
    let error = models.usage(NodeType::Heavy, &Load { groups, functions: &[] }).unwrap_err();
    assert_eq!(error.to_string(), "rate_group_LOW_USAGE is NaN, expected a rate");
}

#[test]
fn models_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    let models = folder.path().join("models");
    let load = || UsageModels::load(&ModelFolder::open(folder.path()).unwrap(), Family::Regression).unwrap_err();
    let cpu = models.join("cpu_usage_node.regression.lgb.txt");
    fs::write(&cpu, stump("binary sigmoid:1", 0, 0.0, 1.0)).unwrap();
    assert!(load().contains("cpu_usage_node.regression.lgb.txt: its objective is Logistic"), "{}", load());
    fs::write(&cpu, stump("regression", 0, 0.0, 1.0).replace("idx=3", "idx=2").replace("a b c d", "a b c")).unwrap();
    assert!(load().contains("has 3 features, expected the 4"), "{}", load());
    fs::write(&cpu, "tree\nversion=v4\n").unwrap();
    assert!(load().contains("cpu_usage_node.regression.lgb.txt: line 2: "), "{}", load());
    fs::remove_file(&cpu).unwrap();
    assert!(load().contains("has no model models/cpu_usage_node.regression"), "{}", load());
}
