//! Static share: in proportion to the margin that a neighbour has for each node that might ask it.
//!
//! The original's simulator divides a neighbour's margin among the other nodes of the *deciding* node's view; a live agent
//! (see `recalc`) divides its own margin among its own peers, which the deciding node cannot see.

use super::{LocalView, Shares, to_percent};
use dfaas_agent::name::FunctionName;

pub(super) fn shares(view: &LocalView<'_>, function: &FunctionName) -> Shares {
    // Of all that run it, the neighbour itself does not ask.
    let askers =
        (view.with(function).count() + usize::from(view.own.functions.contains_key(function))).saturating_sub(1);
    let limits = view.with(function).map(|(place, _, metrics)| {
        let room = if metrics.overloaded { 0.0 } else { metrics.max_rate - metrics.rate };
        (place, room / askers as f64)
    });
    to_percent(limits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replayed::tests::function;
    use crate::replayed::{NodeMetrics, tests::measured};

    #[test]
    fn shares_follow_the_margins() {
        let (own, a, b, full) = (measured(20.0, 10.0), measured(0.0, 30.0), measured(5.0, 15.0), measured(9.0, 9.0));
        let view = LocalView { own: &own, neighbours: vec![&a, &b, &full] };
        assert_eq!(shares(&view, &function("f")), [(0, 75.0), (1, 25.0), (2, 0.0)].into());
    }

    #[test]
    fn neighbours_that_do_not_run_the_function_are_left_out() {
        let (own, a, without) = (measured(20.0, 10.0), measured(0.0, 30.0), NodeMetrics::default());
        let view = LocalView { own: &own, neighbours: vec![&without, &a] };
        assert_eq!(shares(&view, &function("f")), [(1, 100.0)].into());
    }

    #[test]
    fn without_any_room_all_shares_are_zero() {
        let (own, full) = (measured(20.0, 10.0), measured(9.0, 9.0));
        let view = LocalView { own: &own, neighbours: vec![&full, &full] };
        assert_eq!(shares(&view, &function("f")), [(0, 0.0), (1, 0.0)].into());
    }
}
