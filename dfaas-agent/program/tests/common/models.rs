//! A folder of small models: every tree has one split, at half of the greatest rate.

use std::{fs, path::Path};

const METRICS: [&str; 3] = ["cpu_usage_node", "ram_usage_node", "power_usage_node"];

const SCALERS: &str = r#"{
    "x": {"feature_order": ["rate_group_HIGH_USAGE", "rate_group_LOW_USAGE", "rate_group_MEDIUM_USAGE", "node_type"],
          "min": [0, 0, 0, 0], "max": [100, 100, 100, 2]},
    "y": {"cpu_usage_node": {"min": 10, "max": 110}, "ram_usage_node": {"min": 0, "max": 1000},
          "power_usage_node": {"min": 0, "max": 1000}}}"#;

/// Usage is 0 (scaled) up to half of the rate of the metric's group, and a half above; overloaded above 50 LOW calls.
pub(crate) fn write(folder: &Path) {
    let models = folder.join("models");
    fs::create_dir_all(&models).unwrap();
    fs::write(folder.join("scalers.json"), SCALERS).unwrap();
    for family in ["regression", "quantile005", "quantile095"] {
        for (feature, metric) in METRICS.into_iter().enumerate() {
            fs::write(models.join(format!("{metric}.{family}.lgb.txt")), stump("regression", feature, 0.0, 0.5))
                .unwrap();
        }
    }
    fs::write(models.join("overloaded_node.lgb.txt"), stump("binary sigmoid:1", 1, -1.0, 1.0)).unwrap();
}

fn stump(objective: &str, feature: usize, below: f64, above: f64) -> String {
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=3\nobjective={objective}\n\
         feature_names=a b c d\ntree_sizes=1\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature={feature}\n\
         threshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\nleaf_value={below} {above}\nis_linear=0\n\
         shrinkage=1\n\nend of trees\n"
    )
}
