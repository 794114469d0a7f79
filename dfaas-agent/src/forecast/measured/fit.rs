//! One quantity as a constant and a cost per unit of each input: recursive least squares that forgets.
//!
//! Kept is the information matrix Σ x·xᵀ, not its inverse. What is forgotten of it is replaced by a little trust in the
//! costs as they are: so inputs that never change let nothing grow, and costs nobody asks for are kept.

/// What is known before the first sample. Small against one call per second squared.
const FIRST_INFORMATION: f64 = 1e-3;
/// Trust in the constant and in the other costs. While inputs stand still, what changes goes to the constant; and rates
/// that hardly differ from each other (10 calls² per second² in all that is remembered) teach nothing.
const TRUST_CONSTANT: f64 = 1e-2;
const TRUST_COST: f64 = 10.0;
/// Relative to the mean of the diagonal: keeps the matrix invertible in floating point.
const JITTER: f64 = 1e-12;
const MAX_SWEEPS: usize = 200;

/// Costs of the inputs; input 0 is the constant, always 1.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    memory_samples: f64,
    information: Vec<Vec<f64>>,
    /// The least squares solution.
    free: Vec<f64>,
    /// The best one without negative costs.
    costs: Vec<f64>,
    samples: u64,
}

impl Fit {
    /// A sample's weight falls to 1/e over `memory_samples`.
    pub(super) fn new(inputs: usize, memory_samples: u32) -> Self {
        let mut fit = Self {
            memory_samples: f64::from(memory_samples.max(2)),
            information: Vec::new(),
            free: Vec::new(),
            costs: Vec::new(),
            samples: 0,
        };
        (0..=inputs).for_each(|_| fit.add_input());
        fit
    }

