//! An archive that the kernel unpacks as its first file system: cpio in the form "newc"
//! (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;

const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;
const END: &str = "TRAILER!!!";

/// Every entry belongs to root.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    /// Directories that are in it: the kernel makes none by itself.
    directories: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// A directory and all above it.
    pub(super) fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.directories.contains(path) {
            return;
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above);
        }
        self.directories.insert(path.to_owned());
        self.entry(path, TYPE_DIRECTORY | 0o755, &[]);
    }

    /// `mode` are the permissions, such as 0o755.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.above(path);
        self.entry(path.trim_start_matches('/'), TYPE_FILE | mode, content);
    }

    /// A symbolic link to `target`.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.above(path);
        self.entry(path.trim_start_matches('/'), TYPE_LINK | 0o777, target.as_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(END, 0, &[]);
        self.bytes
    }

    fn above(&mut self, path: &str) {
        if let Some((above, _)) = path.trim_start_matches('/').rsplit_once('/') {
            self.directory(above);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let (nlink, size, name_size) = (1, content.len() as u32, name.len() as u32 + 1);
        // inode, mode, uid, gid, nlink, mtime, size, four device numbers, size of the name, check sum
        let fields = [self.entries, mode, 0, 0, nlink, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, modes and contents, read by the layout of the specification.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let (mut entries, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701", "at {at}");
            let field = |n: usize| {
                let digits = std::str::from_utf8(&bytes[at + 6 + 8 * n..][..8]).unwrap();
                u32::from_str_radix(digits, 16).unwrap() as usize
            };
            let (mode, size, name_size) = (field(1), field(6), field(11));
            let content = (at + 110 + name_size).next_multiple_of(4);
            assert_eq!(bytes[at + 110 + name_size - 1], 0, "the name ends with a zero");
            let name = String::from_utf8(bytes[at + 110..at + 110 + name_size - 1].to_vec()).unwrap();
            entries.push((name, mode as u32, bytes[content..content + size].to_vec()));
            at = (content + size).next_multiple_of(4);
        }
        entries
    }

    #[test]
    fn what_was_put_in_comes_out_with_the_directories_above_it_once() {
        let mut archive = Archive::default();
        archive.file("/usr/bin/one", 0o755, b"12345");
        archive.file("usr/bin/two", 0o644, b"");
        archive.link("/bin", "usr/bin");
        let entry = |name: &str, mode: u32, content: &[u8]| (name.to_owned(), mode, content.to_vec());
        assert_eq!(
            read(&archive.finish()),
            [
                entry("usr", 0o040_755, b""),
                entry("usr/bin", 0o040_755, b""),
                entry("usr/bin/one", 0o100_755, b"12345"),
                entry("usr/bin/two", 0o100_644, b""),
                entry("bin", 0o120_777, b"usr/bin"),
                entry(END, 0, b""),
            ]
        );
    }

    #[test]
    fn everything_begins_at_a_multiple_of_four_whatever_the_lengths() {
        for length in 0..9 {
            let mut archive = Archive::default();
            archive.file(&"n".repeat(length + 1), 0o600, &vec![7; length]);
            let bytes = archive.finish();
            assert_eq!((bytes.len() % 4, read(&bytes)[0].2.len()), (0, length));
        }
    }
}
