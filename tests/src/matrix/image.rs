//! The first and only file system of a guest: busybox, the node's programs with their libraries, the driver's modules.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{cpio::Archive, kernel::Kernel, modules::Modules, nic::Nic};

const INIT: &str = include_str!("init.sh");
/// Of the machine, needed by a node.
const NEEDED: &[&str] = &["haproxy", "ip"];
/// For who looks into a guest.
const WELCOME: &[&str] = &["ethtool", "bpftool", "curl"];
const FOLDERS: &[&str] =
    &["/bin", "/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/var/lib/dfaas", "/modules", "/etc", "/usr/bin"];
/// Beyond PATH, which may lack them.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// The functions `figlet` and `ocr` say back what they are told, so that a body can be compared.
const ECHO: &str = "#!/bin/sh\nexec cat\n";
const USERS: &str = "root:x:0:0::/root:/bin/sh\nhaproxy:x:99:99::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nhaproxy:x:99:\nnogroup:x:65534:\n";

/// The archive for guests with this kernel and these interfaces.
pub(super) fn build(kernel: &Kernel, nics: &[Nic], agent: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.directory(folder);
    }
    archive.file("/init", 0o755, INIT.as_bytes());
    for (path, text) in [
        ("/etc/passwd", USERS),
        ("/etc/group", GROUPS),
        ("/etc/nsswitch.conf", "hosts: files\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
    ] {
        archive.file(path, 0o644, text.as_bytes());
    }
    for function in ["figlet", "tesseract"] {
        archive.file(&format!("/usr/bin/{function}"), 0o755, ECHO.as_bytes());
    }
    add_programs(&mut archive, agent)?;
    let modules: Vec<&str> = nics.iter().flat_map(|nic| nic.modules).copied().collect();
    add_modules(&mut archive, &Modules::find(&kernel.modules())?, &modules)
        .with_context(|| format!("modules of kernel {}", kernel.release))?;
    Ok(archive.finish())
}

fn add_modules(archive: &mut Archive, modules: &Modules, wanted: &[&str]) -> Result<()> {
    let mut order = String::new();
    for module in modules.load_order(wanted)? {
        let file = format!("{}.ko", module.name);
        archive.file(&format!("/modules/{file}"), 0o644, &module.content);
        order = order + &file + "\n";
    }
    archive.file("/modules/order", 0o644, order.as_bytes());
    Ok(())
}

fn add_programs(archive: &mut Archive, agent: &Path) -> Result<()> {
    let mut libraries = Vec::new();
    let mut add = |place: &str, file: &Path, content: &[u8]| -> Result<()> {
        archive.file(place, 0o755, content);
        for library in libraries_of(file)? {
            if !libraries.contains(&library) {
                archive.file(&library.display().to_string(), 0o755, &read(&library)?);
                libraries.push(library);
            }
        }
        Ok(())
    };
    let busybox = find("busybox").context("no busybox: `cargo xtask setup` installs it (Debian: busybox-static)")?;
    add("/bin/busybox", &busybox, &read(&busybox)?)?;
    add("/usr/bin/dfaas-agent", agent, &stripped(agent)?)?;
    for name in NEEDED.iter().chain(WELCOME) {
        match find(name) {
            Some(file) => add(&format!("/usr/sbin/{name}"), &file, &read(&file)?)?,
            None if NEEDED.contains(name) => bail!("no {name} on this machine: `cargo xtask setup` installs it"),
            None => {}
        }
    }
    archive.link("/bin/sh", "busybox");
    Ok(())
}

/// Without symbols, which are half of a program and would be unpacked by every guest.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    ensure!(program.is_file(), "no agent at {}: expected its program", program.display());
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("--strip-all").arg("-o").arg(&copy).arg(program);
    // No binutils: large, and just as good.
    if strip.status().is_ok_and(|status| status.success()) { read(&copy) } else { read(program) }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Libraries that the loader of this machine would take, itself included; none for a static program.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    libraries_in(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("libraries of {}", program.display()))
}

fn libraries_in(text: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines() {
        ensure!(!line.contains("not found"), "{}", line.trim());
        let place = line.split_once("=> ").map_or(line, |(_, place)| place).trim();
        if let Some((path, _)) = place.split_once(" (").filter(|(path, _)| path.starts_with('/')) {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_taken_and_what_has_no_file_is_not() {
        let text = "\tlinux-vdso.so.1 (0x00007fee47033000)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fee46f21000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007fee47035000)\n";
        let paths = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(libraries_in(text).unwrap(), paths);
        assert!(libraries_in("\tnot a dynamic executable\n").unwrap().is_empty());
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let error = libraries_in("\tlibx.so.1 => not found\n").unwrap_err().to_string();
        assert!(error.contains("libx.so.1"), "{error}");
    }
}
