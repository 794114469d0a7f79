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
    command.arg("download").arg(&kernel.name).args(parts(kernel)).current_dir(work.path());
    Step::new(format!("kernel {} (apt-get download)", kernel.release), command, LIMIT).run(project)?;
    let new = work.path().join("new");
    fs::create_dir(&new)?;
    let files = fs::read_dir(work.path())?.flatten().map(|entry| entry.path());
    for package in files.filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        unpack(&package, &new)?;
    }
    let ordered = work.path().join("ordered");
    order(&new, &ordered, &kernel.release).with_context(|| format!("package {}", kernel.name))?;
    let place = folder.join(&kernel.release);
    fs::rename(&ordered, &place).with_context(|| format!("cannot make {}", place.display()))
}

/// Newer packages of kernels are empty, and depend on these.
fn parts(kernel: &Package) -> Vec<String> {
    let names = ["base", "binary", "modules"].map(|part| format!("linux-{part}-{}", kernel.release));
    apt::candidates(&names.each_ref().map(String::as_str)).into_keys().collect()
}

/// Moves what guests need to where they look for it, wherever this release of Debian has it.
fn order(unpacked: &Path, ordered: &Path, release: &str) -> Result<()> {
    let modules = ["lib/modules", "usr/lib/modules"].map(|place| unpacked.join(place).join(release));
    let modules = modules.into_iter().find(|folder| folder.join("kernel").is_dir()).context("no modules in it")?;
    let images = [unpacked.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = images.into_iter().find(|file| file.is_file()).context("no kernel in it")?;
    fs::create_dir(ordered)?;
    fs::rename(image, ordered.join("vmlinuz"))?;
    fs::rename(modules, ordered.join("modules"))?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Both files, and whether they are where guests look for them.
    fn ordered(files: &[&str]) -> Result<bool> {
        let folder = tempfile::tempdir()?;
        for file in files {
            let file = folder.path().join("unpacked").join(file);
            fs::create_dir_all(file.parent().context("no folder")?)?;
            fs::write(file, "")?;
        }
        let place = folder.path().join("ordered");
        order(&folder.path().join("unpacked"), &place, "7.3.4")?;
        Ok(place.join("vmlinuz").is_file() && place.join("modules/kernel/net/x.ko.xz").is_file())
    }

    #[test]
    fn a_kernel_is_found_wherever_its_package_has_it() {
        assert!(ordered(&["boot/vmlinuz-7.3.4", "lib/modules/7.3.4/kernel/net/x.ko.xz"]).unwrap());
        assert!(ordered(&["usr/lib/modules/7.3.4/vmlinuz", "usr/lib/modules/7.3.4/kernel/net/x.ko.xz"]).unwrap());
    }

    #[test]
    fn a_package_that_lacks_something_is_told_what() {
        let error = ordered(&["usr/share/doc/x"]).unwrap_err().to_string();
        assert_eq!(error, "no modules in it");
        let error = ordered(&["boot/vmlinuz-7.3.5", "lib/modules/7.3.4/kernel/net/x.ko"]).unwrap_err().to_string();
        assert_eq!(error, "no kernel in it");
    }
}
