//! The network interfaces that guests can have.

use std::{fmt, process::Command, str::FromStr};

use anyhow::{Context as _, Result};

/// One of them, as QEMU emulates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nic {
    pub name: &'static str,
    /// QEMU's name of the device, and what is set on it.
    device: &'static str,
    settings: &'static str,
    /// Modules of the guest's kernel.
    pub(super) modules: &'static [&'static str],
    /// Queues, and with them the guest's processors.
    pub(super) queues: u8,
}

const VIRTIO: Nic =
    Nic { name: "virtio", device: "virtio-net-pci", settings: "", modules: &["virtio_pci", "virtio_net"], queues: 1 };

impl Nic {
    pub const ALL: &'static [Self] = &[
        VIRTIO,
        Self { name: "virtio-queues", settings: ",mq=on,vectors=6", queues: 2, ..VIRTIO },
        // Without merged buffers the driver has less room for XDP.
        Self { name: "virtio-unmerged", settings: ",mrg_rxbuf=off", ..VIRTIO },
        Self { name: "e1000e", device: "e1000e", settings: "", modules: &["e1000e"], queues: 1 },
        Self { name: "igb", device: "igb", settings: "", modules: &["igb"], queues: 1 },
        // Its driver has no room for metadata of XDP.
        Self { name: "vmxnet3", device: "vmxnet3", settings: "", modules: &["vmxnet3"], queues: 1 },
    ];

    /// Arguments of QEMU for an interface on this tap.
    pub(super) fn arguments(&self, tap: &str, mac: &str) -> [String; 4] {
        let queues = if self.queues > 1 { format!(",queues={}", self.queues) } else { String::new() };
        [
            "-netdev".to_owned(),
            format!("tap,id=n0,ifname={tap},script=no,downscript=no{queues}"),
            "-device".to_owned(),
            format!("{},netdev=n0,mac={mac}{}", self.device, self.settings),
        ]
    }

    fn is_in(&self, devices: &str) -> bool {
        devices.contains(&format!("name \"{}\"", self.device))
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Nic {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.iter().map(|nic| nic.name).collect();
        let found = Self::ALL.iter().find(|nic| nic.name == name).copied();
        found.ok_or_else(|| format!("unknown interface {name:?}: expected one of {}", names.join(", ")))
    }
}

/// Those of the interfaces that this QEMU has, and those it lacks.
pub(super) fn known_to(qemu: &str) -> Result<(Vec<Nic>, Vec<Nic>)> {
    let mut command = Command::new(qemu);
    let output = command
        .args(["-device", "help"])
        .output()
        .with_context(|| format!("cannot run {qemu}: `cargo xtask setup` installs it (Debian: qemu-system-x86)"))?;
    let devices = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Nic::ALL.iter().copied().partition(|nic| nic.is_in(&devices)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_its_name_and_an_unknown_one_told_with_those_there_are() {
        assert_eq!("vmxnet3".parse::<Nic>().unwrap().modules, ["vmxnet3"]);
        let error = "vmxnet2".parse::<Nic>().unwrap_err();
        assert!(error.contains("vmxnet2") && error.contains("virtio-unmerged"), "{error}");
    }

    #[test]
    fn a_device_is_looked_for_by_its_whole_name() {
        let devices = "name \"e1000\", bus PCI\nname \"virtio-net-pci-transitional\", bus PCI\n";
        assert!(Nic::ALL.iter().all(|nic| !nic.is_in(devices)));
        assert!(VIRTIO.is_in("name \"virtio-net-pci\", bus PCI, alias \"virtio-net\"\n"));
    }

    #[test]
    fn several_queues_are_asked_for_on_both_sides() {
        let arguments = "virtio-queues".parse::<Nic>().unwrap().arguments("t1", "m").join(" ");
        assert!(arguments.contains("queues=2") && arguments.contains("mq=on"), "{arguments}");
        assert!(!VIRTIO.arguments("t1", "m").join(" ").contains("queues"));
    }
}
