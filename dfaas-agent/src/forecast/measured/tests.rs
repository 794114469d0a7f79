use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::forecast::GroupRates;

/// A node whose costs are known, with noise as of a real one.
struct Simulated {
    idle: Usage,
    costs: BTreeMap<FunctionName, Usage>,
    random: StdRng,
    /// Whether functions are accounted on their own.
    accounting: bool,
    power: bool,
}

impl Simulated {
    fn new(costs: &[(&str, f64, f64)]) -> Self {
        let usage = |cpu, ram| Usage { cpu, ram, power: 10_000.0 * cpu };
        let costs = costs.iter().map(|(name, cpu, ram)| (name.parse().unwrap(), usage(*cpu, *ram))).collect();
        let idle = Usage { cpu: 60.0, ram: 3.5e9, power: 180_000.0 };
        Self { idle, costs, random: StdRng::seed_from_u64(7), accounting: false, power: true }
    }

    fn truth(&self, rates: &BTreeMap<FunctionName, f64>) -> Usage {
        let mut usage = self.idle;
        for (name, rate) in rates {
            usage.cpu += rate * self.costs[name].cpu;
            usage.ram += rate * self.costs[name].ram;
            usage.power += rate * self.costs[name].power;
        }
        usage
    }

    fn reading(&mut self, rates: &BTreeMap<FunctionName, f64>) -> Reading {
        let truth = self.truth(rates);
        let mut noisy = |value: f64| Some(value * self.random.random_range(0.98..1.02));
        let node = MetricReading {
            cpu: noisy(truth.cpu),
            ram: noisy(truth.ram),
            power: noisy(truth.power).filter(|_| self.power),
        };
        let own = |(name, rate): (&FunctionName, &f64)| {
            let cost = self.costs[name];
            let base = 5e7;
            (name.clone(), MetricReading { cpu: Some(rate * cost.cpu), ram: Some(base + rate * cost.ram), power: None })
        };
        let functions = if self.accounting { rates.iter().map(own).collect() } else { BTreeMap::new() };
        Reading { node, functions }
    }

    fn rates(&mut self, highest: f64) -> BTreeMap<FunctionName, f64> {
        self.costs.keys().map(|name| (name.clone(), self.random.random_range(0.0..highest))).collect()
    }

    fn teach(&mut self, measured: &mut Measured, samples: u32) {
        for _ in 0..samples {
            let rates = self.rates(40.0);
            measured.learn(&self.reading(&rates), &rates).unwrap();
        }
    }
}

fn forecast(measured: &Measured, rates: &BTreeMap<FunctionName, f64>) -> Usage {
    let functions: Vec<_> = rates.clone().into_iter().collect();
    measured.usage(NodeType::Mid, &Load { groups: GroupRates::default(), functions: &functions }).unwrap()
}

fn assert_close(measured: &Measured, node: &Simulated, rates: &BTreeMap<FunctionName, f64>, share: f64) {
    let (seen, truth) = (forecast(measured, rates), node.truth(rates));
    for (what, seen, truth) in
        [("cpu", seen.cpu, truth.cpu), ("ram", seen.ram, truth.ram), ("power", seen.power, truth.power)]
    {
        assert!((seen - truth).abs() <= share * truth, "{what} forecast {seen}, in truth {truth}");
    }
}

fn rates(of: &[(&str, f64)]) -> BTreeMap<FunctionName, f64> {
    of.iter().map(|(name, rate)| (name.parse().unwrap(), *rate)).collect()
}

#[test]
fn the_costs_of_a_node_are_found_from_its_own_counters() {
    let mut node = Simulated::new(&[("figlet", 0.5, 1e6), ("ocr", 8.0, 2e7), ("env", 0.1, 0.0)]);
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 600);
    let costs = measured.costs();
    assert!((costs[&"ocr".parse().unwrap()].cpu - 8.0).abs() < 0.3, "{costs:?}");
    assert!((measured.idle().cpu - 60.0).abs() < 6.0, "{:?}", measured.idle());
    assert_close(&measured, &node, &rates(&[("figlet", 30.0), ("ocr", 5.0), ("env", 0.0)]), 0.05);
    let quality = measured.quality();
    assert_eq!(quality.samples, 600);
    assert!((1.0..10.0).contains(&quality.cpu_rms.unwrap()), "noise of 2 % of some 230: {quality:?}");
}

