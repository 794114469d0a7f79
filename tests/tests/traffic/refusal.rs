//! Refusals by the kernel: the client reads them to the end, however much it was about to send.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::verdict::Verdict;
use dfaas_tests::client::{Call, Piece};

use crate::bed::Bed;

const UPLOADS_BYTES: [usize; 4] = [0, 10_000, 1 << 20, 5 << 20];

fn uploads_are_refused(place: XdpPlace) -> Result<()> {
    let bed = Bed::new(2, place)?;
    // Whoever runs it grants nothing.
    bed.deploy(0, "scarce", "cat", 0)?;
    bed.deploy(1, "scarce", "cat", 0)?;
    bed.wait_for("scarce", None)?;
    for function in ["full", "scarce"] {
        for size in UPLOADS_BYTES {
            let what = || format!("{function}, {size} bytes");
            let before = bed.verdict(0, Verdict::FirstRefused)?;
            let head = format!("POST {} HTTP/1.1\r\nHost: n1\r\nContent-Length: {size}\r\n\r\n", Bed::path(function));
            // Sent to the end, whatever comes back: a reset makes the sending or the reading fail.
            let pieces = [Piece::text(&head), Piece::Send(vec![b'x'; size])];
            let reply = bed.exchange(&pieces).with_context(what)?;
            ensure!(reply.statuses() == [429], "{}: {:?}", what(), reply.text());
            ensure!(reply.text().ends_with("{\"error\":\"node saturated\"}\n"), "{}: {:?}", what(), reply.text());
            // A client that looks up from its sending.
            let answer = Call::post(bed.url(function), vec![b'x'; size]).timeout(Duration::from_secs(30));
            let answer = answer.send(&bed.client).with_context(what)?;
            ensure!(answer.status == 429, "{}: status {}", what(), answer.status);
            let refused = bed.verdict(0, Verdict::FirstRefused)? - before;
            ensure!(refused == 2, "{}: the kernel has refused {refused}", what());
        }
    }
    bed.wait_without_flows()
}

#[test]
fn a_client_in_the_middle_of_its_upload_reads_the_refusal_with_native_xdp() {
    uploads_are_refused(XdpPlace::Native).unwrap();
}

#[test]
fn a_client_in_the_middle_of_its_upload_reads_the_refusal_with_generic_xdp() {
    uploads_are_refused(XdpPlace::Generic).unwrap();
}
