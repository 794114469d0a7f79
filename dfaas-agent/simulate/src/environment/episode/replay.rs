//! Recorded inputs and actions, played again.

use std::path::Path;

use anyhow::Result;

use super::{Table, Totals};
use crate::{
    csv_file::{CsvFile, Row},
    environment::{
        Parameters,
        step::{Action, Environment},
        topology::Topology,
    },
    field::MAX_RATE,
};
use dfaas_base::BadInput;

const INPUTS: [&str; 5] = ["step", "agent", "input_rate", "action", "neighbors"];

/// The sum of a recorded action may miss 1 by its rounding.
const SUM_TOLERANCE: f64 = 0.01;

/// Reads `step, agent, input_rate, action, neighbors` and gives back the whole table, in the order of the rows.
pub fn replay(topology: &Topology, parameters: Parameters, path: &Path) -> Result<(String, Totals)> {
    let file = CsvFile::read(path, &INPUTS)?;
    let rows: Vec<Row<'_>> = file.rows().collect();
    let topology = &as_recorded(topology, &rows)?;
    let mut environment = Environment::new(parameters, topology.clone());
    let (mut table, mut totals) = (Table::new()?, Totals::default());
    let mut rest = rows.as_slice();
    while let Some(first) = rest.first() {
        let step = first.text("step")?;
        let same = rest.iter().position(|row| row.text("step").ok() != Some(step)).unwrap_or(rest.len());
        let (rows, others) = rest.split_at(same);
        let mut agents: Vec<Option<(u32, Action)>> = vec![None; topology.names.len()];
        let mut order = Vec::new();
        for row in rows {
            let (node, input, action) = agent(row, topology)?;
            if agents[node].replace((input, action)).is_some() {
                return Err(row.error("agent", "each agent once in a step"));
            }
            order.push(node);
        }
        let missing = agents.iter().position(Option::is_none);
        if let Some(node) = missing {
            let text = format!("{}: step {step}: {} is missing", path.display(), topology.names[node]);
            return Err(BadInput(text).into());
        }
        let (inputs, actions): (Vec<u32>, Vec<Action>) = agents.into_iter().flatten().unzip();
        let steps = environment.step(&inputs, &actions);
        for (row, node) in rows.iter().zip(order) {
            let cells = INPUTS.map(|column| row.text(column));
            let [step, agent, input, action, neighbours] = cells;
            table.push([step?, agent?, input?, action?, neighbours?], &steps[node])?;
            totals.add(&steps[node]);
        }
        rest = others;
    }
    Ok((table.finish()?, totals))
}

/// The topology with neighbours in the order in which the table lists them. A star may have another middle.
fn as_recorded(topology: &Topology, rows: &[Row<'_>]) -> Result<Topology> {
    let mut recorded = topology.clone();
    let mut listed: Vec<Option<Vec<usize>>> = vec![None; topology.names.len()];
    for row in rows {
        let node = number(topology, row)?;
        let numbers: Option<Vec<usize>> = words(row, "neighbors")?.map(|word| topology.number(word)).collect();
        let numbers = numbers.ok_or_else(|| row.error("neighbors", "nodes of the topology"))?;
        if numbers.len() > 1 && topology.middle_of_star().is_some() {
            recorded = recorded.with_middle(node);
        }
        listed[node].get_or_insert(numbers);
    }
    for row in rows {
        let node = number(topology, row)?;
        let own = listed[node].clone().unwrap_or_default();
        let mut sorted = own.clone();
        sorted.sort_unstable();
        let names = |of: &[usize]| of.iter().map(|other| topology.names[*other].as_str()).collect::<Vec<_>>().join(";");
        if sorted != recorded.neighbours[node] || names(&own) != row.text("neighbors")? {
            let expected = format!("{}, as in the topology and every step", names(&recorded.neighbours[node]));
            return Err(row.error("neighbors", &expected));
        }
    }
    recorded.neighbours = listed.into_iter().map(Option::unwrap_or_default).collect();
    Ok(recorded)
}

fn number(topology: &Topology, row: &Row<'_>) -> Result<usize> {
    topology.number(row.text("agent")?).ok_or_else(|| row.error("agent", "a node of the topology"))
}

fn words<'a>(row: &Row<'a>, column: &str) -> Result<impl Iterator<Item = &'a str> + use<'a>> {
    Ok(row.text(column)?.split(';').filter(|word| !word.is_empty()))
}

