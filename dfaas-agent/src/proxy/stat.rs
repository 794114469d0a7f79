//! What `show stat` says of servers: a table of comma-separated values whose first line names the columns.

use std::collections::BTreeMap;

use super::{
    sample::{Answers, Sample},
    tables::{CHECKS, GATEWAY, local_backend, peers_backend},
};
use crate::name::{FunctionName, NodeId};

/// Servers only.
pub(super) const SHOW_SERVERS: &str = "show stat -1 4 -1";

/// Mean times to the first byte of an answer, over the last 1024 calls of the running worker. A server without calls
/// has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResponseTimes {
    millis: BTreeMap<(String, String), u32>,
}

impl ResponseTimes {
    pub(super) fn read(stat: &str) -> Self {
        let rows = rows(stat, ["req_tot", "qtime", "ctime", "rtime"]).unwrap_or_default();
        let time = |Row { backend, server, values: [calls, queued, connected, answered] }: Row<4>| {
            let number = |text: String| text.parse::<u32>().ok();
            number(calls).filter(|calls| *calls > 0)?;
            let millis = number(queued)?.saturating_add(number(connected)?).saturating_add(number(answered)?);
            Some(((backend, server), millis))
        };
        Self { millis: rows.into_iter().filter_map(time).collect() }
    }

    pub(super) fn local(&self, function: &FunctionName) -> Option<u32> {
        self.of_backend(&local_backend(function)).next().map(|(_, millis)| millis)
    }

    pub(super) fn peers(&self, function: &FunctionName) -> BTreeMap<NodeId, u32> {
        let peers = peers_backend(function);
        self.of_backend(&peers).filter_map(|(server, millis)| Some((server.parse().ok()?, millis))).collect()
    }

    fn of_backend<'a>(&'a self, backend: &'a str) -> impl Iterator<Item = (&'a str, u32)> {
        let first = (backend.to_owned(), String::new());
        let rows = self.millis.range(first..).take_while(move |((of, _), _)| of == backend);
        rows.map(|((_, server), millis)| (server.as_str(), *millis))
    }
}

/// What servers made of the calls they were given. A row without one of the numbers says nothing.
pub(super) fn read_answers(stat: &str, sample: &mut Sample) {
    let rows = rows(stat, ["req_tot", "hrsp_5xx", "eresp", "econ"]).unwrap_or_default();
    let answers = |Row { backend, server, values: [calls, errors, broken, unreached] }: Row<4>| {
        let number = |text: String| text.parse::<u64>().ok();
        let failed = number(errors)?.saturating_add(number(broken)?).saturating_add(number(unreached)?);
        Some(((backend, server), Answers { calls: number(calls)?.max(failed), failed }))
    };
    let all: BTreeMap<(String, String), Answers> = rows.into_iter().filter_map(answers).collect();
    for (function, of) in &mut sample.functions {
        let (here, peers) = (local_backend(function), peers_backend(function));
        let of_backend = |wanted: String| all.iter().filter(move |((backend, _), _)| *backend == wanted);
        of.answers_here = of_backend(here).map(|(_, answers)| *answers).next().unwrap_or_default();
        let of_peer = |((_, server), answers): (&(String, String), &Answers)| Some((server.parse().ok()?, *answers));
        of.answers = of_backend(peers).filter_map(of_peer).collect();
    }
}

/// States of the servers that carry the health checks: `UP`, `UP 1/2`, `DOWN 1/2`, …; a server that fails a check is
/// used until it is down.
pub(super) fn peer_states(stat: &str) -> BTreeMap<NodeId, bool> {
    let checks = rows(stat, ["status"]).unwrap_or_default().into_iter().filter(|row| row.backend == CHECKS);
    let state = |Row { server, values: [status], .. }: Row<1>| Some((server.parse().ok()?, status.starts_with("UP")));
    checks.filter_map(state).collect()
}

/// False only where HAProxy says that this node's gateway is down.
pub(super) fn gateway_is_up(stat: &str) -> bool {
    let is_down = |row: &Row<1>| row.backend == GATEWAY && row.values[0].starts_with("DOWN");
    !rows(stat, ["status"]).unwrap_or_default().iter().any(is_down)
}

