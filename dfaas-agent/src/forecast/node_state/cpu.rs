//! Time of all cores from `/proc/stat`.

use std::path::Path;

use super::file;

/// Ticks since boot, summed over cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTimes {
    busy: u64,
    total: u64,
    cores: u32,
}

impl CpuTimes {
    pub(super) fn read(proc: &Path) -> Result<Self, String> {
        let path = proc.join("stat");
        Self::parse(&file::text(&path)?)
            .ok_or_else(|| format!("{}: no line \"cpu\" with at least 8 numbers", path.display()))
    }

    fn parse(stat: &str) -> Option<Self> {
        let first = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = first.split_whitespace().map_while(|word| word.parse().ok()).collect();
        // Guest time is part of user time. Stolen time was used by other machines, not by this one.
        let [user, nice, system, idle, wait, irq, softirq, stolen, ..] = ticks[..] else { return None };
        let busy = user + nice + system + irq + softirq;
        let is_core =
            |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let cores = stat.lines().filter(is_core).count().max(1) as u32;
        Some(Self { busy, total: busy + idle + wait + stolen, cores })
    }

    /// Percent of one core, summed over cores; `None` if no tick has passed or the counters went back.
    pub(super) fn percent_since(&self, before: &Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|ticks| *ticks > 0)?;
        // Idle and waiting time may go back by a tick, so that busy exceeds the total.
        let busy = self.busy.checked_sub(before.busy)?.min(total);
        Some(100.0 * f64::from(self.cores) * busy as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  100 0 50 800 40 5 5 0 0 0\ncpu0 50 0 25 400 20 3 2 0 0 0\ncpu1 50 0 25 400 20 2 3 0 0 0\nintr 1 2\n";

    #[test]
    fn a_busy_core_of_two_is_a_hundred_percent() {
        let before = CpuTimes::parse(STAT).unwrap();
        assert_eq!(before, CpuTimes { busy: 160, total: 1000, cores: 2 });
        let now = CpuTimes::parse(&STAT.replace("cpu  100 0 50 800", "cpu  180 0 70 900")).unwrap();
        assert_eq!(now.percent_since(&before), Some(100.0));
        assert_eq!(before.percent_since(&before), None);
        assert_eq!(before.percent_since(&now), None);
    }

    #[test]
    fn a_text_that_is_no_stat_is_refused() {
        for bad in ["", "cpu  1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3 4 5 6 x 8"] {
            assert_eq!(CpuTimes::parse(bad), None, "{bad:?}");
        }
    }
}
