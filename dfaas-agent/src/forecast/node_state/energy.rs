//! Energy counters of the processor packages (RAPL), in `/sys/class/powercap/intel-rapl:<n>`; AMD has the same name.

use std::{collections::BTreeMap, fs, path::Path};

use super::file;

/// Counter and the value it wraps at, by package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Energy(BTreeMap<String, Counter>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counter {
    microjoules: u64,
    range: u64,
}

impl Energy {
    pub(super) fn read(powercap: &Path) -> Result<Self, String> {
        let no_power = |e| format!("power is not readable: {}: {e}", powercap.display());
        let mut packages = BTreeMap::new();
        for entry in fs::read_dir(powercap).map_err(no_power)? {
            let entry = entry.map_err(no_power)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // `intel-rapl:0:1` is a part of `intel-rapl:0`.
            let Some(number) = name.strip_prefix("intel-rapl:").filter(|rest| !rest.contains(':')) else { continue };
            let folder = entry.path();
            // The whole platform, which has the packages in it, is not on every machine.
            if file::text(&folder.join("name")).is_ok_and(|name| name == "psys") {
                continue;
            }
            let read = |what: &str| file::number(&folder.join(what)).map_err(|e| format!("power is not readable: {e}"));
            let counter = Counter { microjoules: read("energy_uj")?, range: read("max_energy_range_uj")? };
            packages.insert(number.to_owned(), counter);
        }
        if packages.is_empty() {
            return Err(format!("power is not readable: {}: no folder intel-rapl:<n>", powercap.display()));
        }
        Ok(Self(packages))
    }

    /// `None` if a package has come or gone.
    pub(super) fn microjoules_since(&self, before: &Self) -> Option<f64> {
        if !self.0.keys().eq(before.0.keys()) {
            return None;
        }
        Some(self.0.values().zip(before.0.values()).map(|(now, before)| now.since(*before)).sum())
    }
}

impl Counter {
    fn since(self, before: Self) -> f64 {
        let wrapped = if self.microjoules < before.microjoules { self.range } else { 0 };
        (self.microjoules as f64 - before.microjoules as f64 + wrapped as f64).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn energy(counters: &[(&str, u64)]) -> Energy {
        let counter = |microjoules: &u64| Counter { microjoules: *microjoules, range: 1000 };
        Energy(counters.iter().map(|(name, count)| ((*name).to_owned(), counter(count))).collect())
    }

    #[test]
    fn a_counter_that_wraps_goes_on() {
        let before = energy(&[("0", 900), ("1", 100)]);
        assert_eq!(energy(&[("0", 50), ("1", 150)]).microjoules_since(&before), Some(200.0));
    }

    #[test]
    fn other_packages_make_no_difference_that_means_anything() {
        let before = energy(&[("0", 900)]);
        assert_eq!(energy(&[("0", 950), ("1", 150)]).microjoules_since(&before), None);
    }
}
