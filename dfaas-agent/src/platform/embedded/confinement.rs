//! What functions are kept from, and where: as much as this machine can, tried once at the start. Each call has a place: a
//! user and a control group that no other call has at the same time.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use dfaas_confine::{
    groups::{Group, Groups, Limits},
    init::Step,
    order::{Order, variable},
};
use nix::unistd::geteuid;
use tokio::{io::AsyncWriteExt, process::Command, time::sleep};

use super::RunAs;

/// First of the users of places: a range that neither people, nor systemd, nor containers have.
const FIRST_USER: u32 = 0x7dfa_0000;
/// `nogroup` nearly everywhere.
const GROUP: u32 = 65_534;
pub(super) const MEMORY_BYTES: u64 = 1 << 30;
const PROCESSES: u64 = 256;
/// Read by programs of all kinds; the rest of the machine is none of a function's business.
const READABLE: [&str; 15] = [
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/proc",
    "/run/systemd/resolve",
    "/sbin",
    "/srv",
    "/sys/devices/system/cpu",
    "/usr",
    "/var/lib/dpkg/alternatives",
];
const WRITABLE: [&str; 8] =
    ["/dev/full", "/dev/null", "/dev/random", "/dev/shm", "/dev/urandom", "/dev/zero", "/tmp", "/var/tmp"];
/// How often a group is looked at until its killed processes are gone, and for how long.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 2_000;

/// How functions are confined.
#[derive(Clone, Debug)]
pub struct Confine {
    /// The program that becomes a function when its first argument is `function-init`.
    pub init: PathBuf,
    /// Every call has a user of its own, in place of the runner's `run_as`.
    pub own_users: bool,
    /// Folder of control groups below this process's, for one runner alone.
    pub group: String,
    /// Readable beside the usual ones.
    pub folders: Vec<PathBuf>,
}

/// One for all calls of a runner.
#[derive(Debug)]
pub(super) struct Confinement {
    init: PathBuf,
    /// What every function gives up; user, group and program are filled in.
    order: Order,
    own_users: bool,
    groups: Option<Groups>,
    /// Those that are free; the next is taken from the end, so that few are in use.
    places: Mutex<Vec<usize>>,
    lacking: Vec<String>,
}

impl Confinement {
    pub(super) async fn prepare(confine: Confine, run_as: Option<RunAs>, places: usize) -> Result<Arc<Self>> {
        let mut lacking = Vec::new();
        let groups = Groups::prepare(&confine.group);
        let groups = groups.inspect_err(|error| lacking.push(format!("{}: {error}", Step::Group.name()))).ok();
        let own_users = confine.own_users && geteuid().is_root();
        let first = own_users.then_some((FIRST_USER, GROUP));
        let order = Order {
            parent: std::process::id(),
            user: first.or(run_as.map(|run_as| (run_as.uid, run_as.gid))),
            bounding: true,
            calls: true,
            readable: READABLE.iter().map(PathBuf::from).chain(confine.folders).collect(),
            writable: WRITABLE.iter().map(PathBuf::from).collect(),
            work_dir: PathBuf::from("/"),
            program: confine.init.clone(),
            ..Order::default()
        };
        if order.user.is_none() && !geteuid().is_root() {
            lacking.push(format!("{}: the agent is not root", Step::User.name()));
        }
        let mut this = Self {
            init: confine.init,
            order,
            own_users,
            groups,
            // Twice: one whose processes are still ending is not free yet, though its call has been answered.
            places: Mutex::new((0..2 * places).rev().collect()),
            lacking,
        };
        this.try_out().await?;
        Ok(Arc::new(this))
    }

    /// Leaves out of the order what the machine refuses, until a process has obeyed all of it.
    async fn try_out(&mut self) -> Result<()> {
        loop {
            let group = self.groups.as_ref().map(|groups| groups.group(0)).transpose()?;
            let order = Order { probe: true, group: group.map(|group| group.path().to_owned()), ..self.order.clone() };
            let output = self.obey(&order).await.context("cannot try out how functions are confined")?;
            ensure!(output.status.success(), "functions cannot be confined: {}", text(&output.stderr));
            let refused = text(&output.stdout);
            let Some(line) = refused.lines().next() else { break };
            self.lacking.push(line.to_owned());
            let step = Step::ALL.into_iter().find(|step| line.starts_with(step.name()));
            match step {
                Some(Step::Group) => self.groups = None,
                Some(Step::User) => (self.order.user, self.own_users) = (None, false),
                Some(Step::Bounding) => self.order.bounding = false,
                Some(Step::Files) => self.order.readable.clear(),
                Some(Step::Calls) => self.order.calls = false,
                _ => anyhow::bail!("functions cannot be confined: {line}"),
            }
        }
        let unlimited = self.groups.as_ref().map(Groups::lacking).filter(|names| !names.is_empty());
        self.lacking.extend(unlimited.map(|names| format!("limits of {} for each call as a whole", names.join(", "))));
        Ok(())
    }

