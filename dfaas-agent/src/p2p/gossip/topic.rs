//! Messages of other topics are refused before anything of them is kept.

use std::{io, sync::Arc};

use libp2p::gossipsub::{DataTransform, IdentityTransform, Message, RawMessage, TopicHash};

use crate::p2p::counters::{Count, Counters};

pub(in crate::p2p) struct OneTopic {
    topic: TopicHash,
    counters: Arc<Counters>,
}

impl OneTopic {
    pub(super) const fn new(topic: TopicHash, counters: Arc<Counters>) -> Self {
        Self { topic, counters }
    }
}

impl DataTransform for OneTopic {
    fn inbound_transform(&self, message: RawMessage) -> io::Result<Message> {
        if message.topic != self.topic {
            self.counters.add(Count::BroadcastOffTopic);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another topic"));
        }
        IdentityTransform.inbound_transform(message)
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_of_the_topic_pass_and_others_are_counted() {
        let counters = Arc::new(Counters::default());
        let topic = TopicHash::from_raw("ours");
        let transform = OneTopic::new(topic.clone(), Arc::clone(&counters));
        let message = |topic: &str| RawMessage {
            source: None,
            data: b"text".to_vec(),
            sequence_number: Some(1),
            topic: TopicHash::from_raw(topic),
            signature: None,
            key: None,
            validated: false,
        };
        assert_eq!(transform.inbound_transform(message("ours")).unwrap().data, b"text");
        assert!(transform.inbound_transform(message("another")).is_err());
        assert_eq!(counters.get(Count::BroadcastOffTopic), 1);
        assert_eq!(transform.outbound_transform(&topic, b"text".to_vec()).unwrap(), b"text");
    }
}
