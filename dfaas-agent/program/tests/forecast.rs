//! `dfaas-agent forecast` as a user runs it.

#![allow(clippy::unwrap_used, reason = "what is not as expected ends the run")]

#[path = "common/models.rs"]
mod models;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const HEADER: &str = "rate_group_HIGH_USAGE,rate_group_LOW_USAGE,rate_group_MEDIUM_USAGE,node_type";

fn agent() -> Command {
    Command::new(std::env::var_os("CARGO_BIN_EXE_dfaas-agent").expect("cargo sets it"))
}

fn predict(models: &Path, csv: &Path, out: &Path) -> Output {
    agent()
        .args(["forecast", "predict", "--models"])
        .arg(models)
        .arg("--csv")
        .arg(csv)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap()
}

fn reference() -> PathBuf {
    let folder = std::env::var_os("DFAAS_REFERENCE_DATA").expect("DFAAS_REFERENCE_DATA names the reference data");
    PathBuf::from(folder).join("forecaster")
}

#[test]
#[ignore = "needs the reference data"]
fn every_golden_row_is_reproduced() {
    let folder = tempfile::tempdir().unwrap();
    let (golden, out) = (reference().join("forecaster_golden.csv"), folder.path().join("out.csv"));
    let done = predict(&reference(), &golden, &out);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let rows = |file: &Path| -> (csv::StringRecord, Vec<csv::StringRecord>) {
        let mut reader = csv::Reader::from_path(file).unwrap();
        (reader.headers().unwrap().clone(), reader.records().map(Result::unwrap).collect())
    };
    let ((header, expected), (written, found)) = (rows(&golden), rows(&out));
    assert_eq!(written, header);
    assert_eq!((expected.len(), found.len()), (842, 842));
    for (line, (expected, found)) in expected.iter().zip(&found).enumerate() {
        for (column, (expected, found)) in expected.iter().zip(found).enumerate() {
            let difference = (expected.parse::<f64>().unwrap() - found.parse::<f64>().unwrap()).abs();
            // Inputs and the class are equal; usage to the last decimal that is recorded.
            let allowed = if (4..13).contains(&column) { 0.01 + 1e-6 } else { 0.0 };
            assert!(difference <= allowed, "row {line}, {}: {found}, expected {expected}", &header[column]);
        }
    }
}

#[test]
#[ignore = "needs the reference data"]
fn a_truncated_model_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    fs::copy(reference().join("scalers.json"), folder.path().join("scalers.json")).unwrap();
    for entry in fs::read_dir(reference().join("models")).unwrap() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let cut = entry.file_name() == "ram_usage_node.quantile005.lgb.txt.gz";
        let bytes = if cut { &bytes[..bytes.len() / 2] } else { &bytes[..] };
        fs::write(folder.path().join("models").join(entry.file_name()), bytes).unwrap();
    }
    let out = folder.path().join("out.csv");
    let done = predict(folder.path(), &reference().join("forecaster_golden.csv"), &out);
    let error = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{error}");
    assert!(error.contains("ram_usage_node.quantile005.lgb.txt.gz: line ") && error.contains("cut off"), "{error}");
    assert!(!out.exists());
}

#[test]
fn columns_are_found_by_name_and_others_ignored() {
    let folder = tempfile::tempdir().unwrap();
    models::write(folder.path());
    let (csv, out) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    let text = "node_type,x,rate_group_MEDIUM_USAGE,rate_group_LOW_USAGE,rate_group_HIGH_USAGE\n2,a,50.5,51,1\n";
    fs::write(&csv, text).unwrap();
    let done = predict(folder.path(), &csv, &out);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let written = fs::read_to_string(&out).unwrap();
    assert_eq!(written.lines().nth(1).unwrap(), "1,51,50.5,2,10,10,10,500,500,500,500,500,500,1");
}

#[test]
fn bad_input_is_named_and_leaves_no_output() {
    let folder = tempfile::tempdir().unwrap();
    models::write(folder.path());
    let (csv, out) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    for (text, expected) in [
        (
            format!("{HEADER}\n1,2,3,0\n1,NaN,3,0\n"),
            "in.csv: line 3: rate_group_LOW_USAGE is \"NaN\", expected a number",
        ),
        (format!("{HEADER}\n-1,2,3,0\n"), "in.csv: line 2: rate_group_HIGH_USAGE is \"-1\""),
        (format!("{HEADER}\n1,2,,0\n"), "in.csv: line 2: rate_group_MEDIUM_USAGE is \"\""),
        (format!("{HEADER}\n1,2,3,3\n"), "in.csv: line 2: node_type is \"3\", expected 0 (heavy)"),
        (HEADER.replace("LOW", "low"), "in.csv: has no column rate_group_LOW_USAGE"),
        (format!("{HEADER}\n1,2\n"), "in.csv: CSV error"),
    ] {
        fs::write(&csv, text).unwrap();
        let done = predict(folder.path(), &csv, &out);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{error}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn the_service_answers_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    models::write(folder.path());
    let mut server = agent()
        .args(["forecast", "serve", "--address", "127.0.0.1:0", "--models"])
        .arg(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let body = r#"{"node_type":0,"rate_group_HIGH_USAGE":60,"rate_group_LOW_USAGE":0,"rate_group_MEDIUM_USAGE":0}"#;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("http://{address}/node_usage")).body(body);
        request.send().await.unwrap().text().await.unwrap()
    });
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let usage = serde_json::json!([{ "cpu_usage_node": 60.0, "ram_usage_node": 0.0, "power_usage_node": 0.0 }]);
    assert_eq!(answer, usage);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.id().cast_signed()), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    assert!(server.wait().unwrap().success());
}
