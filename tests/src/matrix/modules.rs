//! The modules of a kernel: which files a driver needs, in the order in which they are to be loaded.
//!
//! Read from the modules themselves (section `.modinfo`): a kernel that was only unpacked has no `modules.dep`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSection as _};

/// All modules of one kernel.
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
    built_in: BTreeSet<String>,
}

/// One module, as it is to be loaded.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

impl Modules {
    /// `folder` is what a running kernel has as `/lib/modules/RELEASE`.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(&folder.join("kernel"), &mut files)?;
        let list = folder.join("modules.builtin");
        let list = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        let built_in = list.lines().filter_map(|line| name_of(Path::new(line.trim()))).collect();
        Ok(Self { files, built_in })
    }

    /// What to load for these modules, each after what it depends on.
    pub(super) fn load_order(&self, wanted: &[&str]) -> Result<Vec<Module>> {
        let (mut order, mut known) = (Vec::new(), BTreeSet::new());
        for name in wanted {
            self.visit(name, &mut known, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, name: &str, known: &mut BTreeSet<String>, order: &mut Vec<Module>) -> Result<()> {
        let name = name.replace('-', "_");
        if self.built_in.contains(&name) || !known.insert(name.clone()) {
            return Ok(());
        }
        let Some(file) = self.files.get(&name) else { bail!("this kernel has no module {name}") };
        let content = read(file)?;
        for other in depends(&content).with_context(|| format!("cannot read {}", file.display()))? {
            self.visit(&other, known, order).with_context(|| format!("needed by {name}"))?;
        }
        order.push(Module { name, content });
        Ok(())
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `virtio_net` of `…/virtio-net.ko.xz`: file names have either sign, the kernel knows one.
fn name_of(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
    };
    let mut command = Command::new(program);
    let output = command.args(["-d", "-c"]).arg(file).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} cannot unpack {}: {}", file.display(), output.status);
    Ok(output.stdout)
}

fn depends(module: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(module)?;
    let section = file.section_by_name(".modinfo").context("no section .modinfo")?;
    Ok(depends_in(section.data()?))
}

/// The section holds `key=value` texts, each ended by a zero.
fn depends_in(modinfo: &[u8]) -> Vec<String> {
    let texts = modinfo.split(|byte| *byte == 0).filter_map(|text| text.strip_prefix(b"depends="));
    let names = texts.flat_map(|list| list.split(|byte| *byte == b','));
    names.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_the_kernels_name_of_it() {
        let name = |path: &str| name_of(Path::new(path));
        assert_eq!(name("kernel/drivers/net/virtio_net.ko").as_deref(), Some("virtio_net"));
        assert_eq!(name("kernel/drivers/i2c/algos/i2c-algo-bit.ko.xz").as_deref(), Some("i2c_algo_bit"));
        assert_eq!(name("modules.order"), None);
    }

    #[test]
    fn dependencies_are_read_and_none_are_none() {
        let section = b"license=GPL\0depends=net_failover,virtio\0\0name=virtio_net\0";
        assert_eq!(depends_in(section), ["net_failover", "virtio"]);
        assert!(depends_in(b"depends=\0alias=depends=x\0").is_empty());
    }

    #[test]
    fn a_missing_module_is_named_with_what_needs_it() {
        let modules = Modules { files: BTreeMap::new(), built_in: BTreeSet::from(["virtio".to_owned()]) };
        assert!(modules.load_order(&["virtio"]).unwrap().is_empty());
        let error = modules.load_order(&["virtio", "e1000e"]).err().unwrap().to_string();
        assert_eq!(error, "this kernel has no module e1000e");
    }
}
