//! All local: nothing is forwarded, nothing granted, nothing refused.

use std::collections::BTreeMap;

use super::{FunctionTables, LocalFunction, Snapshot};
use crate::decision::{FunctionTable, Shape, Weights};

pub(super) fn decide(snapshot: &Snapshot) -> FunctionTables {
    let table = |function: &LocalFunction| FunctionTable {
        deployed: true,
        local_limit: None,
        shape: Shape::Weighted,
        weights: Weights::local(),
        limits_out: BTreeMap::new(),
        limits_in: BTreeMap::new(),
        timeout: function.timeout,
    };
    snapshot.functions.iter().map(|(name, function)| (name.clone(), table(function))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::test_names::function;

    #[test]
    fn an_overloaded_function_stays_here_without_a_limit() {
        let busy = LocalFunction { max_rate: Some(1.0), rate: 50.0, timeout: None };
        let snapshot = Snapshot { functions: [(function("figlet"), busy)].into(), ..Snapshot::default() };
        let table = &decide(&snapshot)[&function("figlet")];
        assert_eq!((table.local_limit, table.weights.local, table.weights.reject), (None, 100, 0));
    }
}
