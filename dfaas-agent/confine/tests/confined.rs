//! Real programs after real orders: what each step takes away, seen from inside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use dfaas_confine::{
    groups::{Groups, Limits},
    order::Order,
};

const USER: u32 = 0x7dfa_0001;
const GROUP: u32 = 65_534;

fn program() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_function-init").expect("cargo sets it")
}

/// Only root can become somebody else, and take from the bounding set.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A shell that runs `script`, with all that can be taken from it taken.
fn shell(script: &str) -> Order {
    Order {
        parent: std::process::id(),
        user: is_root().then_some((USER, GROUP)),
        bounding: is_root(),
        data_bytes: Some(256 << 20),
        processes: is_root().then_some(32),
        calls: true,
        readable: ["/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/usr"].map(Into::into).into(),
        writable: ["/dev/null", "/dev/shm"].map(Into::into).into(),
        work_dir: "/".into(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec!["PATH=/usr/bin:/bin".into(), "COLOUR=blue".into()],
        ..Order::default()
    }
}

fn run(order: &Order, input: &[u8]) -> Output {
    let mut command = Command::new(program());
    // What the agent has and a function must not.
    command.env("SECRET", "of the agent").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&order.encode()).unwrap();
    // A process that did not start reads no input.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn said(order: &Order) -> String {
    let output = run(order, b"");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_function_gets_its_input_and_its_environment_and_nothing_of_the_agents() {
    let output = run(&shell("cat; env | sort; ls /proc/self/fd | wc -l"), b"input\n");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("PWD=") && !line.starts_with("_=")).collect();
    // As many open files as any child of this process has.
    let usual = Command::new("sh").args(["-c", "ls /proc/self/fd | wc -l"]).output().unwrap();
    let usual = String::from_utf8_lossy(&usual.stdout).trim().to_owned();
    assert_eq!(lines, ["input", "COLOUR=blue", "PATH=/usr/bin:/bin", &usual], "{output:?}");
    assert!(output.status.success());
}

#[test]
fn a_function_has_no_rights_and_cannot_get_any() {
    let text = said(&shell(
        "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status; id -u; id -g; ulimit -c; ulimit -n",
    ));
    let status = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&status(set), 16).unwrap(), 0, "{set} {text}");
    }
    assert_eq!((status("NoNewPrivs:"), status("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    assert!(text.ends_with("0\n1024\n"), "{text}");
    if is_root() {
        assert_eq!(u64::from_str_radix(&status("CapBnd:"), 16).unwrap(), 0, "{text}");
        assert_eq!(status("Groups:"), "");
        assert!(text.contains(&format!("\n{USER}\n{GROUP}\n")), "{text}");
    }
}

#[test]
fn a_server_may_bind_low_ports_and_nothing_else() {
    let order = Order { server: true, parent: 0, calls: false, readable: Vec::new(), ..shell("") };
    let script = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; id -u; ulimit -n";
    let text = said(&Order { arguments: vec!["-c".into(), script.into()], ..order });
    let status = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // CAP_NET_BIND_SERVICE is number 10.
    let want = u64::from(is_root()) << 10;
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&status(set), 16).unwrap(), want, "{set} {text}");
    }
    if is_root() {
        assert_eq!(u64::from_str_radix(&status("CapBnd:"), 16).unwrap(), want, "{text}");
        assert!(text.contains(&format!("\n{USER}\n")), "{text}");
    }
    assert_eq!(status("NoNewPrivs:"), "1");
}

