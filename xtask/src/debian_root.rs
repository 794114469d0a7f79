//! Minimal Debian roots made from packages: what a machine looks like that nobody prepared. Kept in `target/roots`.

mod flavour;
mod machine_apt;
mod sources;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use nix::{
    fcntl::{Flock, FlockArg},
    sys::stat::{Mode, umask},
};

use crate::{
    project::{Project, find_program},
    root,
    setup::{self, Part},
    step::Step,
};
pub(crate) use flavour::Flavour;
use sources::Source;

const LIMIT: Duration = Duration::from_mins(15);
/// In a finished root: what it was made of. Another recipe makes it anew.
const RECIPE: &str = "etc/debian-root";

#[derive(Args, Debug)]
pub(crate) struct DebianRootArgs {
    /// Debian's code name: bookworm, trixie
    suite: String,
    /// What is in it besides apt and the essential packages
    #[arg(long, value_enum, default_value = "minbase")]
    flavour: Flavour,
}

/// The command `cargo xtask debian-root`; the last line printed is the root's folder.
pub(crate) fn run(project: &Project, args: &DebianRootArgs) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return root::again("device files and chroot");
    }
    let folder = make(project, &args.suite, args.flavour)?;
    println!("{}", folder.display());
    Ok(())
}

/// The folder of a finished root, made if it is not there. Needs root. Never change it: lay an overlay over it.
pub(crate) fn make(project: &Project, suite: &str, flavour: Flavour) -> Result<PathBuf> {
    ensure!(suite.bytes().all(|b| b.is_ascii_lowercase()), "{suite:?} is no code name of Debian, such as bookworm");
    // A root that only root can read would be of no use to the services in it.
    umask(Mode::from_bits_truncate(0o022));
    let recipe = Recipe::of_this_machine(suite, flavour)?;
    let place = Place::new(project, suite, flavour);
    fs::create_dir_all(&place.roots).with_context(|| format!("cannot make {}", place.roots.display()))?;
    let _lock = place.lock()?;
    if fs::read_to_string(place.folder.join(RECIPE)).is_ok_and(|text| text == recipe.text()) {
        return Ok(place.folder);
    }
    place.remove_unfinished()?;
    let built = build(project, &place, &recipe).and_then(|()| place.finish(&recipe));
    if built.is_err() {
        place.remove_unfinished()?;
    }
    built.map(|()| place.folder)
}

/// All that decides what a root holds.
struct Recipe {
    suite: String,
    flavour: Flavour,
    sources: Vec<Source>,
    /// Lines of the machine's apt.conf that say how archives are reached.
    apt: String,
}

impl Recipe {
    fn of_this_machine(suite: &str, flavour: Flavour) -> Result<Self> {
        let sources = sources::for_suite(&machine_apt::sources(), suite)?;
        Ok(Self { suite: suite.to_owned(), flavour, sources, apt: machine_apt::acquire_settings()? })
    }

    fn sources_list(&self) -> String {
        self.sources.iter().map(|source| source.line() + "\n").collect()
    }

    fn text(&self) -> String {
        format!("{}{}{}\n", self.sources_list(), self.apt, self.flavour.packages().join(" "))
    }
}

struct Place {
    roots: PathBuf,
    name: String,
    folder: PathBuf,
}

impl Place {
    fn new(project: &Project, suite: &str, flavour: Flavour) -> Self {
        let roots = project.target().join("roots");
        let name = format!("{suite}{}", flavour.suffix());
        Self { folder: roots.join(&name), roots, name }
    }

