//! What the parts of a node may do to the machine, and what a process of the machine may do to the node.

use std::fs;

use dfaas_tests::{client::Call, federation::Options};

use crate::Bed;

fn alone(options: &mut Options) {
    options.nodes = 1;
    // A limit of none: the function is refused wherever limits hold.
    options.settings.insert("AGENT_RATE_LIMITS".to_owned(), "env=0,figlet=100".to_owned());
}

fn field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
}

#[test]
fn haproxy_has_a_user_of_its_own_and_no_right_but_to_low_ports_also_after_a_reload() {
    let bed = Bed::new(alone);
    let master = bed.haproxy_pid(0).unwrap();
    let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
    let workers: Vec<i32> = children.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert!(!workers.is_empty());
    for pid in workers.into_iter().chain([master]) {
        assert!(field(pid, "Uid:").split_whitespace().all(|uid| uid != "0"), "{}", field(pid, "Uid:"));
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            // CAP_NET_BIND_SERVICE
            assert_eq!(field(pid, set), "0000000000000400", "{set}");
        }
        assert_eq!(field(pid, "NoNewPrivs:"), "1");
    }
    bed.served(&Call::post(bed.url(0, "/function/figlet"), "hello"));
    // A new function is a new structure: the next worker binds port 80 again.
    let deployment = r#"{"service": "more", "envProcess": "cat", "image": ""}"#;
    let node = bed.host(0).namespace.entrance().unwrap();
    let deploy = Call::post("http://127.0.0.1:8080/system/functions", deployment);
    let answer = deploy.as_admin(&bed.gateway_password(0).unwrap()).send(&node).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let deadline = std::time::Instant::now() + crate::SETTLE;
    while bed.call(&Call::post(bed.url(0, "/function/more"), "hello")).status != 200 {
        assert!(std::time::Instant::now() < deadline, "the new function is never served");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    bed.stop();
}

#[test]
fn limits_hold_for_processes_of_the_machine_itself() {
    let bed = Bed::new(alone);
    let node = bed.host(0).namespace.entrance().unwrap();
    let service = bed.url(0, "/function/env");
    assert_eq!(Call::get(&service).send(&node).unwrap().status, 429);
    for port in [10080, 10081] {
        let past = Call::get(format!("http://127.0.0.1:{port}/function/env")).send(&node);
        assert!(
            past.as_ref().is_err() || past.as_ref().unwrap().status == 403,
            "port {port}: {:?}",
            past.map(|a| a.status)
        );
    }
    bed.stop();
}

#[test]
fn the_gateway_of_functions_asks_every_process_for_the_password() {
    let bed = Bed::new(alone);
    let node = bed.host(0).namespace.entrance().unwrap();
    let list = Call::get("http://127.0.0.1:8080/system/functions");
    assert_eq!(list.send(&node).unwrap().status, 401);
    assert_eq!(list.clone().as_admin(&bed.gateway_password(0).unwrap()).send(&node).unwrap().status, 200);
    let (answer, _) = bed.served(&Call::get(bed.url(0, "/function/figlet")));
    assert!(!answer.text().contains("AGENT_"), "{}", answer.text());
    bed.stop();
}
