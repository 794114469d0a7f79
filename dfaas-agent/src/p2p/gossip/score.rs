//! Scores of the neighbours. They start at 0 and can only fall, by what no correct peer does: none is better than
//! another because it is older, nearer or talks more, so that original agents, who keep no scores, never suffer.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::gossipsub::{IdentTopic, PeerScoreParams, PeerScoreThresholds, TopicScoreParams};

pub(super) fn parameters(topic: &IdentTopic) -> PeerScoreParams {
    PeerScoreParams {
        topics: HashMap::from([(topic.hash(), of_topic())]),
        topic_score_cap: 0.0,
        // P5: bad messages of their own (`faults.rs`).
        app_specific_weight: 1.0,
        // P6: nodes behind one address translation, or of one test machine, share an address.
        ip_colocation_factor_weight: 0.0,
        ip_colocation_factor_threshold: 1.0,
        ip_colocation_factor_whitelist: HashSet::new(),
        // P7: joins again too soon, or promises messages and does not send them, each of which counts. A peer that cannot
        // keep up with a flood breaks as many promises as we ask for within a few seconds, and is honest.
        behaviour_penalty_weight: -3.0,
        behaviour_penalty_threshold: 1000.0,
        behaviour_penalty_decay: 0.8,
        decay_interval: Duration::from_secs(10),
        decay_to_zero: 0.1,
        // Who comes back has not become better; kept for strangers too, hence not for long.
        retain_score: Duration::from_mins(1),
        // A slow peer harms only itself.
        slow_peer_weight: 0.0,
        slow_peer_threshold: 0.0,
        slow_peer_decay: 0.2,
    }
}

fn of_topic() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        // P1, P2: no points for age or for being first: a node with good lines would push others out of the mesh.
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        // P3: a topic this quiet says nothing about who delivers enough.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // P4: would charge a neighbour for what it passed on, also for messages that others can read and the library
        // cannot. P5 charges authors.
        invalid_message_deliveries_weight: 0.0,
        ..TopicScoreParams::default()
    }
}

pub(super) fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -100.0,
        publish_threshold: -200.0,
        graylist_threshold: -300.0,
        // Peer exchange is off.
        accept_px_threshold: 0.0,
        // Nobody can reach more than 0: no join but for the usual reasons.
        opportunistic_graft_threshold: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_takes_the_parameters_and_they_reward_nothing() {
        let topic = IdentTopic::new("topic");
        let parameters = parameters(&topic);
        parameters.validate().unwrap();
        thresholds().validate().unwrap();
        let of_topic = &parameters.topics[&topic.hash()];
        let rewards = [of_topic.time_in_mesh_weight, of_topic.first_message_deliveries_weight];
        assert_eq!(rewards, [0.0, 0.0]);
    }
}
