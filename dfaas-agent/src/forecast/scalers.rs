//! Limits between which the models' inputs and outputs were scaled (`scalers.json`).

use serde::Deserialize;

use super::{
    columns::{FEATURES, METRICS},
    folder::ModelFolder,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Scalers {
    inputs: [Range; FEATURES.len()],
    outputs: [Range; METRICS.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
struct Range {
    min: f64,
    max: f64,
}

#[derive(Deserialize)]
struct Document {
    x: Inputs,
    y: std::collections::BTreeMap<String, Range>,
}

#[derive(Deserialize)]
struct Inputs {
    feature_order: Vec<String>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl Scalers {
    /// The error names file, field and value.
    pub fn read(folder: &ModelFolder) -> Result<Self, String> {
        let (file, bytes) = folder.read("scalers.json")?;
        let text = String::from_utf8(bytes).map_err(|e| format!("{}: {e}", file.display()))?;
        Self::from_json(&text).map_err(|what| format!("{}: {what}", file.display()))
    }

    pub fn from_json(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let Inputs { feature_order, min, max } = document.x;
        if feature_order != FEATURES {
            return Err(format!("x.feature_order is {feature_order:?}, expected {FEATURES:?}"));
        }
        if (min.len(), max.len()) != (FEATURES.len(), FEATURES.len()) {
            let expected = FEATURES.len();
            return Err(format!("x.min and x.max have {} and {} values, expected {expected}", min.len(), max.len()));
        }
        let mut inputs = [Range { min: 0.0, max: 1.0 }; FEATURES.len()];
        for (i, range) in inputs.iter_mut().enumerate() {
            *range = Range { min: min[i], max: max[i] }.checked(&format!("x, {}", FEATURES[i]))?;
        }
        let mut outputs = [Range { min: 0.0, max: 1.0 }; METRICS.len()];
        for (range, metric) in outputs.iter_mut().zip(METRICS) {
            let found = document.y.get(metric).ok_or_else(|| format!("y.{metric} is missing"))?;
            *range = found.checked(&format!("y.{metric}"))?;
        }
        Ok(Self { inputs, outputs })
    }

    /// As the trees were trained with. What lies beyond the limits is not clipped: trees saturate by themselves.
    pub fn scale(&self, features: &[f64; FEATURES.len()]) -> [f64; FEATURES.len()] {
        std::array::from_fn(|i| (features[i] - self.inputs[i].min) / self.inputs[i].width())
    }

    /// Back to units.
    pub fn unscale(&self, sums: [f64; METRICS.len()]) -> [f64; METRICS.len()] {
        std::array::from_fn(|i| sums[i] * self.outputs[i].width() + self.outputs[i].min)
    }
}

impl Range {
    fn width(self) -> f64 {
        self.max - self.min
    }

    fn checked(self, what: &str) -> Result<Self, String> {
        let Self { min, max } = self;
        if self.width().is_finite() && min < max {
            return Ok(self);
        }
        Err(format!("{what}: min {min} and max {max}, expected finite numbers and max above min"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const UNIT: &str = r#"{
        "x": {"feature_order": ["rate_group_HIGH_USAGE", "rate_group_LOW_USAGE", "rate_group_MEDIUM_USAGE", "node_type"],
              "min": [0, 0, 0, 0], "max": [100, 100, 100, 2]},
        "y": {"cpu_usage_node": {"min": 10, "max": 110}, "ram_usage_node": {"min": 0, "max": 1000},
              "power_usage_node": {"min": 0, "max": 1}}}"#;

    #[test]
    fn values_are_scaled_and_scaled_back() {
        let scalers = Scalers::from_json(UNIT).unwrap();
        assert_eq!(scalers.scale(&[50.0, 200.0, 0.0, 1.0]), [0.5, 2.0, 0.0, 0.5]);
        assert_eq!(scalers.unscale([0.5, 0.1, 2.0]), [60.0, 100.0, 2.0]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("\"node_type\"],", "\"type\"],", "x.feature_order is"),
            ("[0, 0, 0, 0]", "[0, 0, 0]", "x.min and x.max have 3 and 4 values, expected 4"),
            ("[100, 100, 100, 2]", "[100, 0, 100, 2]", "x, rate_group_LOW_USAGE: min 0 and max 0"),
            ("\"ram_usage_node\"", "\"ram\"", "y.ram_usage_node is missing"),
            ("\"max\": 1}", "\"max\": -1}", "y.power_usage_node: min 0 and max -1"),
            ("\"y\"", "\"z\"", "missing field `y`"),
        ];
        for (from, to, expected) in cases {
            let error = Scalers::from_json(&UNIT.replace(from, to)).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
