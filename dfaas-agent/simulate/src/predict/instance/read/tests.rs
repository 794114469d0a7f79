use super::*;

const MINUTE: &str = r#"{"LOW_USAGE":{"functions":[{"function_name":"figlet","function_rate":2},{"function_name":"env","function_rate":3.0}],"total_rate":5}}"#;

/// Two nodes that are each other's neighbour.
fn two() -> String {
    let load = [MINUTE; MINUTES].join(",");
    format!(
        r#"{{"seed":1,"nodes_number":2,"edge_prob":0.5,"overloaded_perc":30.0,
            "node_0":{{"node_type":"LIGHT","neighbours":["node_1"],"load":[{load}]}},
            "node_1":{{"node_type":"HEAVY","neighbours":["node_0"],"load":[{load}]}}}}"#
    )
}

fn read(text: &str) -> Result<Instance, String> {
    Instance::from_json(text, &Groups::default())
}

#[test]
fn an_instance_is_read_with_functions_in_alphabetical_order() {
    let instance = read(&two()).unwrap();
    assert_eq!((instance.seed, instance.edge_probability, instance.overloaded_percent), (1, 0.5, 30.0));
    let node = &instance.nodes[0];
    assert_eq!((node.kind, &node.neighbours), (NodeType::Light, &vec![1]));
    assert_eq!(node.functions.iter().map(FunctionName::as_str).collect::<Vec<_>>(), ["env", "figlet"]);
    assert_eq!(node.rates[6], [3, 2]);
    assert_eq!(node.group_rates(0, &Groups::default()).low, 5.0);
}

#[test]
fn what_is_wrong_is_named_with_its_value() {
    for (from, to, expected) in [
        ("figlet", "fig", "node_0.load[0].LOW_USAGE.functions[0].function_name: \"fig\" is unknown, expected one of"),
        ("figlet", "curl", "node_0.load[0].LOW_USAGE.functions[0].function_name: \"curl\" is unknown"),
        ("figlet", "env", "node_0.load[0].LOW_USAGE.functions[1].function_name: \"env\" a second time"),
        ("rate\":2", "rate\":-2", "node_0.load[0].LOW_USAGE.functions[0].function_rate is -2, expected a whole number"),
        ("rate\":2", "rate\":NaN", "node_0.load[0].LOW_USAGE.functions[0].function_rate is \"NaN\", expected"),
        ("rate\":2", "rate\":1e99", "node_0.load[0].LOW_USAGE.functions[0].function_rate is 1e+99, expected"),
        ("rate\":2", "rate\":2.5", "node_0.load[0].LOW_USAGE.functions[0].function_rate is 2.5, expected"),
        ("total_rate\":5", "total_rate\":6", "node_0.load[0].LOW_USAGE.total_rate is 6, expected the sum"),
        ("LOW_USAGE", "TINY_USAGE", "node_0.load[0].TINY_USAGE: unknown group"),
        ("[\"node_1\"]", "[\"node_2\"]", "node_0.neighbours: \"node_2\" is not a node of this instance"),
        ("[\"node_1\"]", "[\"node_01\"]", "node_0.neighbours: \"node_01\" is not a node"),
        ("[\"node_1\"]", "[\"node_0\"]", "node_0.neighbours: \"node_0\" is the node itself"),
        ("[\"node_1\"]", "[\"node_1\",\"node_1\"]", "node_0.neighbours: \"node_1\" a second time"),
        ("[\"node_1\"]", "[1]", "node_0.neighbours: 1 is not a node"),
        ("[\"node_1\"]", "1", "node_0.neighbours is 1, expected a list"),
        ("LIGHT", "TINY", "node_0.node_type: \"TINY\", expected HEAVY, MID or LIGHT"),
        ("\"load\":[{", "\"load\":[{},{", "node_0.load: has 8 minutes, expected 7"),
        ("number\":2", "number\":3", "node_2 is missing"),
        ("number\":2", "number\":1", "node_0.neighbours: \"node_1\" is not a node"),
        ("\"seed\":1", "\"seed\":-1", "seed is -1, expected a whole number"),
        ("0.5", "NaN", "edge_prob is \"NaN\", expected a number"),
        ("\"node_1\":{", "\"node_7\":{}, \"node_1\":{", "node_7: nodes_number is 2"),
    ] {
        let error = read(&two().replacen(from, to, 1)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(read("{").unwrap_err().contains("line 1"));
    assert!(read("[]").unwrap_err().contains("expected an object"));
}

#[test]
fn what_is_written_is_read_again() {
    let instance = read(&two()).unwrap();
    let text = serde_json::to_string(&instance.to_json(&Groups::default())).unwrap();
    assert_eq!(read(&text).unwrap(), instance);
}
