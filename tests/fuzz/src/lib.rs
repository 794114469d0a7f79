//! All targets. Those whose readers are the agent's own business are listed there, with what must hold of them.

mod load;
mod wire;

use dfaas_base::Reader;

/// The name of each is that of its folder in `corpus` too.
pub fn targets() -> impl Iterator<Item = Reader> {
    dfaas_agent::untrusted::readers().chain(load::TARGETS.iter().chain(wire::TARGETS).copied())
}

#[cfg(test)]
mod tests;