#[test]
fn files_of_the_node_are_out_of_reach_whoever_may_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "of the node").unwrap();
    for (path, mode) in [(folder.path(), 0o777), (secret.as_path(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = folder.path().display();
    let script = format!(
        "cat {path}/secret; echo x > {path}/new; echo fine > /dev/shm/f$$ && cat /dev/shm/f$$ && rm /dev/shm/f$$"
    );
    let text = said(&shell(&script));
    assert!(text.contains("fine\n") && !text.contains("of the node"), "{text}");
    assert!(!folder.path().join("new").exists(), "{text}");
    // The same without Landlock reads it: it was that.
    let open = Order { readable: Vec::new(), writable: Vec::new(), ..shell(&script) };
    assert!(said(&open).contains("of the node"));
}

#[test]
fn system_calls_for_administrators_and_debuggers_are_refused() {
    let text = said(&shell("unshare --user true; unshare --net true; mount -t tmpfs none /mnt; echo went on"));
    assert!(text.starts_with("went on\n"), "{text}");
    assert!(text.matches("Operation not permitted").count() >= 2, "{text}");
    // A thread still starts: clone3 looks as if the kernel did not have it.
    let threads = Order {
        program: "/usr/bin/python3".into(),
        arguments: [
            "-c",
            "import threading; t = threading.Thread(target=lambda: print('a thread')); t.start(); t.join()",
        ]
        .map(Into::into)
        .into(),
        ..shell("")
    };
    if fs::exists(&threads.program).unwrap() {
        assert_eq!(said(&threads), "a thread\n");
    }
}

#[test]
fn a_function_sends_no_signal_to_the_node() {
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    // As the same user: only Landlock is between them (Linux 6.12).
    let order = Order { user: None, ..shell(&format!("kill -9 {}; echo status $?", other.id())) };
    let text = said(&order);
    let alive = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    if kernel_is_at_least(6, 12) {
        assert!(alive && text.contains("status 1"), "{text}");
    }
}

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap(), parts.next().unwrap()) >= (major, minor)
}

#[test]
fn a_step_that_fails_starts_nothing_and_a_probe_names_it() {
    let order = Order { group: Some("/nowhere".into()), ..shell("echo started") };
    let output = run(&order, b"");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(126), b"".as_slice()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not started without a control group"), "{output:?}");
    let output = run(&Order { probe: true, ..order }, b"");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.starts_with("a control group for each call: "), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");

    let output = run(&Order { program: "/no/such".into(), ..shell("") }, b"");
    assert!(output.status.code() == Some(126), "{output:?}");
    let stranger = Order { parent: 1, ..shell("echo started") };
    assert!(said(&stranger).contains("the agent has ended"), "{}", said(&stranger));
}

#[test]
fn whoever_leaves_the_session_ends_with_the_group() {
    let Ok(groups) = Groups::prepare(&format!("dfaas-confine-test-{}", std::process::id())) else {
        eprintln!("not run: no control groups of version 2 that this user may change");
        return;
    };
    let group = groups.group(0).unwrap();
    let limits = Limits { memory_bytes: 1 << 30, processes: 64, millicpus: Some(500) };
    group.limit(&groups, &limits).unwrap();
    let script = "setsid sh -c 'exec setsid sleep 1000' > /dev/null 2>&1 & echo left";
    let order = Order { group: Some(group.path().to_owned()), ..shell(script) };
    assert_eq!(said(&order), "left\n");
    assert!(!group.is_empty(), "the sleeper has left its session and its parent, not its group");
    group.kill().unwrap();
    until("the group is empty", || group.is_empty());
}

#[test]
fn a_function_ends_with_the_agent_however_that_ends() {
    let nap = format!("90000.{}", std::process::id());
    // In the place of the agent: a shell, whose child the function is.
    let mut agent = Command::new("sh")
        .args(["-c", "exec 3<&0; \"$0\" <&3 & wait"])
        .arg(program())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let order = Order { parent: agent.id(), ..shell(&format!("exec sleep {nap}")) };
    let mut stdin = agent.stdin.take().unwrap();
    stdin.write_all(&order.encode()).unwrap();
    until("the function runs", || runs(&nap));
    agent.kill().unwrap();
    agent.wait().unwrap();
    until("the function has ended", || !runs(&nap));
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

/// Whether a process called `sleep` has this argument.
fn runs(argument: &str) -> bool {
    let lines = fs::read_dir("/proc").unwrap().flatten();
    let mut lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line == format!("sleep\0{argument}\0").as_bytes())
}

#[test]
fn memory_of_its_own_is_limited() {
    let script = "head -c 400000000 /dev/zero | tail -c 399999999 | wc -c";
    let text = said(&shell(script));
    assert!(!text.contains("399999999"), "{text}");
    let wide = Order { data_bytes: Some(2 << 30), ..shell(script) };
    assert!(said(&wide).contains("399999999"), "{}", said(&wide));
}
