//! Which files a function may use: Landlock, from Linux 5.13 on.

use std::io;

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

use crate::order::Order;

/// The newest that this is written for; an older kernel does what it can.
const KNOWN: ABI = ABI::V6;

pub(crate) fn confine(order: &Order) -> io::Result<()> {
    if order.readable.is_empty() {
        return Ok(());
    }
    let write = AccessFs::from_all(KNOWN) & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar);
    let status = enforce(order, AccessFs::from_read(KNOWN), write).map_err(io::Error::other)?;
    if status == RulesetStatus::NotEnforced {
        return Err(io::Error::other("the kernel does not have it"));
    }
    Ok(())
}

fn enforce(
    order: &Order,
    read: BitFlags<AccessFs>,
    write: BitFlags<AccessFs>,
) -> Result<RulesetStatus, landlock::RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::Signal | Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(path_beneath_rules(&order.readable, read))?
        .add_rules(path_beneath_rules(&order.writable, write | AccessFs::from_read(KNOWN)))?
        .restrict_self()?;
    Ok(status.ruleset)
}