    pub(super) fn costs(&self) -> &[f64] {
        &self.costs
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn add_input(&mut self) {
        self.information.iter_mut().for_each(|row| row.push(0.0));
        let mut row = vec![0.0; self.information.len() + 1];
        row[self.information.len()] = FIRST_INFORMATION;
        self.information.push(row);
        self.free.push(0.0);
        self.costs.push(0.0);
    }

    /// What is known of the others stays as uncertain as it is with this one's cost unknown (Schur complement).
    pub(super) fn remove_input(&mut self, input: usize) {
        let gone = self.information.remove(input);
        for (row, scale) in self.information.iter_mut().zip(others(&gone, input)) {
            row.remove(input);
            for (cell, with) in row.iter_mut().zip(others(&gone, input)) {
                *cell -= scale * with / gone[input];
            }
        }
        self.free.remove(input);
        self.costs.remove(input);
    }

    /// The cost of this input is learned anew.
    pub(super) fn forget_input(&mut self, input: usize) {
        self.remove_input(input);
        self.add_input();
        self.information.iter_mut().for_each(|row| row[input..].rotate_right(1));
        self.information[input..].rotate_right(1);
        self.free[input..].rotate_right(1);
        self.costs[input..].rotate_right(1);
    }

    pub(super) fn predict(&self, inputs: &[f64]) -> f64 {
        dot(&self.costs, inputs)
    }

    /// Takes one sample of finite numbers.
    pub(super) fn learn(&mut self, inputs: &[f64], value: f64) {
        let forgotten = 1.0 / self.memory_samples;
        for (i, row) in self.information.iter_mut().enumerate() {
            for (j, cell) in row.iter_mut().enumerate() {
                *cell = (1.0 - forgotten) * *cell + inputs[i] * inputs[j];
            }
            row[i] += forgotten * if i == 0 { TRUST_CONSTANT } else { TRUST_COST };
        }
        let Some(gain) = solve(&self.information, inputs) else {
            // Rounding has spoilt the matrix: the costs stay, and are learned anew from here.
            self.reset_information();
            return;
        };
        let error = value - dot(&self.free, inputs);
        self.free.iter_mut().zip(gain).for_each(|(cost, gain)| *cost += gain * error);
        self.costs = non_negative(&self.information, &self.free);
        self.samples += 1;
    }

    fn reset_information(&mut self) {
        for (i, row) in self.information.iter_mut().enumerate() {
            row.fill(0.0);
            row[i] = FIRST_INFORMATION;
        }
        self.free.clone_from(&self.costs);
    }
}

fn others(row: &[f64], without: usize) -> impl Iterator<Item = f64> {
    row.iter().enumerate().filter(move |(i, _)| *i != without).map(|(_, cell)| *cell)
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn times(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| dot(row, vector)).collect()
}

/// Solves `matrix · x = right` for a symmetric positive matrix (Cholesky); `None` if it is not.
fn solve(matrix: &[Vec<f64>], right: &[f64]) -> Option<Vec<f64>> {
    let n = matrix.len();
    let jitter = JITTER * (0..n).map(|i| matrix[i][i]).sum::<f64>() / n as f64;
    let mut lower = vec![vec![0.0; n]; n];
    let mut x = right.to_vec();
    for i in 0..n {
        for j in 0..=i {
            let sum = matrix[i][j] - dot(&lower[i][..j], &lower[j][..j]);
            lower[i][j] =
                if i == j { Some((sum + jitter).sqrt()).filter(|root| *root > 0.0)? } else { sum / lower[j][j] };
        }
        x[i] = (x[i] - dot(&lower[i][..i], &x[..i])) / lower[i][i];
    }
    for i in (0..n).rev() {
        let after: f64 = (i + 1..n).map(|j| lower[j][i] * x[j]).sum();
        x[i] = (x[i] - after) / lower[i][i];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

/// The costs without a negative one that fit all samples best: coordinate descent from the free ones, which comes
/// nearer with each sweep.
fn non_negative(information: &[Vec<f64>], free: &[f64]) -> Vec<f64> {
    let mut costs: Vec<f64> = free.iter().map(|cost| cost.max(0.0)).collect();
    if costs == free {
        return costs;
    }
    let away: Vec<f64> = costs.iter().zip(free).map(|(cost, free)| cost - free).collect();
    let mut slope = times(information, &away);
    for _ in 0..MAX_SWEEPS {
        let mut largest: f64 = 0.0;
        for i in 0..costs.len() {
            let moved = (costs[i] - slope[i] / information[i][i]).max(0.0) - costs[i];
            costs[i] += moved;
            slope.iter_mut().zip(&information[i]).for_each(|(slope, cell)| *slope += cell * moved);
            largest = largest.max(moved.abs() / (1e-9 + costs[i]));
        }
        if largest < 1e-9 {
            break;
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn near(a: f64, b: f64, tolerance: f64) -> bool {
        (a - b).abs() <= tolerance
    }

    #[test]
    fn exact_samples_give_the_exact_costs() {
        let mut fit = Fit::new(2, 300);
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..200 {
            let x = [1.0, random.random_range(0.0..50.0), random.random_range(0.0..5.0)];
            fit.learn(&x, dot(&[60.0, 1.5, 8.0], &x));
        }
        assert!(near(fit.costs()[0], 60.0, 0.05) && near(fit.costs()[1], 1.5, 0.002), "{:?}", fit.costs());
        assert!(near(fit.costs()[2], 8.0, 0.02), "{:?}", fit.costs());
    }

    #[test]
    fn constant_samples_let_nothing_grow() {
        let mut fit = Fit::new(2, 100);
        let mut random = StdRng::seed_from_u64(2);
        for _ in 0..200 {
            let x = [1.0, random.random_range(0.0..50.0), random.random_range(0.0..50.0)];
            fit.learn(&x, dot(&[60.0, 1.5, 0.5], &x) + random.random_range(-2.0..2.0));
        }
        let before = fit.costs().to_vec();
        let x = [1.0, 20.0, 10.0];
        for _ in 0..100_000 {
            fit.learn(&x, dot(&[60.0, 1.5, 0.5], &x) + random.random_range(-2.0..2.0));
        }
        for (now, before) in fit.costs().iter().zip(&before) {
            assert!(near(*now, *before, 0.1 * before + 1.0), "{before} became {now}");
        }
        assert!(fit.information.iter().flatten().all(|cell| cell.abs() < 1e9));
        assert!(near(fit.predict(&x), 95.0, 1.0), "{}", fit.predict(&x));
    }

    #[test]
    fn a_cost_that_would_be_negative_is_zero_and_the_others_make_up_for_it() {
        let mut fit = Fit::new(1, 300);
        for rate in 0..200 {
            fit.learn(&[1.0, f64::from(rate % 10)], 50.0 - f64::from(rate % 10));
        }
        assert_eq!(fit.costs()[1], 0.0);
        assert!(near(fit.costs()[0], 45.5, 0.5), "the mean remains: {:?}", fit.costs());
    }

    #[test]
    fn an_input_that_goes_leaves_the_costs_of_the_others() {
        let mut fit = Fit::new(2, 300);
        let mut random = StdRng::seed_from_u64(3);
        let mut x = || [1.0, random.random_range(0.0..50.0), random.random_range(0.0..50.0)];
        for _ in 0..300 {
            let x = x();
            fit.learn(&x, dot(&[10.0, 2.0, 3.0], &x));
        }
        fit.remove_input(1);
        assert!(near(fit.costs()[1], 3.0, 0.01), "{:?}", fit.costs());
        for _ in 0..300 {
            let [one, _, second] = x();
            fit.learn(&[one, second], 10.0 + 3.0 * second);
        }
        assert!(near(fit.costs()[0], 10.0, 0.1) && near(fit.costs()[1], 3.0, 0.01), "{:?}", fit.costs());
    }
}
