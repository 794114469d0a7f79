//! The twelve indices by which the original compares strategies.

use super::traffic::FunctionMinute;

/// The original's names, in its order.
pub const NAMES: [&str; 12] = [
    "Mean success rate",
    "Success rate variance",
    "Success rate median",
    "Success rate 90% percentile",
    "Mean success rate (stress period)",
    "Success rate variance (stress period)",
    "Success rate median stress period",
    "Success rate 90% percentile stress period",
    "Tot. rejected requests",
    "Reject num variance",
    "Reject num median",
    "Reject num 90% percentile",
];

/// The minutes in which load runs.
const STRESS: std::ops::RangeInclusive<usize> = 1..=5;

const SECONDS_PER_MINUTE: f64 = 60.0;

/// Values in the order of [`NAMES`]; rates in percent, rejects in requests per minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Indices(pub [f64; 12]);

/// What happened to one function, by minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Percent of the offered calls that were served.
    pub success_percent: Vec<f64>,
    /// Requests of the minute that were not served.
    pub rejected: Vec<f64>,
}

impl Series {
    pub fn push(&mut self, minute: &FunctionMinute) {
        let (offered, served) = (minute.offered(), minute.served());
        let success = if offered == 0.0 || served > offered { 1.0 } else { served / offered };
        self.success_percent.push(success * 100.0);
        self.rejected.push((offered - served) * SECONDS_PER_MINUTE);
    }
}

impl Indices {
    /// Over all functions and minutes together.
    pub fn of<'a>(series: impl Iterator<Item = &'a Series> + Clone) -> Self {
        let all: Vec<f64> = series.clone().flat_map(|s| &s.success_percent).copied().collect();
        let in_stress =
            |s: &'a Series| s.success_percent.iter().enumerate().filter(|(minute, _)| STRESS.contains(minute));
        let stress: Vec<f64> = series.clone().flat_map(in_stress).map(|(_, rate)| *rate).collect();
        let rejected: Vec<f64> = series.flat_map(|s| &s.rejected).copied().collect();
        let mut values = [0.0; 12];
        values[0..4].copy_from_slice(&[mean(&all), variance(&all), median(&all), quantile(&all, 0.9)]);
        values[4..8].copy_from_slice(&[mean(&stress), variance(&stress), median(&stress), quantile(&stress, 0.9)]);
        values[8..12].copy_from_slice(&[
            rejected.iter().sum(),
            variance(&rejected),
            median(&rejected),
            quantile(&rejected, 0.9),
        ]);
        Self(values)
    }

    pub fn mean(of: &[Self]) -> Self {
        let mut values = [0.0; 12];
        for (i, value) in values.iter_mut().enumerate() {
            *value = of.iter().map(|indices| indices.0[i]).sum::<f64>() / of.len() as f64;
        }
        Self(values)
    }

    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        NAMES.into_iter().zip(self.0)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Linear between the two nearest values.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let below = sorted[place as usize];
    let above = sorted[(place as usize + 1).min(last)];
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_nearest_values() {
        assert_eq!(median(&[4.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!((quantile(&[0.0, 10.0, 20.0], 0.9) - 18.0).abs() < 1e-12);
        assert_eq!(quantile(&[7.0], 0.9), 7.0);
    }

    #[test]
    fn a_minute_without_calls_counts_as_served() {
        let mut series = Series::default();
        series.push(&FunctionMinute::default());
        let busy = FunctionMinute {
            table: [((0, 0), 5.0), ((0, 1), 3.0)].into(),
            rates: [(0, 10.0)].into(),
            max_rates: [(0, 5.0), (1, 1.0)].into(),
        };
        series.push(&busy);
        assert_eq!(series, Series { success_percent: vec![100.0, 60.0], rejected: vec![0.0, 240.0] });
    }

    #[test]
    fn the_stress_period_leaves_out_the_first_and_the_last_minute() {
        let series = Series {
            success_percent: vec![0.0, 100.0, 90.0, 80.0, 90.0, 100.0, 0.0],
            rejected: vec![0.0, 0.0, 60.0, 120.0, 60.0, 0.0, 0.0],
        };
        let indices = Indices::of([&series].into_iter());
        let by_name = |wanted: &str| indices.named().find(|(name, _)| *name == wanted).unwrap().1;
        assert!((by_name("Mean success rate") - 460.0 / 7.0).abs() < 1e-12);
        assert!((by_name("Mean success rate (stress period)") - 92.0).abs() < 1e-12);
        assert!((by_name("Success rate variance (stress period)") - 56.0).abs() < 1e-12);
        assert_eq!(by_name("Success rate median stress period"), 90.0);
        assert_eq!(by_name("Tot. rejected requests"), 240.0);
        assert!((by_name("Reject num 90% percentile") - 84.0).abs() < 1e-12);
    }

    #[test]
    fn the_mean_over_repetitions_is_taken_index_by_index() {
        let mean = Indices::mean(&[Indices([1.0; 12]), Indices([4.0; 12])]);
        assert_eq!(mean, Indices([2.5; 12]));
    }
}
