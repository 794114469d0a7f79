//! Models, which come from whoever trained them.

use std::path::Path;

use dfaas_base::Reader;

use super::{lightgbm::Model, models::FEATURES, tree::Forest};

pub(crate) const READERS: &[Reader] = &[("lightgbm", lightgbm)];

fn lightgbm(bytes: &[u8]) {
    let Ok(model) = Model::from_bytes(Path::new("fuzzed.lgb.txt"), bytes) else { return };
    if let Ok(forest) = Forest::<{ FEATURES.len() }, 1>::new([&model.trees]) {
        for features in [[0.0; FEATURES.len()], [f64::MAX; FEATURES.len()], [-1.5; FEATURES.len()]] {
            let _ = forest.predict(&features);
        }
    }
}
