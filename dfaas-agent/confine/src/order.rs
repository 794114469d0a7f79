//! What a process is to give up, and what it is to become: a length, then entries of one letter and a text, each ended by a
//! zero byte. Neither paths nor variables can hold one.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// No order is longer: a deployment is at most 1 MiB, the variables of a request at most 64 KiB.
pub const MAX_BYTES: u32 = 4 << 20;

/// What is `None`, empty or false is left as it is.
#[allow(clippy::struct_excessive_bools, reason = "each is a step of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Say which steps fail, and end.
    pub probe: bool,
    /// Become a server of the node's: it keeps the right to bind low ports, has no limits, and stays when the agent ends.
    pub server: bool,
    /// Process id of who ordered: the process ends with it.
    pub parent: u32,
    /// Folder of a control group to be in.
    pub group: Option<PathBuf>,
    /// User and group to become.
    pub user: Option<(u32, u32)>,
    /// Take away for good what any program could get back by its file's capabilities or set-user-id bit.
    pub bounding: bool,
    /// Most memory of its own (`RLIMIT_DATA`).
    pub data_bytes: Option<u64>,
    /// Most processes of the user (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Refuse system calls that no function needs.
    pub calls: bool,
    /// Refuse all files but those below these folders, and signals to processes outside.
    pub readable: Vec<PathBuf>,
    pub writable: Vec<PathBuf>,
    pub work_dir: PathBuf,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// `NAME=value`.
    pub environment: Vec<OsString>,
}

impl Order {
    /// In front of the input of the process.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        let mut put = |letter: u8, text: &OsStr| {
            bytes.push(letter);
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        };
        let mut number = |letter, number: Option<u64>| {
            if let Some(number) = number {
                put(letter, OsStr::new(&number.to_string()));
            }
        };
        number(b'?', self.probe.then_some(1));
        number(b'k', self.server.then_some(1));
        number(b'p', Some(u64::from(self.parent)));
        number(b'u', self.user.map(|user| u64::from(user.0)));
        number(b'g', self.user.map(|user| u64::from(user.1)));
        number(b'b', self.bounding.then_some(1));
        number(b'm', self.data_bytes);
        number(b'n', self.processes);
        number(b's', self.calls.then_some(1));
        if let Some(path) = &self.group {
            put(b'c', path.as_os_str());
        }
        for (letter, folders) in [(b'r', &self.readable), (b'w', &self.writable)] {
            for folder in folders {
                put(letter, folder.as_os_str());
            }
        }
        put(b'd', self.work_dir.as_os_str());
        put(b'x', self.program.as_os_str());
        for (letter, texts) in [(b'a', &self.arguments), (b'e', &self.environment)] {
            for text in texts {
                put(letter, text);
            }
        }
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// The entries behind the length; `None` if one of them is not understood.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut order = Self::default();
        let mut group_id = None;
        for entry in bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0) {
            let (letter, text) = entry.split_first()?;
            let text = OsString::from_vec(text.to_vec());
            let number = || text.to_str()?.parse::<u64>().ok();
            let id = || u32::try_from(number()?).ok();
            match letter {
                b'?' => order.probe = true,
                b'k' => order.server = true,
                b'p' => order.parent = id()?,
                b'u' => order.user = Some((id()?, 0)),
                b'g' => group_id = Some(id()?),
                b'b' => order.bounding = true,
                b'm' => order.data_bytes = Some(number()?),
                b'n' => order.processes = Some(number()?),
                b's' => order.calls = true,
                b'c' => order.group = Some(text.into()),
                b'r' => order.readable.push(text.into()),
                b'w' => order.writable.push(text.into()),
                b'd' => order.work_dir = text.into(),
                b'x' => order.program = text.into(),
                b'a' => order.arguments.push(text),
                b'e' => order.environment.push(text),
                _ => return None,
            }
        }
        order.user = match (order.user, group_id) {
            (Some((user, _)), Some(group)) => Some((user, group)),
            (None, None) => None,
            _ => return None,
        };
        (order.program != Path::new("")).then_some(order)
    }
}

/// `NAME=value` as one text.
pub fn variable(name: &str, value: &OsStr) -> OsString {
    let mut text = OsString::from(name);
    text.push("=");
    text.push(value);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Order {
        Order {
            probe: true,
            server: true,
            parent: 7,
            group: Some("/sys/fs/cgroup/x".into()),
            user: Some((0x7dfa_0001, 65_534)),
            bounding: true,
            data_bytes: Some(1 << 40),
            processes: Some(9),
            calls: true,
            readable: vec!["/usr".into(), "/a b".into()],
            writable: vec!["/tmp".into()],
            work_dir: "/".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "".into(), OsString::from_vec(vec![b'x', 0xff, b'\n'])],
            environment: vec![variable("A", OsStr::new("b=c")), variable("E", OsStr::new(""))],
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        for order in [full(), Order { program: "/bin/true".into(), ..Order::default() }] {
            let bytes = order.encode();
            assert_eq!(bytes[..4], ((bytes.len() - 4) as u32).to_le_bytes());
            assert_eq!(Order::decode(&bytes[4..]), Some(order));
        }
    }

    #[test]
    fn a_piece_of_an_order_is_none() {
        let bytes = full().encode();
        for (entries, why) in [
            (&bytes[4..bytes.len() - 1], "cut off"),
            (b"x/bin/sh\0zunknown\0", "a letter nobody knows"),
            (b"x/bin/sh\0u12\0", "a user without a group"),
            (b"x/bin/sh\0n-1\0", "no number"),
            (b"d/\0", "no program"),
            (b"", "nothing"),
        ] {
            assert_eq!(Order::decode(entries), None, "{why}");
        }
    }
}
