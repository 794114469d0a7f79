//! Runs a table and says which rows fail, and how.

use dfaas_common::{
    address::{Address, AddressV4},
    counters::{FunctionCounters, PairCounters},
    flow::{Flow, FlowKey},
    hint::Hint,
    settings::HintWay,
    verdict::Verdict,
};
use dfaas_tests::packet::{difference, verify};

use super::{
    Table,
    bench::{Bench, CROWD, POISON, Ran, Through, in_namespace},
    row::{Out, Row, TC_REDIRECT, XDP_REDIRECT, XDP_TX},
    world::{B, C, ECHO_NUMBER, HINT_SECRET, Now, Where, monotonic_ns},
};

/// Peers and functions whose counters are compared; number 0 is nobody's.
const PEERS: [u32; 3] = [0, B, C];
const FUNCTIONS: [u32; 2] = [0, ECHO_NUMBER];
const WAYS: [HintWay; 3] = [HintWay::Auto, HintWay::Metadata, HintWay::Source];

pub(crate) fn run((table, rows): Table) {
    let (count, failures) = in_namespace(|| {
        loop {
            // Cookies are made for the epoch at hand; should it end meanwhile, what the rows say is void.
            let now = Now::read();
            let rows = rows(now);
            let failures: Vec<_> = WAYS.iter().flat_map(|way| run_way(&rows, *way)).collect();
            if Now::read() == now {
                break (rows.len(), failures);
            }
        }
    });
    println!("row: {count} of table {table:?} run");
    assert!(count > 0, "table {table:?} is empty");
    assert!(failures.is_empty(), "{} failures in table {table:?}:\n{}", failures.len(), failures.join("\n"));
}

/// Those of the rows that tell something about this way of hinting.
fn run_way(rows: &[Row], way: HintWay) -> Vec<String> {
    let tells = |row: &&Row| match row.way {
        Some(wanted) => wanted == way,
        None => way == HintWay::Auto || way == HintWay::Source && row.hint.is_some(),
    };
    let mut rows = rows.iter().filter(tells).peekable();
    if rows.peek().is_none() {
        return Vec::new();
    }
    let mut bench = Bench::new(way);
    let failures = rows.flat_map(|row| run_row(&mut bench, row, way)).collect::<Vec<_>>();
    failures.into_iter().map(|failure| format!("  {way:?}: {failure}")).collect()
}

fn run_row(bench: &mut Bench, row: &Row, way: HintWay) -> Vec<String> {
    let mut failures = Vec::new();
    for poison in if row.crowded { [CROWD, CROWD] } else { [0, POISON] } {
        if !row.crowded && poison > 0 && (row.takes_all_room || !matches!(row.through, Through::Xdp | Through::Observe))
        {
            continue;
        }
        bench.reset();
        for step in &row.given {
            step(bench);
        }
        let before = Snapshot::take(bench);
        let ran = bench.run(row.through, &row.frame, poison);
        let after = Snapshot::take(bench);
        let headroom = if poison > 0 { "poisoned headroom" } else { "zeroed headroom" };
        let in_source = way == HintWay::Source || row.crowded;
        let hint = if in_source { hint_in_source(&ran) } else { hint_in_front(&ran, poison) };
        let mut found = compare(bench, row, &before, &ran, &after);
        if hint != row.hint {
            found.push(format!("hint: expected {:?}, got {hint:?}", row.hint));
        }
        found.extend(frame_failures(row, &ran, hint.filter(|_| in_source)));
        failures.extend(found.iter().map(|failure| format!("row: {} ({headroom}): {failure}", row.name)));
    }
    failures
}

/// Everything that a packet may change.
struct Snapshot {
    verdicts: Vec<(Verdict, u64)>,
    functions: Vec<(u32, FunctionCounters)>,
    pairs: Vec<(u32, u32, PairCounters)>,
    flows: Vec<(Where, FlowKey, Flow)>,
    time_ns: u64,
}

impl Snapshot {
    fn take(bench: &Bench) -> Self {
        let tables = &bench.tables;
        let pairs = FUNCTIONS.iter().flat_map(|f| PEERS.map(|p| (*f, p, tables.pair_counters(*f, p).unwrap())));
        Self {
            verdicts: tables.verdicts().unwrap(),
            functions: FUNCTIONS.map(|f| (f, tables.function_counters(f).unwrap())).to_vec(),
            pairs: pairs.collect(),
            flows: bench.flows(),
            time_ns: monotonic_ns(),
        }
    }
}

