//! Root of a mean square over the last samples, exponentially weighted.

#[derive(Clone, Debug)]
pub(super) struct Rms {
    memory_samples: f64,
    samples: f64,
    mean_square: f64,
}

impl Rms {
    pub(super) fn new(memory_samples: u32) -> Self {
        Self { memory_samples: f64::from(memory_samples.max(1)), samples: 0.0, mean_square: 0.0 }
    }

    pub(super) fn add(&mut self, error: f64) {
        // The first ones count equally, so that the start needs no guess.
        self.samples = (self.samples + 1.0).min(self.memory_samples);
        self.mean_square += (error * error - self.mean_square) / self.samples;
    }

    /// `None` before the first sample.
    pub(super) fn value(&self) -> Option<f64> {
        (self.samples > 0.0).then(|| self.mean_square.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_errors_count_equally_and_old_ones_fade() {
        let mut rms = Rms::new(10);
        assert_eq!(rms.value(), None);
        rms.add(3.0);
        rms.add(-4.0);
        assert_eq!(rms.value(), Some(12.5f64.sqrt()));
        for _ in 0..200 {
            rms.add(1.0);
        }
        assert!((rms.value().unwrap() - 1.0).abs() < 1e-6);
    }
}
