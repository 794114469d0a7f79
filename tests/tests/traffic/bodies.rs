//! Bodies of all sizes, up and down, on every way that a call can take.

use std::time::Duration;

use anyhow::{Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use dfaas_tests::client::Echo;

use crate::bed::Bed;

const SIZES_BYTES: [usize; 6] = [0, 1, 1 << 10, 100 << 10, 1 << 20, 20 << 20];

fn bodies_come_back(place: XdpPlace) -> Result<()> {
    let bed = Bed::new(2, place)?;
    for (function, node, verdict) in [("near", 0, Verdict::FirstToLocal), ("far", 1, Verdict::FirstToPeer)] {
        let before = bed.verdict(0, verdict)?;
        let echo = Echo {
            urls: vec![bed.url(function)],
            sizes_bytes: SIZES_BYTES.to_vec(),
            calls: SIZES_BYTES.len(),
            at_once: 1,
            timeout: Duration::from_mins(2),
        };
        let echoed = echo.run(&bed.client)?;
        ensure!(echoed.wrong == 0, "{function}: {:#?}", echoed.texts);
        let by_node = echoed.right.get(&bed.federation.nodes[node].id);
        ensure!(by_node == Some(&SIZES_BYTES.len()), "{function}: served by {:?}", echoed.right);
        // Otherwise HAProxy has carried them, and this was another test.
        let steered = bed.verdict(0, verdict)? - before;
        ensure!(steered as usize == SIZES_BYTES.len(), "{function}: the kernel has steered {steered} calls");
    }
    bed.wait_without_flows()
}

#[test]
fn bodies_of_all_sizes_come_back_the_same_with_native_xdp() {
    bodies_come_back(XdpPlace::Native).unwrap();
}

#[test]
fn bodies_of_all_sizes_come_back_the_same_with_generic_xdp() {
    bodies_come_back(XdpPlace::Generic).unwrap();
}

/// A client sends ten segments at once, and the stack looks at several of them before it has made the socket for the first.
#[test]
fn what_follows_the_first_packet_of_an_upload_is_not_lost() {
    let bed = Bed::new(2, XdpPlace::Native).unwrap();
    for (function, node, verdict) in [("near", 0, Verdict::FirstToLocal), ("far", 1, Verdict::FirstToPeer)] {
        let first = bed.verdict(0, verdict).unwrap();
        let lost = || -> Result<u64> {
            Ok(bed.verdict(node, Verdict::LaterWithoutSocket)? + bed.verdict(node, Verdict::EarlyLater)?)
        };
        let before = lost().unwrap();
        let echo = Echo {
            urls: vec![bed.url(function)],
            sizes_bytes: vec![100 << 10],
            calls: 50,
            at_once: 1,
            timeout: Duration::from_secs(30),
        };
        let echoed = echo.run(&bed.client).unwrap();
        assert_eq!(echoed.wrong, 0, "{function}: {:#?}", echoed.texts);
        let steered = bed.verdict(0, verdict).unwrap() - first;
        assert_eq!(steered, 50, "{function}: calls that the kernel has steered");
        let round = bed.verdict(node, Verdict::SentRound).unwrap();
        assert_eq!(lost().unwrap() - before, 0, "{function}: packets lost; {round} were sent round");
    }
}