fn compare(bench: &mut Bench, row: &Row, before: &Snapshot, ran: &Ran, after: &Snapshot) -> Vec<String> {
    let mut failures = Vec::new();
    let mut say = |what: &str, want: String, got: String| {
        if want != got {
            failures.push(format!("{what}: expected {want}, got {got}"));
        }
    };
    let counted: Vec<_> = grown(&before.verdicts, &after.verdicts);
    let want: Vec<_> = row.verdict.iter().map(|v| (v.name(), 1)).collect();
    say("verdict", format!("{want:?}"), format!("{counted:?}"));
    say("action", row.action.to_string(), ran.action.to_string());
    say("function counters", nonzero(&wanted_counts(row)), nonzero(&delta_counts(before, after)));
    say("pair counters", nonzero(&wanted_pairs(row)), nonzero(&delta_pairs(before, after)));
    let want = row.flows.as_ref().unwrap_or(&before.flows);
    say("flows", flows_text(want), flows_text(&after.flows));
    let events: Vec<_> = std::iter::from_fn(|| bench.events.take())
        .map(|e| (Verdict::from_number(e.verdict), e.function, e.source))
        .collect();
    let want: Vec<_> = row
        .event
        .iter()
        .map(|(function, source)| (row.verdict, *function, Address::from(AddressV4::from(*source))))
        .collect();
    say("events", format!("{want:?}"), format!("{events:?}"));
    if row.touched {
        let last = after.flows.first().map_or(0, |(_, _, flow)| flow.last_ns);
        // The coarse clock lags by a tick.
        let fresh = last + 20_000_000 >= before.time_ns && last <= after.time_ns;
        say("entry touched", "true".into(), fresh.to_string());
    }
    failures
}

fn grown(before: &[(Verdict, u64)], after: &[(Verdict, u64)]) -> Vec<(&'static str, u64)> {
    let pairs = before.iter().zip(after);
    pairs.filter(|(b, a)| b.1 != a.1).map(|(b, a)| (a.0.name(), a.1.wrapping_sub(b.1))).collect()
}

/// Counters by their names: of which function or pair, what, how many.
type Counts = Vec<(String, u64)>;

fn nonzero(counts: &Counts) -> String {
    format!("{:?}", counts.iter().filter(|(_, n)| *n != 0).collect::<Vec<_>>())
}

fn named_counts(function: u32, counters: &FunctionCounters) -> Counts {
    // All of them: one that is new does not compile until it is compared.
    let &FunctionCounters { seen, local, to_proxy, forwarded, refused, unavailable, received, turned_away } = counters;
    let fields = [
        ("seen", seen),
        ("local", local),
        ("to proxy", to_proxy),
        ("forwarded", forwarded),
        ("refused", refused),
        ("unavailable", unavailable),
        ("received", received),
        ("turned away", turned_away),
    ];
    fields.map(|(name, n)| (format!("{name} of {function}"), n)).into()
}

fn named_pairs(function: u32, peer: u32, counters: &PairCounters) -> Counts {
    let &PairCounters { forwarded, received, bounced, turned_away } = counters;
    let fields = [("forwarded", forwarded), ("received", received), ("bounced", bounced), ("turned away", turned_away)];
    fields.map(|(name, n)| (format!("{name} of {function} and {peer}"), n)).into()
}

fn difference_of(before: Counts, after: Counts) -> Counts {
    before.into_iter().zip(after).map(|((name, b), (_, a))| (name, a.wrapping_sub(b))).collect()
}

fn wanted_counts(row: &Row) -> Counts {
    named_counts(ECHO_NUMBER, &row.counts)
}

fn wanted_pairs(row: &Row) -> Counts {
    PEERS
        .iter()
        .flat_map(|p| row.pairs.iter().filter(move |(number, _)| number == p))
        .flat_map(|(number, c)| named_pairs(ECHO_NUMBER, *number, c))
        .collect()
}

fn delta_counts(before: &Snapshot, after: &Snapshot) -> Counts {
    let all = |s: &Snapshot| s.functions.iter().flat_map(|(f, c)| named_counts(*f, c)).collect();
    difference_of(all(before), all(after))
}

fn delta_pairs(before: &Snapshot, after: &Snapshot) -> Counts {
    let all = |s: &Snapshot| s.pairs.iter().flat_map(|(f, p, c)| named_pairs(*f, *p, c)).collect();
    difference_of(all(before), all(after))
}

/// All but the time; a full table is told by its size.
fn flows_text(flows: &[(Where, FlowKey, Flow)]) -> String {
    if flows.len() > 8 {
        return format!("{} entries", flows.len());
    }
    let timeless = |(place, key, flow): &(Where, FlowKey, Flow)| (*place, *key, Flow { last_ns: 0, ..*flow });
    format!("{:?}", flows.iter().map(timeless).collect::<Vec<_>>())
}

/// The hint in front of the frame. Anything else there is no hint.
fn hint_in_front(ran: &Ran, poison: usize) -> Option<Hint> {
    let added = ran.meta.len().checked_sub(poison)?;
    Hint::from_word(u64::from_ne_bytes(ran.meta.get(..added)?.try_into().ok()?))
}

fn hint_in_source(ran: &Ran) -> Option<Hint> {
    Hint::from_source(ran.frame.get(6..12)?.try_into().ok()?, HINT_SECRET)
}

/// `source`: the hint that stands in place of the frame's source address.
fn frame_failures(row: &Row, ran: &Ran, source: Option<Hint>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut want = match &row.out {
        Out::Ignored => return failures,
        Out::Untouched => row.frame.clone(),
        Out::Exactly(frame) => frame.clone(),
    };
    if let Some(hint) = source {
        want[6..12].copy_from_slice(&hint.source(HINT_SECRET));
    }
    failures.extend(difference(&want, &ran.frame));
    if [XDP_TX, XDP_REDIRECT, TC_REDIRECT].contains(&ran.action)
        && let Err(e) = verify(&ran.frame)
    {
        failures.push(e);
    }
    failures
}
