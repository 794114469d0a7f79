//! Recorded load: function, node, list of rates.

use std::path::Path;

use anyhow::Result;

use super::RANGE;
use crate::field::{Document, Field};
use dfaas_base::BadInput;

/// By node and window, the sum over the functions, scaled so that the largest is the end of the range.
pub(super) fn read(path: &Path) -> Result<Vec<Vec<f64>>> {
    let document = Document::read(path)?;
    let mut nodes: Vec<(&str, Vec<f64>)> = Vec::new();
    for (_, function) in document.root().entries()? {
        for (node, windows) in function.entries()? {
            let rates: Vec<f64> = windows.items()?.iter().map(Field::rate).collect::<Result<_>>()?;
            if rates.is_empty() {
                return Err(windows.error("one rate or more"));
            }
            match nodes.iter_mut().find(|(name, _)| *name == node) {
                None => nodes.push((node, rates)),
                Some((_, sum)) if sum.len() == rates.len() => {
                    sum.iter_mut().zip(rates).for_each(|(sum, rate)| *sum += rate);
                }
                Some(_) => return Err(windows.error("as many rates as of the other functions")),
            }
        }
    }
    let most = nodes.iter().flat_map(|(_, rates)| rates).copied().fold(0.0, f64::max);
    if most == 0.0 {
        return Err(BadInput(format!("{}: no rate above 0, expected a trace", path.display())).into());
    }
    nodes.sort_by_key(|(name, _)| (name.len(), *name));
    Ok(nodes.into_iter().map(|(_, rates)| rates.into_iter().map(|rate| rate / most * RANGE.1).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::arrivals::Arrivals;

    fn written(text: &str) -> Result<Vec<Vec<f64>>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace.json");
        std::fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn functions_are_summed_and_the_largest_window_is_the_end_of_the_range() {
        let nodes = written(r#"{"f": {"0": [10, 20], "1": [5, 5]}, "g": {"0": [0, 20]}}"#).unwrap();
        assert_eq!(nodes, [[37.5, 150.0], [18.75, 18.75]]);
        let rates = Arrivals::Trace(nodes).generate(3, 4, 1);
        assert_eq!(rates, [[37, 18, 37], [37, 18, 37], [150, 18, 150], [150, 18, 150]]);
    }

    #[test]
    fn bad_traces_are_refused_by_field_and_value() {
        assert!(written(r#"{"f": {"0": [1, -2]}}"#).unwrap_err().to_string().contains("f.0[1] is -2, expected a rate"));
        assert!(written(r#"{"f": {"0": []}}"#).unwrap_err().to_string().contains("f.0 is [], expected one rate"));
        assert!(written("{}").unwrap_err().to_string().contains("no rate above 0"));
    }
}
