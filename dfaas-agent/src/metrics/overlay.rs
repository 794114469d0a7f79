//! What the overlay has counted. All labels are fixed words, or of a bounded number of peers.

use anyhow::Result;
use prometheus::Registry;

use super::counter;
use crate::p2p::{Count, Counters, MessageCount};

pub(super) fn overlay(registry: &Registry, messages: &[MessageCount], counters: &Counters) -> Result<()> {
    // Peers beyond a bound are counted together, under an empty label.
    let help = "Messages received, by author, type and outcome";
    let received = counter(registry, "dfaas_messages_total", help, &["peer", "type", "outcome"])?;
    for MessageCount { peer, kind, outcome, count } in messages {
        let peer = peer.as_ref().map_or("", |peer| peer.as_str());
        received.with_label_values(&[peer, kind, outcome]).inc_by(*count);
    }
    let help = "What happened on the overlay, and why or how";
    let events = counter(registry, "dfaas_overlay_events_total", help, &["event", "reason"])?;
    for count in Count::ALL {
        let (event, reason) = count.labels();
        events.with_label_values(&[event, reason]).inc_by(counters.get(*count));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn everything_the_overlay_counts_is_shown_from_the_start() {
        let counters = Counters::default();
        counters.add_many(Count::StreamStalled, 3);
        let message = MessageCount { peer: None, kind: "text", outcome: "ok", count: 7 };
        let registry = Registry::new();
        overlay(&registry, &[message], &counters).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "# TYPE dfaas_messages_total counter",
            r#"dfaas_messages_total{outcome="ok",peer="",type="text"} 7"#,
            "# TYPE dfaas_overlay_events_total counter",
            r#"dfaas_overlay_events_total{event="stream",reason="stalled"} 3"#,
            r#"dfaas_overlay_events_total{event="broadcast_sent",reason="ok"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
        }
        assert_eq!(text.matches("dfaas_overlay_events_total{").count(), Count::ALL.len());
    }
}
