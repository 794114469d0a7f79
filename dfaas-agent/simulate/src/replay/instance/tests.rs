use std::path::Path;

use dfaas_base::BadInput;

use super::*;
use crate::field::Document;

fn small() -> Value {
    let minute = json!({"functions": [{"name": "funca", "invoc_rate": 3}, {"name": "figlet", "invoc_rate": 0}]});
    let node = |other: &str| {
        json!({
            "replicas": {"funca": 1, "qrcode": 0, "ocr": 0},
            "node_type": "node_1",
            "neighbours": [other],
            "exp_history": [minute, minute],
        })
    };
    json!({"seed": 5, "nodes_number": 2, "edge_prob": 0.5, "node_0": node("node_1"), "node_1": node("node_0")})
}

fn parse(value: &Value) -> Result<Instance> {
    let document = Document::parse(Path::new("instance.json"), &value.to_string())?;
    Instance::parse(&document.root(), "instance.json".to_owned())
}

/// The message after one value was changed, which `pointer` names.
fn complaint(pointer: &str, value: Value) -> String {
    let mut instance = small();
    *instance.pointer_mut(pointer).unwrap() = value;
    let error = parse(&instance).unwrap_err();
    assert!(error.is::<BadInput>());
    error.to_string()
}

#[test]
fn what_is_written_is_read_again() {
    let instance = parse(&small()).unwrap();
    assert_eq!(instance.nodes[1].neighbours, [0]);
    assert_eq!(parse(&instance.to_json()).unwrap(), instance);
    assert_eq!(instance.to_json(), small());
}

#[test]
fn bad_values_are_refused_by_file_field_and_value() {
    let cases = [
        (
            "/node_0/neighbours/0",
            json!("node_9"),
            "node_0.neighbours[0] is \"node_9\", expected a node of this instance",
        ),
        ("/node_0/neighbours/0", json!("node_0"), "node_0.neighbours[0] is \"node_0\", expected another node"),
        ("/node_0/neighbours", json!(["node_1", "node_1"]), "node_0.neighbours[1] is \"node_1\", expected each"),
        (
            "/node_0/exp_history/1/functions/0/name",
            json!("nmap"),
            "functions[0].name is \"nmap\", expected one of funca",
        ),
        ("/node_0/exp_history/1/functions/0/invoc_rate", json!(-1), "functions[0].invoc_rate is -1, expected a rate"),
        ("/node_0/exp_history/1/functions/0/invoc_rate", json!("NaN"), "functions[0].invoc_rate is \"NaN\", expected"),
        ("/node_0/exp_history/1/functions/1/name", json!("funca"), "functions[1].name is \"funca\", expected each"),
        ("/node_0/replicas", json!({"nmap": 1}), "node_0.replicas.nmap is 1, expected replicas of one of"),
        ("/node_0/replicas/funca", json!(-1), "node_0.replicas.funca is -1, expected a whole number"),
        ("/nodes_number", json!(3), "nodes_number is 3, expected the number of nodes that follow (2)"),
        ("/node_1/exp_history", json!([]), "node_1.exp_history is [], expected as many minutes as the first node (2)"),
        ("/edge_prob", json!(-0.1), "edge_prob is -0.1, expected a number of 0 or more"),
    ];
    for (pointer, value, expected) in cases {
        let text = complaint(pointer, value);
        assert!(text.starts_with("instance.json: ") && text.contains(expected), "{text:?} lacks {expected:?}");
    }
}

#[test]
fn a_node_whose_name_could_leave_the_folder_is_refused() {
    let mut instance = small();
    let node = instance["node_0"].clone();
    instance.as_object_mut().unwrap().insert("../node".to_owned(), node);
    assert!(parse(&instance).unwrap_err().to_string().contains("expected a node whose name"));
}

#[test]
fn a_missing_field_is_named() {
    let mut instance = small();
    instance["node_1"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(parse(&instance).unwrap_err().to_string(), "instance.json: node_1.replicas is missing");
}
