//! `bench forward` and `bench reject`: one hop by the kernel programs, and by HAProxy with the original's rules.

use anyhow::Result;

use super::{
    Setting,
    contender::{Contender, Kernel, Proxy},
    figure::Figure,
    findings::Findings,
    report::Report,
};
use crate::federation::lease::Lease;

/// Of what the slower of the two handles at saturation, for latencies.
const LATENCY_SHARE: f64 = 0.3;

pub(super) fn forward(setting: &Setting) -> Result<Findings> {
    compare(setting, &Figure::forwarded(), true)
}

pub(super) fn reject(setting: &Setting) -> Result<Findings> {
    compare(setting, &Figure::refused(), false)
}

/// Both contenders, by turns.
fn compare(setting: &Setting, figures: &[Figure], with_latency: bool) -> Result<Findings> {
    let leases = [Lease::take()?, Lease::take()?];
    let files = tempfile::tempdir()?;
    let kernel = Kernel::new(leases[0].prefix(), &setting.image, setting.args.xdp, files.path())?;
    let proxy = Proxy::new(leases[1].prefix(), files.path())?;
    let mut contenders: [Box<dyn Contender>; 2] = [Box::new(kernel), Box::new(proxy)];
    if !setting.args.inline {
        contenders.iter_mut().try_for_each(|contender| contender.use_threads())?;
    }
    let mut report = Report::default();
    for figure in figures {
        // Latencies of large bodies are left out where time is short.
        let with_latency = with_latency && !(setting.args.quick && figure.has_body());
        for round in 1..=setting.rounds() {
            round_of(setting, figure, round, &contenders, with_latency, &mut report)?;
        }
    }
    // Namespaces must be empty before their names are free.
    drop(contenders);
    Ok(report.findings(figures, !setting.args.inline))
}

fn round_of(
    setting: &Setting,
    figure: &Figure,
    round: usize,
    contenders: &[Box<dyn Contender>; 2],
    with_latency: bool,
    report: &mut Report,
) -> Result<()> {
    // Of large bodies only a few come back in a second, and those under way at its end are paid for as well.
    let time = setting.seconds(if figure.is_large() { 3 } else { 1 }, 10);
    let mut samples = Vec::new();
    for contender in contenders {
        setting.step(&format!("{}, round {round} of {}: {}", figure.name, setting.rounds(), contender.name()))?;
        if round == 1 {
            figure.warm_up(contender.as_ref())?;
        }
        samples.push(figure.measure(contender.as_ref(), time)?);
    }
    if with_latency {
        // The same rate for both.
        let slower = samples.iter().map(|sample| sample.outcome.per_second).fold(f64::INFINITY, f64::min);
        for (contender, sample) in contenders.iter().zip(&mut samples) {
            setting.step(&format!("{}, round {round}, at 30 %: {}", figure.name, contender.name()))?;
            let latency = figure.latency(contender.as_ref(), slower * LATENCY_SHARE, time)?;
            sample.latency = Some(latency);
        }
    }
    for (contender, sample) in contenders.iter().zip(samples) {
        report.add(figure, round, contender.name(), sample);
    }
    Ok(())
}
