//! The password of the administrative calls where the operator gives none: made at the first start, and read at every use.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::{TryRngCore, rngs::OsRng};

use crate::platform::{Credentials, Password};

/// In the state folder.
const FILE: &str = "gateway-password";
/// As OpenFaaS and faasd call theirs.
const USER: &str = "admin";
const BYTES: usize = 24;

/// Who may make the calls.
pub(super) fn made(state_dir: &Path) -> Credentials {
    Credentials { user: USER.to_owned(), password: Password::File(state_dir.join(FILE)) }
}

/// Makes the file (mode 0600) if it is not there yet.
pub(super) fn make_sure(state_dir: &Path) -> Result<()> {
    let path = state_dir.join(FILE);
    let context = || format!("password file {}", path.display());
    match fs::metadata(&path) {
        Ok(data) => {
            let mode = data.permissions().mode() & 0o777;
            ensure!(mode.trailing_zeros() >= 6, "{}: others can use it, mode {mode:o}, expected 600", context());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(&path).with_context(context)?;
            tracing::info!("the password of user {USER} for the calls below /system is in {}", path.display());
        }
        Err(error) => return Err(error).with_context(context),
    }
    Ok(())
}

fn make(path: &Path) -> Result<()> {
    let mut bytes = [0; BYTES];
    OsRng.try_fill_bytes(&mut bytes).context("cannot draw a password")?;
    // Mode 0600 from the start; whole or absent.
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    writeln!(file, "{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(folder: &Path) -> String {
        make_sure(folder).unwrap();
        fs::read_to_string(folder.join(FILE)).unwrap()
    }

    #[test]
    fn a_password_is_made_once_and_for_the_owner_alone() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let made = password(folder.path());
        assert_eq!(made.trim_end().len(), 32);
        assert_eq!(password(folder.path()), made);
        assert_ne!(password(other.path()), made);
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = make_sure(folder.path()).unwrap_err().to_string();
        assert!(error.contains("644") && error.contains(FILE), "{error}");
    }
}