    async fn obey(&self, order: &Order) -> std::io::Result<Output> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&order.encode()).await?;
        }
        child.wait_with_output().await
    }

    /// What this machine does not give, each with the reason.
    pub(super) fn lacking(&self) -> &[String] {
        &self.lacking
    }

    /// At the end: the folders of control groups go, those of a killed agent when the next one starts.
    pub(super) fn end(&self) {
        self.groups.iter().for_each(Groups::remove);
    }

    /// Becomes a function, once it has read an order.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.init);
        command.arg("function-init").env_clear().current_dir("/");
        command
    }

    /// A place for a call; there are as many as calls at one time.
    pub(super) fn place(self: &Arc<Self>, memory_bytes: u64, millicpus: Option<u64>) -> Result<Place> {
        let number = self.places().pop().context("no place is free")?;
        let mut place = Place { number, group: None, confinement: Arc::clone(self), memory_bytes };
        if let Some(groups) = &self.groups {
            let group = groups.group(number)?;
            group.limit(groups, &Limits { memory_bytes, processes: PROCESSES, millicpus })?;
            place.group = Some(group);
        }
        Ok(place)
    }

    fn places(&self) -> MutexGuard<'_, Vec<usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// What a process becomes.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [String],
    /// A name that comes twice has the later value.
    pub(super) environment: Vec<(String, OsString)>,
    pub(super) work_dir: &'a Path,
}

/// Of one call. However that ends, all of its processes end with the place.
#[derive(Debug)]
pub(super) struct Place {
    number: usize,
    group: Option<Group>,
    confinement: Arc<Confinement>,
    memory_bytes: u64,
}

impl Place {
    /// What goes in front of the function's input.
    pub(super) fn order(&self, start: &Start<'_>) -> Vec<u8> {
        let Confinement { order, own_users, groups, .. } = &*self.confinement;
        let mut order = order.clone();
        if *own_users {
            order.user = Some((FIRST_USER + self.number as u32, GROUP));
            order.processes = Some(PROCESSES);
        }
        order.group = self.group.as_ref().map(|group| group.path().to_owned());
        if !groups.as_ref().is_some_and(|groups| groups.has("memory")) {
            order.data_bytes = Some(self.memory_bytes);
        }
        if !order.readable.is_empty() {
            // The program with what lies beside it, and what its command line names.
            let named = start.arguments.iter().map(Path::new).filter(|path| path.is_absolute());
            let named = named.chain(start.program.parent()).filter(|path| path.parent().is_some());
            order.readable.extend(named.map(Path::to_owned));
        }
        start.program.clone_into(&mut order.program);
        order.arguments = start.arguments.iter().map(Into::into).collect();
        order.environment = start.environment.iter().map(|(name, value)| variable(name, value)).collect();
        start.work_dir.clone_into(&mut order.work_dir);
        order.encode()
    }

    pub(super) fn kill(&self) {
        if let Some(Err(error)) = self.group.as_ref().map(Group::kill) {
            tracing::warn!("the processes of a call cannot be ended: {error}");
        }
    }
}

impl Drop for Place {
    /// Free again when nothing runs in it any more.
    fn drop(&mut self) {
        self.kill();
        let (number, confinement) = (self.number, Arc::clone(&self.confinement));
        match self.group.take() {
            Some(group) if !group.is_empty() => {
                // Without a runtime the agent ends.
                let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
                runtime.spawn(async move {
                    for _ in 0..LOOKS {
                        if group.is_empty() {
                            return confinement.places().push(number);
                        }
                        sleep(LOOK).await;
                    }
                    tracing::warn!("processes of a call do not end; its place stays taken");
                });
            }
            _ => confinement.places().push(number),
        }
    }
}
