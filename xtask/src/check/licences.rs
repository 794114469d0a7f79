//! Licences of all dependencies against the list in `xtask/licences.txt`.

use std::{env, fs, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::spdx;
use crate::{
    project::Project,
    step::{Step, text_of},
};

const LIST: &str = "xtask/licences.txt";

pub(super) fn check(project: &Project) -> Result<()> {
    let list = fs::read_to_string(project.root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let allowed = parse_list(&list);
    let packages = dependencies(&metadata(project)?)?;
    let offenders: Vec<String> = packages.iter().filter_map(|package| offence(package, &allowed)).collect();
    if !offenders.is_empty() {
        bail!("licences outside {LIST}:\n  {}", offenders.join("\n  "));
    }
    println!("    {} dependencies, {} allowed licences", packages.len(), allowed.len());
    Ok(())
}

/// The resolved graph for this machine; `--locked` also proves that the lock file is up to date.
fn metadata(project: &Project) -> Result<Value> {
    let mut cargo = project.cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &host_triple()?]);
    let log = Step::new("dependencies (cargo metadata)", cargo, Duration::from_mins(5)).run(project)?;
    let text = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let json = text.lines().find(|line| line.starts_with('{')).context("cargo metadata printed no JSON")?;
    serde_json::from_str(json).context("cargo metadata printed JSON that is cut")
}

fn host_triple() -> Result<String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.arg("-vV");
    let text = text_of(rustc).context("rustc does not run")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}

#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    name: String,
    version: String,
    licence: Option<String>,
}

/// What the graph uses from outside the workspace.
fn dependencies(metadata: &Value) -> Result<Vec<Dependency>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no resolved graph")?;
    let used: std::collections::BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let foreign = packages.iter().filter(|package| !package["source"].is_null());
    let foreign = foreign.filter(|package| package["id"].as_str().is_some_and(|id| used.contains(id)));
    Ok(foreign
        .map(|package| Dependency {
            name: package["name"].as_str().unwrap_or("?").to_owned(),
            version: package["version"].as_str().unwrap_or("?").to_owned(),
            licence: package["license"].as_str().map(str::to_owned),
        })
        .collect())
}

/// One licence per line, `#` begins a comment; a line `crate: licence` allows it for that crate alone.
fn parse_list(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn offence(package: &Dependency, allowed: &[String]) -> Option<String> {
    let Dependency { name, version, licence } = package;
    let Some(expression) = licence else { return Some(format!("{name} {version}: names no licence")) };
    let is_allowed = |licence: &str| {
        let for_this_crate = format!("{name}: {licence}");
        allowed.iter().any(|one| one == licence || *one == for_this_crate)
    };
    match spdx::is_met(expression, &is_allowed) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} {version}: {expression}")),
        Err(error) => Some(format!("{name} {version}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, licence: Option<&str>) -> Dependency {
        Dependency { name: name.to_owned(), version: "1.0.0".to_owned(), licence: licence.map(str::to_owned) }
    }

    #[test]
    fn offenders_are_named_with_version_and_licence() {
        let allowed = parse_list("# ours\nMIT\nring-like: OpenSSL # its C code\n\n");
        assert_eq!(allowed.len(), 2);
        assert_eq!(offence(&dependency("a", Some("MIT OR GPL-3.0")), &allowed), None);
        assert_eq!(offence(&dependency("a", Some("GPL-3.0")), &allowed).unwrap(), "a 1.0.0: GPL-3.0");
        assert!(offence(&dependency("a", None), &allowed).unwrap().contains("names no licence"));
        assert!(offence(&dependency("a", Some("MIT AND")), &allowed).is_some());
    }

    #[test]
    fn an_exception_for_one_crate_is_for_no_other() {
        let allowed = parse_list("MIT\nring-like: OpenSSL");
        assert_eq!(offence(&dependency("ring-like", Some("MIT AND OpenSSL")), &allowed), None);
        assert!(offence(&dependency("other", Some("MIT AND OpenSSL")), &allowed).is_some());
    }

    #[test]
    fn only_used_packages_from_outside_are_looked_at() {
        let metadata = serde_json::json!({
            "packages": [
                {"id": "own", "name": "own", "version": "0", "license": null, "source": null},
                {"id": "used", "name": "used", "version": "1", "license": "MIT", "source": "registry"},
                {"id": "elsewhere", "name": "elsewhere", "version": "1", "license": "X", "source": "registry"},
            ],
            "resolve": {"nodes": [{"id": "own"}, {"id": "used"}]},
        });
        let names: Vec<String> = dependencies(&metadata).unwrap().into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["used"]);
        assert!(dependencies(&serde_json::json!({})).is_err());
    }
}
