//! Random: whole numbers from 1 to 100 for every neighbour, whether it can help or not.

use rand::Rng;

use super::{LocalView, Shares, to_percent};

pub(super) fn shares(view: &LocalView<'_>, rng: &mut impl Rng) -> Shares {
    to_percent((0..view.neighbours.len()).map(|place| (place, f64::from(rng.random_range(1..=100)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replayed::tests::measured;
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn every_neighbour_gets_a_share_and_the_seed_decides_which() {
        let (own, other) = (measured(20.0, 10.0), measured(50.0, 10.0));
        let view = LocalView { own: &own, neighbours: vec![&other; 5] };
        let drawn = |seed| shares(&view, &mut StdRng::seed_from_u64(seed));
        assert!(drawn(1).len() == 5 && drawn(1).values().all(|share| *share > 0.0));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
