//! One call as one process: input on stdin, result on stdout, and nothing left behind afterwards.

use std::{
    fmt, io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, Command},
    time::timeout,
};

use super::{
    body::Body,
    budget::{Exhausted, Lease},
    confinement::Place,
    cpu_time::CpuTime,
};

/// Of the error output; what is beyond is read and dropped.
const STDERR_LIMIT_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 8 << 10;
/// A killed process that does not go within this time is stuck in the kernel; the runtime reaps it later.
const REAP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) stdout_bytes: usize,
}

#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Stdout,
    pub(super) stderr: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum RunError {
    Start(io::Error),
    Pipe(io::Error),
    TimedOut(Duration),
    TooLong { limit_bytes: usize },
    Memory,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "the process did not start: {error}"),
            Self::Pipe(error) => write!(f, "talking to the process failed: {error}"),
            Self::TimedOut(limit) => write!(f, "killed after {} s", limit.as_secs_f64()),
            Self::TooLong { limit_bytes } => write!(f, "killed: the output is longer than {limit_bytes} bytes"),
            Self::Memory => f.write_str("killed: no memory left for more bodies"),
        }
    }
}

impl std::error::Error for RunError {}

/// The result, counted against the budget until it is dropped.
#[derive(Debug)]
pub(super) struct Stdout {
    bytes: Vec<u8>,
    _lease: Lease,
}

impl Stdout {
    /// Keeps its part of the budget until the last byte has been sent.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Stdout {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a process is given to read: an order to obey first, if it is one that does, and the body.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) order: Vec<u8>,
    pub(super) body: Body,
}

impl Input {
    fn is_empty(&self) -> bool {
        self.order.is_empty() && self.body.bytes.is_empty()
    }
}

/// Runs `command` in a process group of its own. However this ends, also by dropping the future, the group is killed, and with
/// it all that runs in the call's place. Without a control group a process that leaves its process group (`setsid`) escapes.
pub(super) async fn run(
    command: &mut Command,
    input: Input,
    place: Option<Place>,
    lease: Lease,
    limits: &Limits,
    cpu: &CpuTime,
) -> Result<Output, RunError> {
    // No pre_exec closure and no change of user unless asked for: the standard library then uses posix_spawn.
    command.process_group(0).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut child = command.spawn().map_err(RunError::Start)?;
    let mut group = Ends::of(child.id(), place);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());

    let work = async {
        let feed = async {
            feed(stdin, input).await;
            Ok(())
        };
        // What the process left running in its group ends with it, and with that the pipes end.
        let end = async {
            let status = cpu.wait(&mut child).await.map_err(RunError::Pipe);
            group.kill();
            status
        };
        tokio::try_join!(end, read_all(stdout, lease, limits.stdout_bytes), read_start(stderr), feed)
    };
    let error = match timeout(limits.timeout, work).await {
        Ok(Ok((status, stdout, stderr, ()))) => return Ok(Output { status, stdout, stderr }),
        Ok(Err(error)) => error,
        Err(_) => RunError::TimedOut(limits.timeout),
    };
    group.kill();
    // An error here only means that it was reaped already.
    let _ = timeout(REAP_TIMEOUT, cpu.wait(&mut child)).await;
    Err(error)
}

/// A process group, killed once, and the place of the call.
struct Ends {
    group: Option<Pid>,
    place: Option<Place>,
}

impl Ends {
    fn of(leader: Option<u32>, place: Option<Place>) -> Self {
        Self { group: leader.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw), place }
    }

    /// May come right after the leader was reaped: the kernel gives numbers out in a circle, so this one
    /// is not another group's yet.
    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // ESRCH: nobody is left, which is the usual case.
            let _ = killpg(group, Signal::SIGKILL);
            self.place.as_ref().map(Place::kill);
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A function need not read its input: a closed pipe is no error.
async fn feed(stdin: Option<ChildStdin>, input: Input) {
    let Some(mut stdin) = stdin else { return };
    if stdin.write_all(&input.order).await.is_ok() {
        let _ = stdin.write_all(&input.body.bytes).await;
    }
}

async fn read_all(source: Option<impl AsyncRead + Unpin>, mut lease: Lease, limit: usize) -> Result<Stdout, RunError> {
    let mut bytes = Vec::new();
    let Some(mut source) = source else { return Ok(Stdout { bytes, _lease: lease }) };
    loop {
        bytes.reserve(READ_BYTES);
        let read = source.read_buf(&mut bytes).await.map_err(RunError::Pipe)?;
        if read == 0 {
            return Ok(Stdout { bytes, _lease: lease });
        }
        if bytes.len() > limit {
            return Err(RunError::TooLong { limit_bytes: limit });
        }
        lease.grow(read).map_err(|Exhausted| RunError::Memory)?;
    }
}

async fn read_start(source: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::new();
    let Some(mut source) = source else { return Ok(bytes) };
    let mut buffer = [0; 1024];
    loop {
        let read = source.read(&mut buffer).await.map_err(RunError::Pipe)?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&buffer[..read.min(STDERR_LIMIT_BYTES - bytes.len())]);
    }
}
