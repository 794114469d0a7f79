//! Kernels with their modules, unpacked from Debian's packages into `target/matrix/kernels`; nothing is installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::packages::{self, Package, is_meant, numbers, series};
use crate::{
    project::{Project, find_program},
    setup::apt,
    step::{Step, say, text_of},
};

const LIMIT: Duration = Duration::from_mins(10);
/// What no guest loads, and is most of a package.
const LEFT_OUT: [&str; 12] = [
    "./usr/share",
    "System.map-*",
    "*/kernel/sound",
    "*/kernel/fs",
    "*/drivers/gpu",
    "*/drivers/media",
    "*/drivers/staging",
    "*/drivers/infiniband",
    "*/drivers/scsi",
    "*/drivers/usb",
    "*/drivers/iio",
    "*/drivers/net/wireless",
];

pub(super) fn folder(project: &Project) -> PathBuf {
    project.target().join("matrix/kernels")
}

/// The release of the kernel that is meant, which is then in the folder. One that is there already is taken, however
/// old: results stay comparable until somebody removes it.
pub(super) fn fetch(project: &Project, wanted: &str) -> Result<String> {
    if let Some(release) = fetched(project).into_iter().find(|release| is_meant(release, wanted)) {
        say(&format!("kernel {wanted}: {release}, fetched already"));
        return Ok(release);
    }
    let known = known()?;
    let meant = known.iter().filter(|kernel| is_meant(&kernel.release, wanted));
    let kernel = meant.into_iter().find(|kernel| !apt::candidates(&[&kernel.name]).is_empty()).with_context(|| {
        let mut all: Vec<String> = known.iter().map(|kernel| series(&kernel.release)).collect();
        all.dedup();
        let all = if all.is_empty() { "none; `apt-get update` fetches the lists".to_owned() } else { all.join(", ") };
        format!("apt knows no kernel {wanted} for amd64; it knows {all}; others are in backports and newer suites")
    })?;
    bring(project, kernel)?;
    Ok(kernel.release.clone())
}

/// Prints what is there, and what could be fetched.
pub(super) fn list(project: &Project) -> Result<()> {
    let fetched = fetched(project);
    for release in &fetched {
        println!("kernel     {release} (fetched)");
    }
    for kernel in known()?.iter().filter(|kernel| !fetched.contains(&kernel.release)) {
        println!("kernel     {}", kernel.release);
    }
    Ok(())
}

/// Releases in the folder, newest first.
fn fetched(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(folder(project)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut releases: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    releases.sort_by_key(|release| std::cmp::Reverse(numbers(release)));
    releases
}

/// Kernels in apt's lists.
fn known() -> Result<Vec<Package>> {
    let mut command = Command::new(find_program(&["apt-cache"]).context("no apt-cache on this machine")?);
    command.args(["pkgnames", "linux-image-"]);
    Ok(packages::kernels(&text_of(command).context("apt-cache does not answer")?))
}

/// Downloads and unpacks it; what is half done is never seen.
fn bring(project: &Project, kernel: &Package) -> Result<()> {
    let folder = folder(project);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let work = tempfile::Builder::new().prefix(".").tempdir_in(&folder)?;
    let mut command = Command::new(find_program(&["apt-get"]).context("no apt-get on this machine")?);
    command.args(["download", &kernel.name]).current_dir(work.path());
    Step::new(format!("kernel {} (apt-get download)", kernel.release), command, LIMIT).run(project)?;
    let entries = fs::read_dir(work.path())?.flatten().map(|entry| entry.path());
    let package = entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let package = package.with_context(|| format!("apt-get has downloaded no package {}", kernel.name))?;
    let new = work.path().join("new");
    fs::create_dir(&new)?;
    unpack(&package, &new)?;
    let image = new.join("boot").join(format!("vmlinuz-{}", kernel.release));
    ensure!(image.is_file(), "{} has no kernel {}", kernel.name, kernel.release);
    let place = folder.join(&kernel.release);
    fs::rename(&new, &place).with_context(|| format!("cannot make {}", place.display()))
}

fn unpack(package: &Path, into: &Path) -> Result<()> {
    let mut reader = Command::new("dpkg-deb");
    reader.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped());
    let mut reader = reader.spawn().context("cannot run dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--no-same-owner").arg("--directory").arg(into);
    tar.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")));
    tar.stdin(reader.stdout.take().context("dpkg-deb has no output")?);
    let unpacked = tar.status().context("cannot run tar")?;
    let read = reader.wait()?;
    ensure!(unpacked.success() && read.success(), "{} cannot be unpacked: {read}, {unpacked}", package.display());
    Ok(())
}
