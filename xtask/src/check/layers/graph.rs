//! The modules of a crate, and which uses which.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::Path,
};

use anyhow::{Context, Result};

use super::{paths::paths_in, shown};

/// The names from the root of the crate; the root itself has none.
pub(super) type Module = Vec<String>;

#[derive(Debug, Default)]
pub(super) struct Uses {
    modules: BTreeSet<Module>,
    /// User and used; both are modules of this crate, and tests are left out.
    edges: BTreeSet<(Module, Module)>,
}

impl Uses {
    /// Of the crate with this root file: `lib.rs` or `main.rs`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let folder = root.parent().context("a crate lies in a folder")?;
        let mut texts = BTreeMap::from([(Module::new(), read(root)?)]);
        collect(folder, &Module::new(), &mut texts)?;
        let mut uses = Self { modules: texts.keys().cloned().collect(), edges: BTreeSet::new() };
        for (module, text) in &texts {
            let children = uses.children(module);
            let paths = paths_in(text, &children).with_context(|| format!("cannot read {}", shown(module)))?;
            let used: Vec<Module> = paths.iter().filter_map(|path| uses.resolve(module, path)).collect();
            uses.edges.extend(used.into_iter().filter(|to| to != module).map(|to| (module.clone(), to)));
        }
        Ok(uses)
    }

    pub(super) fn top_modules(&self) -> BTreeSet<String> {
        self.children(&Module::new())
    }

    fn children(&self, of: &Module) -> BTreeSet<String> {
        let below = |module: &&Module| module.len() == of.len() + 1 && module.starts_with(of);
        self.modules.iter().filter(below).filter_map(|module| module.last().cloned()).collect()
    }

    /// The module a path begins with; the rest are items in it.
    fn resolve(&self, here: &Module, path: &[String]) -> Option<Module> {
        let mut full: Module = match path.first()?.as_str() {
            "crate" => path[1..].to_vec(),
            "self" => [here, &path[1..]].concat(),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                [here.get(..here.len().checked_sub(up)?)?, &path[up..]].concat()
            }
            _ => [here, path].concat(),
        };
        while !self.modules.contains(&full) {
            full.pop()?;
        }
        Some(full)
    }

    /// Uses between different modules of the root.
    pub(super) fn between_tops(&self) -> impl Iterator<Item = (&Module, &Module)> {
        let different =
            |(from, to): &&(Module, Module)| from.first() != to.first() && !from.is_empty() && !to.is_empty();
        self.edges.iter().filter(different).map(|(from, to)| (from, to))
    }

    /// Each circle among modules beside each other, with the uses that close it.
    pub(super) fn circles(&self) -> Vec<String> {
        self.modules.iter().flat_map(|parent| self.circles_below(parent)).collect()
    }

    fn circles_below(&self, parent: &Module) -> Vec<String> {
        let depth = parent.len();
        let inside = |module: &Module| module.len() > depth && module.starts_with(parent);
        let between: Vec<&(Module, Module)> =
            self.edges.iter().filter(|(from, to)| inside(from) && inside(to) && from[depth] != to[depth]).collect();
        let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in &between {
            reach.entry(&from[depth]).or_default().insert(&to[depth]);
        }
        close(&mut reach);
        let meets = |a: &str, b: &str| reach.get(a).is_some_and(|set| set.contains(b));
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for name in reach.keys().filter(|name| meets(name, name)) {
            let members: BTreeSet<&str> =
                reach.keys().copied().filter(|other| meets(name, other) && meets(other, name)).collect();
            if members.iter().all(|member| seen.insert(*member)) {
                circles.push(told(&members, &between, depth));
            }
        }
        circles
    }
}

/// Until everything that is reached on some way is named.
fn close(reach: &mut BTreeMap<&str, BTreeSet<&str>>) {
    loop {
        let further = reach.clone();
        let mut grown = false;
        for set in reach.values_mut() {
            let before = set.len();
            let next: Vec<&str> = set.iter().filter_map(|name| further.get(name)).flatten().copied().collect();
            set.extend(next);
            grown |= set.len() > before;
        }
        if !grown {
            return;
        }
    }
}

fn told(members: &BTreeSet<&str>, between: &[&(Module, Module)], depth: usize) -> String {
    let closing = between
        .iter()
        .filter(|(from, to)| members.contains(from[depth].as_str()) && members.contains(to[depth].as_str()));
    let uses: Vec<String> = closing.map(|(from, to)| format!("{} uses {}", shown(from), shown(to))).collect();
    let names: Vec<&str> = members.iter().copied().collect();
    format!("{} in a circle: {}", names.join(", "), uses.join("; "))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// `foo.rs` is a module, and what lies in `foo/` is below it; `tests` is for tests alone.
fn collect(folder: &Path, module: &Module, texts: &mut BTreeMap<Module, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(OsStr::to_str).filter(|stem| *stem != "tests") else { continue };
        let inner: Module = [module.as_slice(), &[stem.to_owned()]].concat();
        let is_root = module.is_empty() && ["lib", "main"].contains(&stem);
        if path.is_dir() {
            collect(&path, &inner, texts)?;
        } else if path.extension() == Some(OsStr::new("rs")) && !is_root {
            texts.insert(inner, read(&path)?);
        }
    }
    Ok(())
}
