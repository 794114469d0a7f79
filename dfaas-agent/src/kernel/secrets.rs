//! Keys: of the SYN cookie, and of the tunnel with each peer.

use anyhow::Result;
use dfaas_common::{cookie::Secret, peer::Seal, settings::Control, siphash::Key};
use rand::{RngCore as _, TryRngCore as _, rngs::OsRng};

/// Epochs that a cookie key is used for: seven of 550 s are about an hour.
const COOKIE_KEY_EPOCHS: u32 = 7;

fn draw_u64() -> u64 {
    OsRng.unwrap_err().next_u64()
}

pub(crate) fn draw_key() -> Key {
    Key(draw_u64(), draw_u64())
}

/// A seal for a new epoch. Epochs are 16 bits on the wire and never 0.
pub(crate) fn draw_seal(previous: u32) -> Seal {
    let epoch = previous % 0xffff + 1;
    Seal { key: draw_key(), token: draw_u64(), epoch, reserved: 0 }
}

/// Draws the secrets of `control` if it has none, and a new cookie key when it is time; `write` gives it to the programs.
/// Cookies that are out stay valid: no single write is seen to change the key of an epoch that still counts.
pub(super) fn rotate_cookie_key(
    control: &mut Control,
    epoch: u32,
    mut write: impl FnMut(&Control) -> Result<()>,
) -> Result<()> {
    if control.secret.next == Key::default() {
        control.seed = draw_u64();
        control.secret =
            Secret { current: draw_key(), next: draw_key(), switch_epoch: epoch + COOKIE_KEY_EPOCHS, reserved: 0 };
        return write(control);
    }
    // `next` serves the current epoch and the previous one: `current` is not looked at.
    if epoch.wrapping_sub(control.secret.switch_epoch).cast_signed() < 1 {
        return Ok(());
    }
    control.secret.current = control.secret.next;
    write(control)?;
    // From here on `current`, which is the same key, serves them.
    control.secret.switch_epoch = epoch + COOKIE_KEY_EPOCHS;
    write(control)?;
    control.secret.next = draw_key();
    write(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_go_round_without_zero() {
        assert_eq!(draw_seal(0).epoch, 1);
        assert_eq!(draw_seal(7).epoch, 8);
        assert_eq!(draw_seal(0xffff).epoch, 1);
        assert_ne!(draw_seal(1), draw_seal(1));
    }
}
