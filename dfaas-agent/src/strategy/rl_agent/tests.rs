use std::time::{Duration, Instant};

use super::*;
use crate::{decision::Weights, strategy::test_names::node};

fn subject(neighbours: u8) -> Subject {
    Subject {
        node: node(0),
        function: "figlet".parse().unwrap(),
        neighbours: (1..=neighbours).map(node).collect(),
        named: false,
    }
}

fn key(n: u8) -> String {
    format!("node_{}", node(n))
}

fn mark(at: Instant, calls: u64) -> Mark {
    Mark {
        at,
        offered: calls,
        executed: calls / 2,
        executed_well: calls / 4,
        forwarded: [(node(1), Forwarded { calls: calls / 2, answered_well: calls / 4, response_ms: Some(7.5) })].into(),
        local_response_ms: Some(31.25),
        cpu_time: Some(Duration::from_millis(calls)),
        replicas: 2,
    }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn the_first_question_has_the_original_s_defaults_and_sorted_keys() {
    let start = Instant::now();
    let current = Window::between(&mark(start, 0), &mark(after(start, 10), 551), 2);
    let text = question(&subject(1), &current, None, false).to_string();
    let (own, peer) = (key(0), key(1));
    let expected = format!(
        concat!(
            r#"{{"agent_parameters":{{"explore":false}},"observation":{{"{own}":{{"avg_resp_time_loc":31.25,"#,
            r#""cpu_utilization":0.02755,"input_rate":55.1,"n_replicas":2,"#,
            r#""previous_avg_resp_time_fwd_to_{peer}":0,"previous_avg_resp_time_loc":0,"previous_cpu_utilization":0,"#,
            r#""previous_fwd_to_{peer}":0,"previous_fwd_to_{peer}_rejected":0,"previous_input_rate":0,"#,
            r#""previous_n_replicas":1,"previous_reject_rate":0,"reject_rate":0.5018181818181818}}}}}}"#
        ),
        own = own,
        peer = peer
    );
    assert_eq!(text, expected);
}

#[test]
fn a_later_question_tells_what_the_last_answer_led_to() {
    let start = Instant::now();
    let marks = [mark(start, 0), mark(after(start, 10), 400), mark(after(start, 20), 600)];
    let previous = Window::between(&marks[0], &marks[1], 1);
    let current = Window::between(&marks[1], &marks[2], 1);
    let mut two = subject(2);
    two.named = true;
    let question = question(&two, &current, Some(&previous), true);
    assert_eq!(question["agent_parameters"], json!({"explore": true, "function": "figlet"}));
    let seen = &question["observation"][key(0)];
    assert_eq!(seen.as_object().unwrap().len(), 10 + 2 * 3);
    for (name, value) in [
        ("input_rate".to_owned(), json!(20)),
        ("previous_input_rate".to_owned(), json!(40)),
        (format!("previous_fwd_to_{}", key(1)), json!(20)),
        (format!("previous_fwd_to_{}_rejected", key(1)), json!(10)),
        (format!("previous_avg_resp_time_fwd_to_{}", key(1)), json!(7.5)),
        (format!("previous_fwd_to_{}", key(2)), json!(0)),
        ("previous_cpu_utilization".to_owned(), json!(0.04)),
        ("previous_n_replicas".to_owned(), json!(2)),
    ] {
        assert_eq!(seen[&name], value, "{name}");
    }
}

#[test]
fn windows_of_no_time_and_of_counters_that_fell_are_zero() {
    let start = Instant::now();
    let same = Window::between(&mark(start, 5), &mark(start, 100), 1);
    assert_eq!((same.input_rate, same.cpu_share), (0.0, 0.0));
    let fell = Window::between(&mark(start, 100), &mark(after(start, 1), 5), 1);
    assert_eq!((fell.input_rate, fell.reject_share, fell.local_response_ms, fell.cpu_share), (0.0, 0.0, 0.0, 0.0));
    assert_eq!(fell.forwards[&node(1)], window::Forward::default());
}

#[test]
fn an_answer_for_any_number_of_neighbours_becomes_weights() {
    for neighbours in [0, 1, 4, 12] {
        let share = 0.35 / f64::from(neighbours.max(1));
        let mut shares = json!({"local": 0.61, "reject": 0.04});
        for n in 1..=neighbours {
            shares[key(n)] = json!(share);
        }
        let answer = json!({key(0): shares}).to_string();
        let expected = Weights {
            local: 61,
            reject: 4,
            peers: (1..=neighbours).map(|n| (node(n), (100.0 * share).round() as u32)).collect(),
        };
        assert_eq!(weights(&subject(neighbours), answer.as_bytes()), Ok(expected));
    }
}

#[test]
fn an_array_is_this_node_then_neighbours_in_ascending_order_then_refusal() {
    let expected = Weights { local: 50, reject: 5, peers: [(node(1), 13), (node(2), 33)].into() };
    let array = "[0.5, 0.125, 0.325, 0.05]";
    for answer in [array.to_owned(), format!(r#"{{"{}":{array}}}"#, key(0))] {
        assert_eq!(weights(&subject(2), answer.as_bytes()), Ok(expected.clone()));
    }
}

#[test]
fn a_bad_answer_is_refused_and_says_why() {
    let own = key(0);
    let peer = key(1);
    for (answer, said) in [
        (String::new(), "no JSON"),
        ("{}".to_owned(), "expected an object with the one key"),
        ("7".to_owned(), "the answer is 7"),
        (format!(r#"{{"{peer}":{{}}}}"#), "expected an object with the one key"),
        (format!(r#"{{"{own}":{{"local":1,"reject":0,"{peer}":0}},"x":1}}"#), "expected an object with the one key"),
        (format!(r#"{{"{own}":7}}"#), "the answer is 7"),
        (format!(r#"{{"{own}":{{"local":1,"reject":0}}}}"#), "no share of node_"),
        (format!(r#"{{"{own}":{{"reject":0,"{peer}":1}}}}"#), "no share of local"),
        (format!(r#"{{"{own}":{{"local":1,"reject":0,"{peer}":0,"{}":0}}}}"#, key(2)), "not in the question"),
        (format!(r#"{{"{own}":{{"local":NaN,"reject":0,"{peer}":0}}}}"#), "no JSON"),
        (format!(r#"{{"{own}":{{"local":null,"reject":0,"{peer}":0}}}}"#), "share of local is null"),
        (format!(r#"{{"{own}":{{"local":"1","reject":0,"{peer}":0}}}}"#), "share of local is \"1\""),
        (format!(r#"{{"{own}":{{"local":1,"reject":-0.1,"{peer}":0}}}}"#), "share of reject is -0.1"),
        (format!(r#"{{"{own}":{{"local":1,"reject":0,"{peer}":100}}}}"#), "is 100: expected a number from 0 to 1"),
        (format!(r#"{{"{own}":{{"local":0,"reject":0.004,"{peer}":0}}}}"#), "all shares of the answer are 0"),
        ("[1]".to_owned(), "has 1 shares: expected 3"),
        ("[]".to_owned(), "has 0 shares"),
        ("[0.5,0.2,0.2,0.1]".to_owned(), "has 4 shares: expected 3"),
        ("[0.5,1e999,0.1]".to_owned(), "no JSON"),
    ] {
        let error = weights(&subject(1), answer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{answer}: {error}");
    }
}

#[test]
fn every_period_has_one_question_about_the_window_since_the_last() {
    let start = Instant::now();
    let mut driver = Driver::new(Pace::Periodic);
    assert_eq!(driver.step(None, mark(start, 0), 1), Action::Nothing, "there is no window yet");
    let Action::Ask { current, previous: None } = driver.step(None, mark(after(start, 1), 10), 1) else {
        panic!("the second period asks, and nothing was before")
    };
    assert_eq!(current.input_rate, 10.0);
    let Action::Ask { current, previous: Some(previous) } = driver.step(Some(0), mark(after(start, 2), 40), 1) else {
        panic!("the third asks whatever the stage")
    };
    assert_eq!((previous.input_rate, current.input_rate), (10.0, 30.0));
}

#[test]
fn stages_alternate_between_all_local_and_the_model_as_in_the_original() {
    let start = Instant::now();
    let mut driver = Driver::new(Pace::Stages);
    let mut seconds = 0;
    let mut step = |stage| {
        seconds += 1;
        driver.step(stage, mark(after(start, seconds), 10 * seconds * seconds), 1)
    };
    assert_eq!(step(None), Action::Nothing);
    assert_eq!(step(Some(2)), Action::Nothing, "the first phase must be local");
    assert_eq!(step(Some(0)), Action::AllLocal);
    assert_eq!(step(Some(1)), Action::Nothing);
    let Action::Ask { current, previous: None } = step(Some(2)) else { panic!("stage 2 asks") };
    assert_eq!(current.input_rate, 80.0, "from 90 to 250 calls in two seconds");
    assert_eq!(step(Some(3)), Action::Nothing);
    assert_eq!(step(None), Action::Nothing, "no client calls: the answer holds");
    assert_eq!(step(Some(4)), Action::AllLocal);
    let Action::Ask { current, previous: Some(previous) } = step(Some(6)) else { panic!("stage 6 asks") };
    assert_eq!((previous.input_rate, current.input_rate), (130.0, 170.0));
}

#[test]
fn a_question_without_an_answer_comes_again_about_all_the_time_since() {
    let start = Instant::now();
    for (pace, stages) in [(Pace::Periodic, [None; 3]), (Pace::Stages, [Some(0), Some(2), Some(3)])] {
        let mut driver = Driver::new(pace);
        driver.step(stages[0], mark(start, 0), 1);
        assert!(matches!(driver.step(stages[1], mark(after(start, 1), 10), 1), Action::Ask { .. }));
        driver.not_answered();
        let Action::Ask { current, previous: None } = driver.step(stages[2], mark(after(start, 2), 40), 1) else {
            panic!("{pace:?} asks again")
        };
        assert_eq!(current.input_rate, 20.0);
    }
}
