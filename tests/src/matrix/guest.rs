//! One guest: QEMU's process, and commands over the second serial port of the machine in it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::nic::Nic;
use crate::netns::Namespace;

/// QEMU's program, as it is installed.
pub const QEMU: &str = "qemu-system-x86_64";
/// Of a guest with one queue; the file system is in it twice while it is unpacked.
const MEMORY_MIB: u32 = 768;
/// For a start, on a busy machine: 5 s on an idle one.
const BOOT: Duration = Duration::from_mins(4);
const CONNECT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const READY: &str = "DFAAS-READY";
const END: &str = "DFAAS-END ";
const SHOWN_BYTES: usize = 1500;

/// What a guest is made of.
pub(super) struct Plan<'a> {
    pub(super) name: &'a str,
    pub(super) qemu: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) kernel: PathBuf,
    pub(super) archive: &'a Path,
    pub(super) nic: Nic,
    /// Tap that the machine's interface is.
    pub(super) tap: &'a str,
    /// For console and QEMU's messages.
    pub(super) logs: &'a Path,
    /// For the socket: its path must be short.
    pub(super) run: &'a Path,
}

pub(super) struct Guest {
    name: String,
    qemu: Child,
    port: UnixStream,
    /// Read, and not yet taken.
    unread: Vec<u8>,
    console: PathBuf,
    messages: PathBuf,
}

impl Guest {
    /// Starts the machine; it boots meanwhile.
    pub(super) fn start(plan: &Plan, namespace: &Namespace) -> Result<Self> {
        let console = plan.logs.join(format!("{}.console", plan.name));
        let messages = plan.logs.join(format!("{}.qemu", plan.name));
        let socket = plan.run.join(format!("{}.socket", plan.name));
        let log = File::create(&messages).with_context(|| format!("cannot write {}", messages.display()))?;
        let mut command = Command::new(plan.qemu);
        command.args(arguments(plan, &console, &socket));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut qemu = namespace.spawn(&mut command)?;
        let port = connect(&socket, &mut qemu)
            .with_context(|| format!("{}: {}", plan.name, tail(&messages)))
            .inspect_err(|_| end(&mut qemu))?;
        let name = plan.name.to_owned();
        Ok(Self { name, qemu, port, unread: Vec::new(), console, messages })
    }

    /// Waits until it takes commands.
    pub(super) fn wait_ready(&mut self) -> Result<()> {
        self.until(READY, BOOT).map(drop)
    }

    /// What a command line printed in the guest; an error if it failed.
    pub(super) fn run(&mut self, line: &str, limit: Duration) -> Result<String> {
        ensure!(!line.contains('\n'), "a command of several lines: {line:?}");
        self.port.write_all(format!("{line}\n").as_bytes()).with_context(|| format!("{}: {line}", self.name))?;
        let (text, code) = self.until(END, limit).with_context(|| format!("`{line}`"))?;
        ensure!(code == "0", "{}: `{line}` ended with {code}: {}", self.name, text.trim());
        Ok(text)
    }

    /// What comes before the mark, and the rest of the mark's line.
    fn until(&mut self, mark: &str, limit: Duration) -> Result<(String, String)> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = take_until(&mut self.unread, mark) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{}: no {mark:?} after {limit:?}; {}", self.name, self.last_lines());
            }
            self.port.set_read_timeout(Some(left.min(Duration::from_secs(1))))?;
            let mut bytes = [0; 8192];
            match self.port.read(&mut bytes) {
                Ok(0) => bail!("{}: the machine has ended; {}", self.name, self.last_lines()),
                Ok(n) => self.unread.extend_from_slice(&bytes[..n]),
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(e).with_context(|| format!("serial port of {}", self.name)),
            }
        }
    }

    /// For messages: the ends of what the machine and QEMU have said.
    pub(super) fn last_lines(&self) -> String {
        format!("{}\n{}", tail(&self.console), tail(&self.messages))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        end(&mut self.qemu);
    }
}

fn end(qemu: &mut Child) {
    let _ = qemu.kill();
    let _ = qemu.wait();
}

/// Emulated in software: a paravirtual KVM would not start kernels as distributions ship them.
fn arguments(plan: &Plan, console: &Path, socket: &Path) -> Vec<String> {
    let number = plan.address.octets()[3];
    let kernel_line =
        format!("console=ttyS0 quiet panic=-1 no_timer_check dfaas.name={} dfaas.address={}", plan.name, plan.address);
    let mut arguments: Vec<String> = ["-accel", "tcg,thread=multi", "-cpu", "max"].map(str::to_owned).into();
    arguments.extend(["-nodefaults", "-no-reboot", "-display", "none"].map(str::to_owned));
    arguments.extend([
        "-m".to_owned(),
        MEMORY_MIB.to_string(),
        "-smp".to_owned(),
        plan.nic.queues.to_string(),
        "-serial".to_owned(),
        format!("file:{}", console.display()),
        // It starts when somebody listens.
        "-serial".to_owned(),
        format!("unix:{},server=on,wait=on", socket.display()),
        "-kernel".to_owned(),
        plan.kernel.display().to_string(),
        "-initrd".to_owned(),
        plan.archive.display().to_string(),
        "-append".to_owned(),
        kernel_line,
    ]);
    arguments.extend(plan.nic.arguments(plan.tap, &format!("52:54:00:00:00:{number:02x}")));
    arguments
}

fn connect(socket: &Path, qemu: &mut Child) -> Result<UnixStream> {
    let deadline = Instant::now() + CONNECT;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("QEMU does not listen on {}", socket.display()));
            }
            Err(_) => {}
        }
        if let Some(status) = qemu.try_wait()? {
            bail!("QEMU has ended, {status}");
        }
        thread::sleep(POLL);
    }
}

/// Takes everything up to the line with the mark, if that is complete.
fn take_until(unread: &mut Vec<u8>, mark: &str) -> Option<(String, String)> {
    let at = unread.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    let length = unread[at..].iter().position(|byte| *byte == b'\n')?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
    let found = (text(&unread[..at]), text(&unread[at + mark.len()..at + length]));
    unread.drain(..=at + length);
    Some(found)
}

fn tail(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN_BYTES)..]).into_owned();
    if text.trim().is_empty() {
        return format!("{} is empty", file.display());
    }
    format!("end of {}:\n  {}", file.display(), text.trim().replace('\n', "\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_its_last_line_is_there_and_not_before() {
        let mut unread = b"one\r\ntwo\r\nDFAAS-END 1".to_vec();
        assert_eq!(take_until(&mut unread, END), None);
        unread.extend_from_slice(b"\r\nnext");
        assert_eq!(take_until(&mut unread, END), Some(("one\ntwo\n".to_owned(), "1".to_owned())));
        assert_eq!(unread, b"next");
    }
}
