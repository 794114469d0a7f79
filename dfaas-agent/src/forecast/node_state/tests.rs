use std::{fs, path::Path};

use super::*;

/// A made-up tree of the kernel's files.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write("proc/stat", "cpu  0 0 0 100 0 0 0 0 0 0\ncpu0 0 0 0 100 0 0 0 0 0 0\n");
        tree.write("proc/meminfo", "MemTotal:        8000000 kB\nMemFree:  1 kB\nMemAvailable:    6000000 kB\n");
        for (package, count) in [("intel-rapl:0", 900), ("intel-rapl:1", 100), ("intel-rapl:0:0", 7)] {
            tree.write(&format!("powercap/{package}/name"), "package\n");
            tree.energy(package, count);
            tree.write(&format!("powercap/{package}/max_energy_range_uj"), "1000\n");
        }
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    }

    fn energy(&self, package: &str, count: u64) {
        self.write(&format!("powercap/{package}/energy_uj"), &format!("{count}\n"));
    }

    fn function(&self, name: &str, cpu_usec: u64, bytes: u64) {
        self.write(&format!("fn/{name}/cpu.stat"), &format!("usage_usec {cpu_usec}\nuser_usec 1\n"));
        self.write(&format!("fn/{name}/memory.current"), &format!("{bytes}\n"));
    }

    fn state(&self) -> NodeState {
        NodeState::new(Paths { proc: self.path("proc"), powercap: self.path("powercap"), functions: self.path("fn") })
    }
}

fn read(state: &mut NodeState, now: Instant) -> Reading {
    state.read(now, &["a".parse().unwrap(), "b".parse().unwrap()], &BTreeMap::new())
}

#[test]
fn the_second_reading_has_cpu_memory_power_and_functions() {
    let tree = Tree::new();
    tree.function("a", 1_000_000, 50_000_000);
    let mut state = tree.state();
    let start = Instant::now();
    let first = read(&mut state, start);
    assert_eq!(first.node, MetricReading { cpu: None, ram: Some(2_048_000_000.0), power: None });

    tree.write("proc/stat", "cpu  20 0 10 170 0 0 0 0 0 0\ncpu0 20 0 10 170 0 0 0 0 0 0\n");
    tree.energy("intel-rapl:0", 100);
    tree.energy("intel-rapl:1", 300);
    tree.function("a", 1_500_000, 60_000_000);
    let second = read(&mut state, start + Duration::from_secs(2));
    assert_eq!(second.node, MetricReading { cpu: Some(30.0), ram: Some(2_048_000_000.0), power: Some(200.0) });
    assert_eq!(second.functions.len(), 1, "b has no accounting");
    let a = second.functions[&"a".parse().unwrap()];
    assert_eq!(a, MetricReading { cpu: Some(25.0), ram: Some(60_000_000.0), power: None });
    assert_eq!(state.problems().count(), 0);
}

#[test]
fn what_cannot_be_read_is_none_and_names_its_path() {
    let tree = Tree::new();
    let mut state = tree.state();
    let start = Instant::now();
    read(&mut state, start);
    fs::remove_file(tree.path("powercap/intel-rapl:1/energy_uj")).unwrap();
    tree.write("proc/stat", "garbage\n");
    let reading = read(&mut state, start + Duration::from_secs(1));
    assert_eq!((reading.node.cpu, reading.node.power), (None, None));
    assert!(reading.node.ram.is_some());
    let problems: Vec<&str> = state.problems().collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("proc/stat: no line \"cpu\"")), "{problems:?}");
    assert!(problems.iter().any(|p| p.starts_with("power is not readable") && p.contains("intel-rapl:1/energy_uj")));

    tree.energy("intel-rapl:1", 100);
    read(&mut state, start + Duration::from_secs(2));
    let problems: Vec<&str> = state.problems().collect();
    assert_eq!(problems.len(), 1, "power is back: {problems:?}");
}

#[test]
fn a_machine_without_energy_counters_is_no_error() {
    let tree = Tree::new();
    fs::remove_dir_all(tree.path("powercap")).unwrap();
    let mut state = tree.state();
    assert_eq!(read(&mut state, Instant::now()).node.power, None);
    fs::create_dir_all(tree.path("powercap")).unwrap();
    assert_eq!(read(&mut state, Instant::now()).node.power, None);
    assert!(state.problems().next().unwrap().ends_with("no folder intel-rapl:<n>"));
}

#[test]
fn a_new_container_of_a_function_gives_no_negative_use() {
    let tree = Tree::new();
    tree.function("a", 9_000_000, 1);
    let mut state = tree.state();
    let start = Instant::now();
    read(&mut state, start);
    tree.function("a", 10_000, 1);
    let reading = read(&mut state, start + Duration::from_secs(1));
    assert_eq!(reading.functions[&"a".parse().unwrap()].cpu, None);
    tree.function("a", 110_000, 1);
    let reading = read(&mut state, start + Duration::from_secs(2));
    assert_eq!(reading.functions[&"a".parse().unwrap()].cpu, Some(10.0));
}

#[test]
fn what_the_agent_has_run_itself_counts_for_its_function() {
    let tree = Tree::new();
    let mut state = tree.state();
    let start = Instant::now();
    let name: FunctionName = "a".parse().unwrap();
    let run = |millis| BTreeMap::from([(name.clone(), Duration::from_millis(millis))]);
    state.read(start, [&name], &run(100));
    let reading = state.read(start + Duration::from_secs(1), [&name], &run(600));
    assert_eq!(reading.functions[&name], MetricReading { cpu: Some(50.0), ram: None, power: None });
}

#[test]
fn this_very_machine_can_be_read() {
    let mut state = NodeState::new(Paths::default());
    let reading = read(&mut state, Instant::now());
    assert!(reading.node.ram.unwrap() > 1e6);
    assert!(state.problems().all(|problem| problem.starts_with("power")), "{:?}", state.said);
}
