//! HAProxy's command sockets: one connection per question, bounded in time and size.

use std::{error::Error, fmt, io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

const TIMEOUT: Duration = Duration::from_secs(5);
/// A node with thousands of servers answers a few megabytes to `show stat`.
const ANSWER_MAX_BYTES: u64 = 64 << 20;
/// HAProxy takes a line of one buffer, 16384 bytes by default.
const LINE_MAX_BYTES: usize = 8_192;

#[derive(Debug)]
pub enum CliError {
    Unreachable {
        socket: PathBuf,
        source: io::Error,
    },
    Broken {
        socket: PathBuf,
        source: io::Error,
    },
    TimedOut {
        socket: PathBuf,
    },
    TooLong {
        socket: PathBuf,
    },
    /// HAProxy answered something else than success.
    Refused {
        command: String,
        answer: String,
    },
    /// An answer without the part that was asked for.
    Unexpected {
        command: String,
        missing: &'static str,
    },
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { socket, source } => write!(f, "haproxy socket {}: {source}", socket.display()),
            Self::Broken { socket, source } => {
                write!(f, "haproxy socket {} broke off: {source}", socket.display())
            }
            Self::TimedOut { socket } => {
                write!(f, "haproxy socket {} gave no answer in {} s", socket.display(), TIMEOUT.as_secs())
            }
            Self::TooLong { socket } => {
                write!(f, "haproxy socket {} answered more than {ANSWER_MAX_BYTES} bytes", socket.display())
            }
            Self::Refused { command, answer } => write!(f, "haproxy refused {command:?}: {answer}"),
            Self::Unexpected { command, missing } => {
                write!(f, "haproxy's answer to {command:?} is not as expected: no {missing}")
            }
        }
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } | Self::Broken { source, .. } => Some(source),
            Self::TimedOut { .. } | Self::TooLong { .. } | Self::Refused { .. } | Self::Unexpected { .. } => None,
        }
    }
}

/// One command socket, of a worker or of the master.
#[derive(Clone, Debug)]
pub(super) struct Cli {
    socket: PathBuf,
}

impl Cli {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The answer to one line, which may hold several commands separated by `;`.
    pub(super) async fn ask(&self, line: &str) -> Result<String, CliError> {
        match timeout(TIMEOUT, self.exchange(line)).await {
            Ok(answer) => answer,
            Err(_) => Err(CliError::TimedOut { socket: self.socket.clone() }),
        }
    }

    /// Commands that answer nothing when they succeed.
    pub(super) async fn run(&self, commands: &[String]) -> Result<(), CliError> {
        for batch in batches(commands) {
            let answer = self.ask(&batch).await?;
            if !answer.trim().is_empty() {
                let shown = batch.chars().take(200).collect();
                return Err(CliError::Refused { command: shown, answer: answer.trim().to_owned() });
            }
        }
        Ok(())
    }

    async fn exchange(&self, line: &str) -> Result<String, CliError> {
        let broken = |source| CliError::Broken { socket: self.socket.clone(), source };
        let mut stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| CliError::Unreachable { socket: self.socket.clone(), source })?;
        stream.write_all(format!("{line}\n").as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::new();
        (&mut stream).take(ANSWER_MAX_BYTES + 1).read_to_end(&mut answer).await.map_err(broken)?;
        if answer.len() as u64 > ANSWER_MAX_BYTES {
            return Err(CliError::TooLong { socket: self.socket.clone() });
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Lines of commands joined by `;`, each short enough for HAProxy's buffer.
pub(super) fn batches(commands: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for command in commands {
        match lines.last_mut() {
            Some(line) if line.len() + command.len() < LINE_MAX_BYTES => {
                line.push(';');
                line.push_str(command);
            }
            _ => lines.push(command.clone()),
        }
    }
    lines
}

/// A line `name: value` of `show info`.
pub(super) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

/// What the master says about its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Processes {
    pub(super) master: u32,
    pub(super) reloads: u64,
    /// Reloads that failed since the last good one.
    pub(super) failed: u64,
    pub(super) worker: Option<u32>,
    /// Workers of former configurations that still finish their connections.
    pub(super) leaving: Vec<u32>,
}

impl Processes {
    /// Reads the answer to `show proc`.
    pub(super) fn parse(answer: &str) -> Option<Self> {
        let mut processes = Self::default();
        let mut leaving = false;
        for line in answer.lines() {
            leaving |= line.starts_with("# old workers");
            let words: Vec<&str> = line.split_whitespace().collect();
            let [pid, kind, reloads, rest @ ..] = words.as_slice() else { continue };
            let (Ok(pid), Ok(reloads)) = (pid.parse(), reloads.parse()) else { continue };
            match *kind {
                "master" => {
                    processes.master = pid;
                    processes.reloads = reloads;
                    let failed = rest.iter().skip_while(|word| **word != "[failed:").nth(1);
                    processes.failed = failed.and_then(|n| n.trim_end_matches(']').parse().ok()).unwrap_or(0);
                }
                "worker" if leaving => processes.leaving.push(pid),
                "worker" => processes.worker = Some(pid),
                _ => {}
            }
        }
        (processes.master != 0).then_some(processes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From HAProxy 2.6.12: a reload failed, an older worker still has connections.
    const SHOW_PROC: &str = "\
#<PID>          <type>          <reloads>       <uptime>        <version>      
15000           master          2 [failed: 1]   0d00h00m56s     2.6.12-1+deb12u4
# workers
15753           worker          1               0d00h00m43s     2.6.12-1+deb12u4
# old workers
15004           worker          2               0d00h00m55s     2.6.12-1+deb12u4
# programs

";

    #[test]
    fn processes_are_read_from_show_proc() {
        let expected = Processes { master: 15_000, reloads: 2, failed: 1, worker: Some(15_753), leaving: vec![15_004] };
        assert_eq!(Processes::parse(SHOW_PROC), Some(expected));
        assert_eq!(Processes::parse("Unknown command\n"), None);
    }

    /// The clock of the test runs while everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_socket_that_says_nothing_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("runtime.sock");
        let silent = tokio::net::UnixListener::bind(&socket).unwrap();
        let cli = Cli::new(socket);
        let held = async { silent.accept().await.unwrap() };
        let (answer, _held) = tokio::join!(cli.ask("show info"), held);
        assert!(matches!(answer, Err(CliError::TimedOut { .. })), "{answer:?}");
    }

    #[test]
    fn info_fields_need_their_whole_name() {
        let info = "Pid: 12\nPidfile: x\ndescription: dfaas-1\n";
        assert_eq!(info_field(info, "Pid"), Some("12"));
        assert_eq!(info_field(info, "description"), Some("dfaas-1"));
        assert_eq!(info_field(info, "desc"), None);
    }

    #[test]
    fn batches_keep_every_command_and_fit_haproxys_line() {
        let commands: Vec<String> = (0..1_000).map(|n| format!("set map a.map key{n} {n}")).collect();
        let lines = batches(&commands);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= LINE_MAX_BYTES));
        assert_eq!(lines.join(";"), commands.join(";"));
    }
}