/// A server, with the wanted columns of its row.
struct Row<const N: usize> {
    backend: String,
    server: String,
    values: [String; N],
}

/// `None` without the line of names, or a name that it lacks. Rows that are too short are left out.
fn rows<const N: usize>(stat: &str, names: [&str; N]) -> Option<Vec<Row<N>>> {
    let (_, table) = stat.split_once("# ")?;
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
    let header = table.headers().ok()?.clone();
    let columns: Vec<usize> =
        names.iter().map(|name| header.iter().position(|column| column == *name)).collect::<Option<_>>()?;
    let row = |record: csv::StringRecord| {
        let field = |column: usize| record.get(column).map(str::to_owned);
        let values: Vec<String> = columns.iter().map(|column| field(*column)).collect::<Option<_>>()?;
        Some(Row { backend: field(0)?, server: field(1)?, values: values.try_into().ok()? })
    };
    Some(table.records().filter_map(|record| row(record.ok()?)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";

    #[test]
    fn a_server_that_fails_checks_is_up_until_it_is_down() {
        let stat = |status| format!("# pxname,svname,status,\n{CHECKS},{PEER},{status},\npeers:f,{PEER},UP,\n");
        let up = |status| peer_states(&stat(status)).into_values().collect::<Vec<bool>>();
        assert_eq!(up("UP 1/2"), [true]);
        assert_eq!(up("DOWN"), [false]);
        assert!(peer_states("garbage").is_empty());
    }

    #[test]
    fn the_gateway_is_up_until_haproxy_says_otherwise() {
        let up = |status: &str| {
            gateway_is_up(&format!("# pxname,svname,status,\nlocal:f,gateway,DOWN,\n{GATEWAY},gateway,{status},\n"))
        };
        assert_eq!(["UP", "UP 2/3", "no check", "DOWN", "DOWN 1/2"].map(up), [true, true, true, false, false]);
        assert!(gateway_is_up("garbage"));
    }

    #[test]
    fn response_times_are_found_by_function_and_peer() {
        let stat = format!(
            "# pxname,svname,rtime,req_tot,qtime,ctime\n\
             local:f,gateway,30,7,1,2\n\
             local:g,gateway,0,0,0,0\n\
             peers:f,{PEER},40,9,0,5\n\
             peers:f,no node,40,9,0,5\n\
             peers:ff,{PEER},50,9,0,5\n\
             short\n"
        );
        let times = ResponseTimes::read(&stat);
        let function = |name: &str| name.parse().unwrap();
        assert_eq!(times.local(&function("f")), Some(33));
        assert_eq!(times.local(&function("g")), None, "no call yet");
        assert_eq!(times.peers(&function("f")), BTreeMap::from([(PEER.parse().unwrap(), 45)]));
        assert_eq!(times.peers(&function("h")), BTreeMap::new());
        assert_eq!(ResponseTimes::read("# pxname,svname\nlocal:f,gateway\n"), ResponseTimes::default());
    }

    #[test]
    fn failed_calls_are_those_with_5xx_no_answer_or_no_connection() {
        let stat = format!(
            "# pxname,svname,econ,eresp,hrsp_5xx,req_tot\n\
             local:f,gateway,0,0,2,9\n\
             peers:f,{PEER},1,2,3,40\n\
             peers:f,no node,1,1,1,1\n\
             peers:g,{PEER},,,,\n"
        );
        let mut sample = Sample::default();
        sample.functions.insert("f".parse().unwrap(), crate::proxy::FunctionSample::default());
        read_answers(&stat, &mut sample);
        let of = &sample.functions[&"f".parse().unwrap()];
        assert_eq!(of.answers_here, Answers { calls: 9, failed: 2 });
        assert_eq!(of.answers, BTreeMap::from([(PEER.parse().unwrap(), Answers { calls: 40, failed: 6 })]));
        read_answers("garbage", &mut sample);
        assert_eq!(sample.functions[&"f".parse().unwrap()].answers, BTreeMap::new());
    }
}
