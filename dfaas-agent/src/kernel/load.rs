//! Loads the programs, attaches them, takes over from an agent that has gone.

use std::{io, net::SocketAddrV4, time::Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData},
    programs::{
        LinkOrder, Program, ProgramError, SchedClassifier, TcAttachType, Xdp,
        links::{FdLink, LinkError, PinnedLink},
        tc::TcAttachOptions,
        xdp::XdpMode,
    },
    sys::SyscallError,
};
use dfaas_common::{
    address::AddressV4,
    cookie, maps,
    settings::{Control, HintWay, Settings},
};

use super::{
    btf::KernelBtf,
    mode::{Mode, XdpPlace},
    object,
    pins::{self, Pins, pinned_map},
    tables,
};

/// What the programs need to know of this node.
#[derive(Clone, Debug)]
pub struct KernelSettings {
    pub interface: String,
    /// What clients call.
    pub service: SocketAddrV4,
    /// This node's end of the tunnel.
    pub tunnel: std::net::Ipv4Addr,
    /// HAProxy's listener for connections placed here.
    pub placed: SocketAddrV4,
    /// HAProxy's listener for connections handed off by peers.
    pub handoff: SocketAddrV4,
    /// Range of the aliases: network and prefix length.
    pub aliases: (std::net::Ipv4Addr, u8),
    pub hint_way: HintWay,
    pub pins: Pins,
}

impl KernelSettings {
    fn settings(&self, btf: &KernelBtf) -> Result<Settings> {
        let (network, prefix) = self.aliases;
        let mask = AddressV4::from_raw(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0).to_be());
        // Placing is off where the kernel has no such structure, so any offset will do.
        let offset = |path| btf.offset("tcp_timewait_sock", path);
        Ok(Settings {
            service_address: (*self.service.ip()).into(),
            service_port: self.service.port().to_be(),
            mss: cookie::MAX_MSS,
            tunnel_address: self.tunnel.into(),
            placed_address: (*self.placed.ip()).into(),
            placed_port: self.placed.port().to_be(),
            handoff_port: self.handoff.port().to_be(),
            handoff_address: (*self.handoff.ip()).into(),
            alias_network: AddressV4::from(network).masked(mask),
            alias_mask: mask,
            time_wait_rcv_nxt: offset("tw_sk.__tw_common.skc_tw_rcv_nxt")?,
            time_wait_ts_recent: offset("tw_ts_recent")?,
            time_wait_ts_offset: offset("tw_ts_offset")?,
            hint_way: self.hint_way as u32,
        })
    }
}

/// Loads maps and programs without attaching anything. Maps are pinned, or taken from their pins.
pub fn load(image: &[u8], settings: &KernelSettings, mode: Mode) -> Result<Ebpf> {
    let started = Instant::now();
    let btf = KernelBtf::running()?;
    let image = object::fitted(image, &btf)?;
    let globals = settings.settings(&btf)?;
    settings.pins.prepare()?;
    drop_misfits(&settings.pins)?;
    let mut loader = EbpfLoader::new();
    loader.override_global("SETTINGS", &globals, true);
    for name in maps::ALL {
        loader.map_pin_path(name, settings.pins.path(name));
    }
    let mut ebpf = loader.load(&image).context("cannot load the maps")?;
    let programs: &[&str] = match mode {
        Mode::Handoff => &["dfaas_xdp", "dfaas_tc_in", "dfaas_tc_out"],
        Mode::Observe => &["dfaas_observe"],
        Mode::Off => &[],
    };
    for name in programs {
        load_program(&mut ebpf, name)?;
    }
    tracing::debug!("kernel programs loaded in {:?}", started.elapsed());
    Ok(ebpf)
}

/// Verifies one program; the verifier's last words are in the error.
pub fn load_program(ebpf: &mut Ebpf, name: &str) -> Result<()> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name} in the image"))?;
    let result = match program {
        Program::Xdp(p) => p.load(),
        Program::SchedClassifier(p) => p.load(),
        _ => bail!("program {name} is of an unexpected kind"),
    };
    match result {
        Err(ProgramError::LoadError { io_error, verifier_log }) => {
            let log = verifier_log.to_string();
            let start = log.len().saturating_sub(2000);
            let tail = log.get(start..).unwrap_or(&log);
            Err(anyhow!("the kernel refuses {name}: {io_error}\n{tail}"))
        }
        other => other.with_context(|| format!("cannot load {name}")),
    }
}