#[test]
fn a_cost_that_changes_is_learned_anew() {
    let mut node = Simulated::new(&[("figlet", 0.5, 1e6), ("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(100);
    node.teach(&mut measured, 400);
    node.costs.get_mut(&"ocr".parse().unwrap()).unwrap().cpu = 3.0;
    node.idle.cpu = 90.0;
    node.teach(&mut measured, 600);
    let cost = measured.costs()[&"ocr".parse().unwrap()].cpu;
    assert!((cost - 3.0).abs() < 0.3, "{cost}");
    assert!((measured.idle().cpu - 90.0).abs() < 8.0, "{:?}", measured.idle());
}

#[test]
fn own_accounting_tells_functions_apart_that_always_run_together() {
    let mut node = Simulated::new(&[("figlet", 0.5, 1e6), ("ocr", 8.0, 2e7)]);
    node.accounting = true;
    let mut measured = Measured::new(300);
    for n in 0..200 {
        let rate = f64::from(n % 20);
        let rates = rates(&[("figlet", rate), ("ocr", rate)]);
        measured.learn(&node.reading(&rates), &rates).unwrap();
    }
    let costs = measured.costs();
    assert!((costs[&"figlet".parse().unwrap()].cpu - 0.5).abs() < 0.2, "{costs:?}");
    assert!((costs[&"ocr".parse().unwrap()].cpu - 8.0).abs() < 0.2, "{costs:?}");
    // Power has no accounting of its own.
    let both = rates(&[("figlet", 15.0), ("ocr", 15.0)]);
    assert_close(&measured, &node, &both, 0.05);
}

#[test]
fn accounting_that_comes_late_counts_nothing_twice() {
    let mut node = Simulated::new(&[("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 200);
    node.accounting = true;
    node.teach(&mut measured, 30);
    assert_close(&measured, &node, &rates(&[("ocr", 20.0)]), 0.1);
    node.accounting = false;
    node.teach(&mut measured, 30);
    assert_close(&measured, &node, &rates(&[("ocr", 20.0)]), 0.1);
}

#[test]
fn constant_rates_keep_what_is_known() {
    let mut node = Simulated::new(&[("figlet", 0.5, 1e6), ("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(100);
    node.teach(&mut measured, 300);
    let constant = rates(&[("figlet", 10.0), ("ocr", 10.0)]);
    for _ in 0..20_000 {
        measured.learn(&node.reading(&constant), &constant).unwrap();
    }
    assert_close(&measured, &node, &constant, 0.02);
    assert_close(&measured, &node, &rates(&[("figlet", 30.0), ("ocr", 1.0)]), 0.15);
}

#[test]
fn functions_come_and_go() {
    let mut node = Simulated::new(&[("figlet", 0.5, 1e6), ("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 300);
    node.costs.remove(&"figlet".parse().unwrap());
    node.costs.insert("curl".parse().unwrap(), Usage { cpu: 2.0, ram: 0.0, power: 20_000.0 });
    node.teach(&mut measured, 300);
    assert_close(&measured, &node, &rates(&[("ocr", 10.0), ("curl", 20.0)]), 0.05);
    let names: Vec<String> = measured.costs().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["curl", "ocr"]);
}

#[test]
fn a_call_nobody_has_seen_costs_what_the_dearest_costs() {
    let mut node = Simulated::new(&[("figlet", 0.5, 1e6), ("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 300);
    let seen = forecast(&measured, &rates(&[("ocr", 10.0)]));
    let unseen = forecast(&measured, &rates(&[("new", 10.0)]));
    assert!((seen.cpu - unseen.cpu).abs() < 1e-6, "{seen:?} {unseen:?}");
}

#[test]
fn there_is_no_forecast_before_there_are_samples() {
    let mut node = Simulated::new(&[("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 9);
    let load = Load { groups: GroupRates::default(), functions: &[] };
    let error = measured.usage(NodeType::Mid, &load).unwrap_err();
    assert_eq!(error.0, "measured costs: 9 samples of cpu, expected 10");
    node.teach(&mut measured, 1);
    assert!(measured.usage(NodeType::Mid, &load).is_ok());
}

#[test]
fn unreadable_power_is_said_and_forecast_as_nothing() {
    let mut node = Simulated::new(&[("ocr", 8.0, 2e7)]);
    node.power = false;
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 50);
    assert!(!measured.knows_power());
    assert_eq!(forecast(&measured, &rates(&[("ocr", 10.0)])).power, 0.0);
    assert_eq!(measured.quality().power_rms, None);
}

#[test]
fn numbers_that_are_none_are_refused_and_change_nothing() {
    let mut node = Simulated::new(&[("ocr", 8.0, 2e7)]);
    let mut measured = Measured::new(300);
    node.teach(&mut measured, 50);
    let before = format!("{measured:?}");
    let good = rates(&[("ocr", 1.0)]);
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let mut reading = node.reading(&good);
        reading.node.ram = Some(bad);
        let error = measured.learn(&reading, &good).unwrap_err().to_string();
        assert!(error.starts_with("ram of the node is"), "{error}");
        let reading = node.reading(&good);
        assert!(measured.learn(&reading, &rates(&[("ocr", bad)])).unwrap_err().to_string().contains("rate of ocr"));
        let load = [("ocr".parse().unwrap(), bad)];
        let load = Load { groups: GroupRates::default(), functions: &load };
        assert!(measured.usage(NodeType::Mid, &load).is_err());
    }
    assert_eq!(format!("{measured:?}"), before);
}
