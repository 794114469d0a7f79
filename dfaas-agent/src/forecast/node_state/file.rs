//! Small files of the kernel, with errors that name them.

use std::{fs, path::Path};

/// The file's text without the white space at its ends.
pub(super) fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|e| format!("{}: {e}", path.display()))
}

/// A file that holds one number.
pub(super) fn number(path: &Path) -> Result<u64, String> {
    let text = text(path)?;
    text.parse().map_err(|_| format!("{}: {:?}, expected a number", path.display(), shortened(&text)))
}

/// The number behind `name` in a file of lines `name number` or `name: number kB`.
pub(super) fn field(path: &Path, name: &str) -> Result<u64, String> {
    let text = text(path)?;
    let value = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()?.trim_end_matches(':') == name).then(|| words.next()?.parse().ok()).flatten()
    });
    value.ok_or_else(|| format!("{}: no number {name}", path.display()))
}

/// Bytes that are not available to new programs.
pub(super) fn memory_used(proc: &Path) -> Result<f64, String> {
    let path = proc.join("meminfo");
    let (total, available) = (field(&path, "MemTotal")?, field(&path, "MemAvailable")?);
    Ok(total.saturating_sub(available) as f64 * 1024.0)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
