//! Differences of values as commands of the runtime API, and the proof that they were taken.

use std::collections::BTreeMap;

use super::{
    CliError, ProxyError, Values,
    runtime_api::{Cli, batches},
    tables::peers_backend,
};
use crate::name::{FunctionName, NodeId};

type Weights = BTreeMap<(FunctionName, NodeId), u32>;

/// Commands that lead from one set of values to another of the same structure. What lets calls in comes before
/// what keeps calls out, and weights change while they are out of use, so that no call fails in between that
/// both sets would serve.
pub(super) fn changes(from: &Values, to: &Values) -> Vec<String> {
    let (mut first, mut opening, mut closing, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((function, peer), weight) in changed_weights(from, to) {
        let command = format!("set server {}/{peer} weight {weight}", peers_backend(&function));
        let early = match (from.peers_usable(&function), to.peers_usable(&function)) {
            (false, _) => true,
            (true, false) => false,
            (true, true) => weight > 0,
        };
        if early { first.push(command) } else { last.push(command) }
    }
    let empty = BTreeMap::new();
    for (map, new) in &to.maps {
        let old = from.maps.get(map).unwrap_or(&empty);
        for (key, value) in new {
            match old.get(key) {
                Some(same) if same == value => {}
                Some(before) => {
                    let command = format!("set map {map} {key} {value}");
                    if opens(map, before, value) { opening.push(command) } else { closing.push(command) }
                }
                None => opening.push(format!("add map {map} {key} {value}")),
            }
        }
        closing.extend(old.keys().filter(|key| !new.contains_key(*key)).map(|key| format!("del map {map} {key}")));
    }
    [first, opening, closing, last].concat()
}

fn opens(map: &str, before: &str, after: &str) -> bool {
    match (before.parse::<i64>(), after.parse::<i64>()) {
        (Ok(before), Ok(after)) if map == "reject_below.map" => after < before,
        (Ok(before), Ok(after)) => after > before,
        _ => false,
    }
}

/// Runs the commands and reads back what they touched.
pub(super) async fn write_values(cli: &Cli, from: &Values, to: &Values, commands: &[String]) -> Result<(), ProxyError> {
    if commands.is_empty() {
        return Ok(());
    }
    cli.run(commands).await?;
    let touched = Values {
        maps: to
            .maps
            .iter()
            .filter(|(map, entries)| from.maps.get(*map) != Some(entries))
            .map(|(map, entries)| (*map, entries.clone()))
            .collect(),
        weights: changed_weights(from, to),
    };
    let found = read_values(cli, &touched).await?;
    match changes(&found, &touched).first() {
        None => Ok(()),
        Some(missing) => Err(ProxyError::NotTaken {
            what: "a value".to_owned(),
            expected: "what was written".to_owned(),
            found: format!("a difference that needs {missing:?}"),
        }),
    }
}

/// Asks the running process for the maps and weights that `like` names.
pub(super) async fn read_values(cli: &Cli, like: &Values) -> Result<Values, ProxyError> {
    let mut found = Values::default();
    for map in like.maps.keys() {
        found.maps.insert(map, map_entries(&cli.ask(&format!("show map {map}")).await?));
    }
    let commands: Vec<String> =
        like.weights.keys().map(|(function, peer)| format!("get weight {}/{peer}", peers_backend(function))).collect();
    let mut answers = Vec::new();
    for line in batches(&commands) {
        let answer = cli.ask(&line).await?;
        answers.extend(answer.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    }
    if answers.len() != commands.len() {
        return Err(
            CliError::Unexpected { command: "get weight".to_owned(), missing: "weight for every server" }.into()
        );
    }
    for (key, answer) in like.weights.keys().zip(answers) {
        // `33 (initial 10)`
        let weight = answer.split_whitespace().next().and_then(|word| word.parse().ok());
        let refused = || CliError::Refused { command: "get weight".to_owned(), answer: answer.clone() };
        found.weights.insert(key.clone(), weight.ok_or_else(refused)?);
    }
    Ok(found)
}

fn changed_weights(from: &Values, to: &Values) -> Weights {
    let changed = to.weights.iter().filter(|(key, weight)| from.weights.get(*key) != Some(*weight));
    changed.map(|(key, weight)| (key.clone(), *weight)).collect()
}

/// Lines `0x562ad6def9c0 key value` of `show map`.
pub(super) fn map_entries(answer: &str) -> BTreeMap<String, String> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (reference, key, value) = (words.next()?, words.next()?, words.next()?);
        reference.starts_with("0x").then(|| (key.to_owned(), value.to_owned()))
    };
    answer.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(limits: &[(&str, &str)], weight: u32) -> Values {
        let entries = limits.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let peer: NodeId = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf".parse().unwrap();
        Values {
            maps: BTreeMap::from([("local_limit.map", entries)]),
            weights: BTreeMap::from([(("figlet".parse().unwrap(), peer), weight)]),
        }
    }

    #[test]
    fn only_differences_become_commands() {
        let old = values(&[("figlet", "3"), ("gone", "1"), ("same", "7")], 10);
        let new = values(&[("figlet", "5"), ("same", "7"), ("new", "-1")], 33);
        assert_eq!(
            changes(&old, &new),
            [
                "set server peers:figlet/12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf weight 33",
                "set map local_limit.map figlet 5",
                "add map local_limit.map new -1",
                "del map local_limit.map gone",
            ]
        );
        assert!(changes(&new, &new).is_empty());
    }

    #[test]
    fn weights_change_while_their_servers_are_out_of_use() {
        let with = |limit, usable: &str, weight| {
            let mut values = values(&[("figlet", limit)], weight);
            values.maps.insert("peers_usable.map", BTreeMap::from([("figlet".to_owned(), usable.to_owned())]));
            values
        };
        let kinds = |commands: Vec<String>| -> Vec<String> {
            commands.iter().map(|command| command.split(['/', '.']).next().unwrap().to_owned()).collect()
        };
        let (here, there) = (with("100", "0", 1), with("0", "1", 5));
        assert_eq!(
            kinds(changes(&here, &there)),
            ["set server peers:figlet", "set map peers_usable", "set map local_limit"]
        );
        assert_eq!(
            kinds(changes(&there, &here)),
            ["set map local_limit", "set map peers_usable", "set server peers:figlet"]
        );
        assert_eq!(changes(&there, &with("0", "1", 0)).len(), 1);
    }

    #[test]
    fn map_entries_are_read_as_haproxy_prints_them() {
        let answer = "0x562ad6def9c0 figlet 5\n0x562ad6fea470 x -1\n\n";
        let expected = [("figlet", "5"), ("x", "-1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(map_entries(answer), BTreeMap::from(expected));
        assert!(map_entries("Unknown map identifier.\n").is_empty());
    }
}