    /// Two that want the same root: the second waits and finds it made.
    fn lock(&self) -> Result<Flock<File>> {
        let path = self.roots.join(format!(".{}.lock", self.name));
        let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).context("cannot lock the root")
    }

    fn unfinished_name(&self) -> String {
        format!(".unfinished-{}", self.name)
    }

    fn unfinished(&self) -> PathBuf {
        self.roots.join(self.unfinished_name())
    }

    /// What a killed run left; called under the lock, so nobody works on it.
    fn remove_unfinished(&self) -> Result<()> {
        for name in [self.unfinished_name(), format!(".old-{}", self.name)] {
            remove(&self.roots.join(name))?;
        }
        Ok(())
    }

    fn finish(&self, recipe: &Recipe) -> Result<()> {
        fs::write(self.unfinished().join(RECIPE), recipe.text())?;
        let old = self.roots.join(format!(".old-{}", self.name));
        if self.folder.exists() {
            fs::rename(&self.folder, &old).with_context(|| format!("cannot replace {}", self.folder.display()))?;
        }
        fs::rename(self.unfinished(), &self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        remove(&old)
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn build(project: &Project, place: &Place, recipe: &Recipe) -> Result<()> {
    let (fresh, cache) = (place.unfinished(), archives(project, &recipe.suite)?);
    if recipe.flavour == Flavour::Minbase {
        debootstrap(project, recipe, &fresh, &cache)?;
    } else {
        let base = make(project, &recipe.suite, Flavour::Minbase)?;
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"]).arg(base).arg(&fresh);
        Step::new(format!("{}: copy of the minimal root", place.name), copy, LIMIT).run(project)?;
    }
    fs::write(fresh.join("etc/apt/sources.list"), recipe.sources_list())?;
    fs::write(fresh.join("etc/apt/apt.conf.d/90machine"), &recipe.apt)?;
    if recipe.flavour != Flavour::Minbase {
        install(project, place, recipe, &fresh, &cache)?;
    }
    Ok(())
}

/// The proxy by which this machine reaches its mirrors: `host:port`.
pub(crate) fn proxy() -> Option<String> {
    let (_, uri) = machine_apt::proxies().into_iter().next()?;
    let authority = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest).split('/').next()?;
    Some(authority.to_owned())
}

/// Packages once downloaded, shared by all roots of a suite.
pub(crate) fn archives(project: &Project, suite: &str) -> Result<PathBuf> {
    let folder = project.target().join("roots/.archives").join(suite);
    fs::create_dir_all(folder.join("partial")).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn debootstrap(project: &Project, recipe: &Recipe, fresh: &Path, cache: &Path) -> Result<()> {
    if find_program(&["debootstrap"]).is_none() {
        setup::ensure(project, &[Part::Roots], false)?;
    }
    let main = recipe.sources.first().context("no mirror")?;
    // In a mount namespace of its own: whatever its end, it leaves no mounts in the folder.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "debootstrap", "--variant=minbase"]);
    command.arg(format!("--cache-dir={}", cache.display()));
    command.args(main.keyring.iter().map(|keyring| format!("--keyring={keyring}")));
    if recipe.sources.iter().any(|source| source.uri.starts_with("https:")) {
        command.arg("--include=ca-certificates");
    }
    command.arg(&recipe.suite).arg(fresh).arg(&main.uri);
    command.envs(machine_apt::proxies()).env("LC_ALL", "C");
    Step::new(format!("debootstrap {}", recipe.suite), command, LIMIT).run(project).map(drop)
}

/// Installs the flavour's packages; no service is started by that.
fn install(project: &Project, place: &Place, recipe: &Recipe, fresh: &Path, cache: &Path) -> Result<()> {
    let policy = fresh.join("usr/sbin/policy-rc.d");
    fs::write(&policy, "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(&policy, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::copy("/etc/resolv.conf", fresh.join("etc/resolv.conf")).context("cannot copy resolv.conf")?;
    let script = "mount --make-rprivate / && mount --bind \"$2\" \"$1/var/cache/apt/archives\" && \
        mount -t proc proc \"$1/proc\" && root=$1 && shift 2 && exec chroot \"$root\" sh -c \
        'apt-get update && exec apt-get install --yes --no-install-recommends \"$@\"' sh \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", script, "sh"]);
    command.arg(fresh).arg(cache).args(recipe.flavour.packages());
    command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    Step::new(format!("{}: packages", place.name), command, LIMIT).run(project)?;
    fs::remove_file(&policy).context("cannot remove policy-rc.d")
}