/// Attaches what [`load`] has loaded for the mode; the driver first, unless a place is asked for.
pub fn attach(
    ebpf: &mut Ebpf,
    settings: &KernelSettings,
    mode: Mode,
    want: Option<XdpPlace>,
) -> Result<Option<XdpPlace>> {
    Ok(match mode {
        Mode::Off => None,
        Mode::Observe => Some(attach_xdp(ebpf, "dfaas_observe", settings, want)?),
        Mode::Handoff => {
            // TC first: connections that XDP decides need it.
            attach_tc(ebpf, "dfaas_tc_in", TcAttachType::Ingress, pins::TC_IN, settings)?;
            attach_tc(ebpf, "dfaas_tc_out", TcAttachType::Egress, pins::TC_OUT, settings)?;
            Some(attach_xdp(ebpf, "dfaas_xdp", settings, want)?)
        }
    })
}

/// Lets go of what a former version has pinned if its layout is another: its connections end, which is said, but no
/// program ever misreads a map.
fn drop_misfits(pins: &Pins) -> Result<()> {
    let Some(misfit) = misfit(pins)? else { return Ok(()) };
    tracing::warn!("the former agent's maps do not fit ({misfit}): they are made anew, forwarded connections end");
    for name in pins::LINKS.iter().chain(&maps::ALL) {
        pins.remove(name)?;
    }
    Ok(())
}

/// What does not fit, if anything.
fn misfit(pins: &Pins) -> Result<Option<String>> {
    for (name, key, value) in tables::SIZES {
        let Some(map) = pinned_map(pins, name)? else { continue };
        let info = map.info()?;
        let (found_key, found_value) = (info.key_size(), info.value_size());
        if (found_key as usize, found_value as usize) != (key, value) {
            return Ok(Some(format!("{name}: {found_key} and {found_value} bytes instead of {key} and {value}")));
        }
    }
    let Some(map) = pinned_map(pins, maps::CONTROL)? else { return Ok(None) };
    let control: Array<MapData, Control> = Map::from_map_data(map)?.try_into()?;
    let layout = control.get(&0, 0)?.layout;
    let other = layout != 0 && layout != maps::LAYOUT_VERSION;
    Ok(other.then(|| format!("layout {layout} instead of {}", maps::LAYOUT_VERSION)))
}

fn attach_xdp(ebpf: &mut Ebpf, program: &str, settings: &KernelSettings, want: Option<XdpPlace>) -> Result<XdpPlace> {
    let places =
        [(XdpPlace::Native, XdpMode::Driver, pins::XDP_NATIVE), (XdpPlace::Generic, XdpMode::Skb, pins::XDP_GENERIC)];
    let program: &mut Xdp = ebpf.program_mut(program).context("no XDP program in the image")?.try_into()?;
    // A link that is there is kept, with its place, unless another place is asked for.
    for (place, _, pin) in places {
        let Some(link) = pinned_link(&settings.pins, pin)? else { continue };
        if want.is_none_or(|w| w == place) && program.attach_to_link(link.try_into()?).is_ok() {
            return Ok(place);
        }
        // Of another place, or its interface is gone.
        settings.pins.remove(pin)?;
    }
    let mut refusals = Vec::new();
    for (place, mode, pin) in places {
        if want.is_some_and(|w| w != place) {
            continue;
        }
        let attached = program.attach(&settings.interface, mode).map_err(anyhow::Error::from).and_then(|id| {
            // Without a link of its own (an old kernel) the attachment would end with the agent.
            let link: FdLink = program.take_link(id)?.try_into()?;
            link.pin(settings.pins.path(pin))?;
            Ok(())
        });
        match attached {
            Ok(()) => return Ok(place),
            Err(e) => refusals.push(format!("{place}: {e:#}")),
        }
    }
    bail!("cannot attach XDP to {}: {}", settings.interface, refusals.join("; "))
}

fn attach_tc(ebpf: &mut Ebpf, name: &str, direction: TcAttachType, pin: &str, settings: &KernelSettings) -> Result<()> {
    let program: &mut SchedClassifier = ebpf.program_mut(name).context("no TC program in the image")?.try_into()?;
    if let Some(link) = pinned_link(&settings.pins, pin)? {
        if program.attach_to_link(link.try_into()?).is_ok() {
            return Ok(());
        }
        settings.pins.remove(pin)?;
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program
        .attach_with_options(&settings.interface, direction, options)
        .with_context(|| format!("cannot attach {name} to {}", settings.interface))?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(settings.pins.path(pin))?;
    Ok(())
}

fn pinned_link(pins: &Pins, name: &str) -> Result<Option<FdLink>> {
    match PinnedLink::from_pin(pins.path(name)) {
        Ok(link) => Ok(Some(link.into())),
        Err(LinkError::SyscallError(SyscallError { io_error, .. })) if io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(e) => Err(e).with_context(|| format!("cannot open {}", pins.path(name).display())),
    }
}