/// Number, input and action of a row's agent.
fn agent(row: &Row<'_>, topology: &Topology) -> Result<(usize, u32, Action)> {
    let node = number(topology, row)?;
    let whole = |rate: &f64| rate.fract() == 0.0 && (0.0..=MAX_RATE).contains(rate);
    let input = row.checked("input_rate", &format!("a whole number of calls from 0 to {MAX_RATE}"), whole)? as u32;
    let length = topology.neighbours[node].len() + 2;
    let shares: Option<Vec<f64>> = words(row, "action")?.map(|word| word.parse().ok()).collect();
    let valid = |shares: &Vec<f64>| {
        shares.len() == length
            && shares.iter().all(|share| (0.0..=1.0).contains(share))
            && (shares.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
    };
    let expected = format!("{length} shares from 0 to 1 with the sum 1");
    let action = shares.filter(valid).ok_or_else(|| row.error("action", &expected))?;
    Ok((node, input, action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(rows: &str) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.csv");
        std::fs::write(&file, format!("{}\n{rows}\n", INPUTS.join(","))).unwrap();
        Ok(replay(&Topology::named("two").unwrap(), Parameters::default(), &file)?.0)
    }

    #[test]
    fn rows_keep_their_order_and_text() {
        let out = played("7,node_1,20,0.5;0.5;0.0,node_0\n7,node_0,10,1.00;0;0,node_1").unwrap();
        let lines: Vec<&str> = out.lines().skip(1).collect();
        assert!(lines[0].starts_with("7,node_1,20,0.5;0.5;0.0,node_0,10,10,0,10,0,0,0,"), "{out}");
        assert!(lines[1].starts_with("7,node_0,10,1.00;0;0,node_1,10,0,0,20,0,0,0,"), "{out}");
    }

    #[test]
    fn neighbours_keep_the_order_of_the_table_and_a_star_its_middle() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.csv");
        let rows = "0,node_0,10,0;1;0,node_1\n0,node_1,90,0;0.9;0.1;0,node_2;node_0\n0,node_2,10,1;0;0,node_1";
        std::fs::write(&file, format!("{}\n{rows}\n", INPUTS.join(","))).unwrap();
        let (out, _) = replay(&Topology::named("star").unwrap(), Parameters::default(), &file).unwrap();
        assert!(out.contains("node_2;node_0,0,81;9,0,10,"), "{out}");
    }

    #[test]
    fn bad_rows_are_refused_by_line_column_and_value() {
        let good = "0,node_0,10,1;0;0,node_1\n";
        for (row, expected) in [
            ("0,node_2,1,1;0;0,node_0", "line 3, agent is \"node_2\", expected a node of the topology"),
            ("0,node_1,-1,1;0;0,node_0", "line 3, input_rate is \"-1\", expected a whole number"),
            ("0,node_1,NaN,1;0;0,node_0", "line 3, input_rate is \"NaN\""),
            ("0,node_1,1,1;0,node_0", "line 3, action is \"1;0\", expected 3 shares"),
            ("0,node_1,1,1;0;0.5,node_0", "line 3, action is \"1;0;0.5\""),
            ("0,node_1,1,1;0;0,node_1", "line 3, neighbors is \"node_1\", expected node_0, as in the topology"),
            ("0,node_0,1,1;0;0,node_1", "line 3, agent is \"node_0\", expected each agent once"),
            ("1,node_1,1,1;0;0,node_0", "step 0: node_1 is missing"),
        ] {
            let refused = played(&format!("{good}{row}")).unwrap_err();
            assert!(refused.is::<BadInput>() && refused.to_string().contains(expected), "{refused}");
        }
    }
}
