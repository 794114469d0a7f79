//! The life of the process: restarted when it dies, left running, adopted, stopped.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    time::Duration,
};

use dfaas_agent::proxy::{Applied, External, Instance, Proxy, ProxyError};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    client::{Connection, Load, call},
    harness::{Node, PEER_A, Server, function, local_first, to_peers},
};

const CALL: &str = "POST /function/fig-let HTTP/1.1";

async fn until_restarted(proxy: &Proxy, times: u64) {
    for _ in 0..300 {
        if let Ok(health) = proxy.health().await
            && health.restarts == times
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("haproxy was not started again {times} times");
}

#[tokio::test]
async fn a_killed_haproxy_is_started_again_with_the_newest_values() {
    let node = Node::new().await;
    let _a = Server::start(node.peer_address(11), "peer-a").await;
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    let refusing = node.decision(&[("fig-let", local_first(Some(0.0)))]);
    assert_eq!(proxy.apply(&refusing).await.unwrap(), Applied::Values);
    call(node.service(), CALL).await;
    proxy.sample().await.unwrap();

    let worker = proxy.health().await.unwrap().pid;
    kill(Pid::from_raw(worker.cast_signed()), Signal::SIGKILL).unwrap();
    until_restarted(&proxy, 1).await;
    assert_eq!(call(node.service(), CALL).await.status, 429, "the limit was in the files");
    proxy.sample().await.unwrap();

    kill(Pid::from_raw(node.master_pid()), Signal::SIGKILL).unwrap();
    until_restarted(&proxy, 2).await;
    assert_eq!(call(node.service(), CALL).await.status, 429);
    assert_eq!(proxy.sample().await.unwrap().functions[&function("fig-let")].refused, 3, "counts outlive it");

    let forwarding = node.decision(&[("fig-let", to_peers(local_first(Some(0.0)), &[(PEER_A, 1)]))]);
    assert_eq!(proxy.apply(&forwarding).await.unwrap(), Applied::Values);
    assert_eq!(call(node.service(), CALL).await.status, 200);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_haproxy_is_adopted_without_dropping_a_connection() {
    let node = Node::new().await;
    let a = Server::start(node.peer_address(11), "peer-a").await;
    let old = node.decision(&[("fig-let", local_first(None))]);
    let proxy = node.start(&old).await;
    let (master, worker) = (node.master_pid(), proxy.health().await.unwrap().pid);
    let mut kept = Connection::open(node.service()).await.unwrap();
    kept.send(CALL, b"").await.unwrap();
    let load = Load::start(4, node.service(), CALL);
    proxy.leave_running().await;

    // The new agent has another opinion of the values, but the same structure.
    let new = node.decision(&[("fig-let", to_peers(local_first(Some(0.0)), &[(PEER_A, 7)]))]);
    let mut proxy = node.start(&new).await;
    assert_eq!((node.master_pid(), proxy.health().await.unwrap().pid), (master, worker));
    assert_eq!(kept.send(CALL, b"").await.unwrap().body, "peer-a /function/fig-let 0");
    assert!(a.calls() > 0);
    assert_eq!(proxy.apply(&new).await.unwrap(), Applied::Unchanged);
    proxy.leave_running().await;

    // The next one has another structure: the master stays, the worker is replaced.
    let other = node.decision(&[("fig-let", local_first(None)), ("more", local_first(None))]);
    let mut proxy = node.start(&other).await;
    assert_eq!(node.master_pid(), master);
    assert_ne!(proxy.health().await.unwrap().pid, worker);
    let outcome = load.finish().await;
    assert!(outcome.bad.is_empty() && outcome.good > 20, "{outcome:?}");

    // An adopted process is supervised too.
    kill(Pid::from_raw(master), Signal::SIGKILL).unwrap();
    until_restarted(&proxy, 1).await;
    assert_eq!(proxy.apply(&other).await.unwrap(), Applied::Unchanged);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn stop_lets_calls_in_progress_finish_and_leaves_nothing_behind() {
    let node = Node::new().await;
    let proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    let address = node.service();
    let slow = tokio::spawn(async move { call(address, "GET /function/fig-let?slow HTTP/1.1").await });
    while node.gateway.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let master = Pid::from_raw(node.master_pid());
    proxy.stop(Duration::from_secs(20)).await.unwrap();
    assert_eq!(slow.await.unwrap().status, 200);
    assert!(kill(master, None).is_err(), "the master still runs");
    assert!(Connection::open(node.service()).await.is_err());
    for file in ["haproxy.pid", "master.sock", "runtime.sock"] {
        assert!(!node.settings.run_dir.join(file).exists(), "{file}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_reported_and_the_old_worker_goes_on() {
    let node = Node::new().await;
    let taken = std::net::SocketAddr::new(node.ip(50), 20_080);
    let _holder = tokio::net::TcpListener::bind(taken).await.unwrap();
    let decision = node.decision(&[("fig-let", local_first(None))]);
    let mut settings = node.settings.clone();
    settings.service.push(taken);
    let err = Proxy::start(settings.clone(), &decision).await.err().expect("the address is taken");
    assert!(matches!(&err, ProxyError::NotLoaded { message } if message.contains("cannot bind")), "{err}");

    // The same with a HAProxy that already runs: an agent adopts it and asks for one address too many.
    let proxy = node.start(&decision).await;
    proxy.leave_running().await;
    let err = Proxy::start(settings, &decision).await.err().expect("the address is taken");
    assert!(matches!(&err, ProxyError::NotLoaded { message } if message.contains("cannot bind")), "{err}");
    assert_eq!(call(node.service(), CALL).await.status, 200);
    // The files are as before, too. A worker ends when its master does.
    kill(Pid::from_raw(node.master_pid()), Signal::SIGKILL).unwrap();
    while Connection::open(node.service()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut proxy = node.start(&decision).await;
    call(node.service(), CALL).await;
    assert_eq!(proxy.sample().await.unwrap().functions[&function("fig-let")].service, 1);
    proxy.stop(Duration::ZERO).await.unwrap();
}

#[tokio::test]
#[ignore = "needs root to change the user"]
async fn workers_run_as_another_user_and_still_hand_their_tables_over() {
    let mut node = Node::new().await;
    std::fs::set_permissions(&node.settings.run_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    node.settings.user = Some(("nobody".to_owned(), "nogroup".to_owned()));
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    let pid = proxy.health().await.unwrap().pid;
    assert_ne!(std::fs::metadata(format!("/proc/{pid}")).unwrap().uid(), 0);
    node.until_tables_are_handed_over().await;
    call(node.service(), CALL).await;
    let more = node.decision(&[("fig-let", local_first(None)), ("more", local_first(None))]);
    assert_eq!(proxy.apply(&more).await.unwrap(), Applied::Reloaded);
    for _ in 0..100 {
        if node.ask_runtime("show table tables/st_calls").await.contains(&format!("key=fig-let@{pid} ")) {
            return proxy.stop(Duration::ZERO).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the new worker did not get the row of the old one");
}

#[tokio::test]
async fn a_haproxy_of_the_system_is_reloaded_by_its_own_command() {
    let mut node = Node::new().await;
    let dir = node.settings.run_dir.clone();
    let config = dir.join("system.cfg");
    // The system's HAProxy, before it knows of us.
    std::fs::write(
        &config,
        format!("defaults\n mode http\n timeout client 9s\nfrontend f\n bind {}\n", node.service()),
    )
    .unwrap();
    let mut system = tokio::process::Command::new("haproxy")
        .args(["-W", "-f"])
        .arg(&config)
        .arg("-p")
        .arg(node.pid_file())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while !node.pid_file().exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reload = format!("kill -USR2 $(cat {})", node.pid_file().display());
    node.settings.instance = Instance::External(External {
        config: config.clone(),
        reload: vec!["sh".to_owned(), "-c".to_owned(), reload],
        runtime_socket: dir.join("system.sock"),
    });
    let mut proxy = node.start(&node.decision(&[("fig-let", local_first(None))])).await;
    assert_eq!(call(node.service(), CALL).await.status, 200);
    let refusing = node.decision(&[("fig-let", local_first(Some(0.0)))]);
    assert_eq!(proxy.apply(&refusing).await.unwrap(), Applied::Values);
    assert_eq!(call(node.service(), CALL).await.status, 429);
    let more = node.decision(&[("fig-let", local_first(None)), ("more", local_first(None))]);
    assert_eq!(proxy.apply(&more).await.unwrap(), Applied::Reloaded);
    assert_eq!(call(node.service(), "GET /function/more HTTP/1.1").await.status, 200);
    assert_eq!(proxy.sample().await.unwrap().functions[&function("fig-let")].service, 2);
    proxy.stop(Duration::ZERO).await.unwrap();
    assert!(system.try_wait().unwrap().is_none(), "the system's process is not ours to end");
}
