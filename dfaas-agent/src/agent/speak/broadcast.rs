//! The broadcasts that original agents understand.

use std::collections::BTreeMap;

use super::Agent;
use crate::{
    name::{FunctionName, NodeId},
    p2p::{
        direct::{FunctionState, MarginState},
        message::{MarginInfo, Message, NodeMarginInfo, RecalcInfo, StaticInfo},
    },
    strategy::Strategy,
};

impl Agent {
    /// For original agents of the same strategy, which do not know our direct protocol.
    pub(super) fn broadcasts(&self) -> Vec<Message> {
        let proxy = self.own_proxy();
        let functions = || self.functions.borrow().functions.keys().cloned().collect();
        match self.config.strategy.strategy {
            Strategy::Recalc => vec![self.grants()],
            Strategy::Static => vec![Message::Static(StaticInfo { proxy, functions: functions() })],
            Strategy::NodeMargin => {
                let planning = &self.config.planning;
                let (node_type, max_values) = (planning.node_type, planning.thresholds.into());
                let info = NodeMarginInfo { proxy, node_type, max_values, functions: functions() };
                margin_broadcasts(info, self.planner.planned.borrow().margin)
            }
            Strategy::AllLocal | Strategy::RlAgent => Vec::new(),
        }
    }

    fn grants(&self) -> Message {
        let states = self.overlay.connected().into_keys().map(|peer| (peer.clone(), self.function_states(&peer)));
        Message::Recalc(RecalcInfo { proxy: self.own_proxy(), limits: states.map(announced).collect() })
    }
}

/// Our own functions for a peer, which the original accepts and which avoids its habit of announcing each other's
/// (docs/compatibility.md, B10). Names that would break its configuration are left out (B15).
fn announced((peer, states): (NodeId, BTreeMap<FunctionName, FunctionState>)) -> (NodeId, BTreeMap<FunctionName, f64>) {
    let understood = states.into_iter().filter(|(name, _)| !name.as_str().contains('-'));
    (peer, understood.map(|(name, state)| (name, state.limit.floor())).collect())
}

/// The information first: a margin of an unknown node ends an original agent (docs/compatibility.md, B5).
fn margin_broadcasts(info: NodeMarginInfo, margin: Option<MarginState>) -> Vec<Message> {
    let margin = margin.map(|m| Message::Margin(MarginInfo { margin: m.margin, load: m.load }));
    std::iter::once(Message::NodeMargin(info)).chain(margin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        forecast::NodeType,
        p2p::message::{MaxValues, ProxyAddress},
        strategy::test_names::{function, node},
    };

    #[test]
    fn originals_are_told_all_our_functions_but_those_that_break_their_configuration() {
        let state = |limit| FunctionState { limit, rate: 3.0, max_rate: None };
        let own = [("none.granted", 0.0), ("with-dash", 7.0), ("figlet_2", 12.9)];
        let states = own.map(|(name, limit)| (function(name), state(limit)));
        let (peer, limits) = announced((node(1), states.into()));
        assert_eq!(peer, node(1));
        let expected = [("none.granted", 0.0), ("figlet_2", 12.0)];
        assert_eq!(limits, expected.map(|(name, limit)| (function(name), limit)).into());
    }

    #[test]
    fn originals_hear_what_a_node_is_before_its_margin() {
        let info = NodeMarginInfo {
            proxy: ProxyAddress { host: "10.0.0.1".parse().unwrap(), port: 80 },
            node_type: NodeType::Mid,
            max_values: MaxValues::default(),
            functions: Vec::new(),
        };
        let margin = MarginState { margin: 30.0, ..MarginState::default() };
        let told = margin_broadcasts(info.clone(), Some(margin));
        assert!(matches!(&told[..], [Message::NodeMargin(_), Message::Margin(m)] if m.margin == 30.0), "{told:?}");
        assert!(matches!(&margin_broadcasts(info, None)[..], [Message::NodeMargin(_)]));
    }
}
