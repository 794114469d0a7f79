//! The programs loaded in a network namespace, their maps, and the sockets that rows need.

use std::{
    net::{SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::{
    Ebpf, TestRun as _, TestRunOptions,
    maps::{Array, Map, MapData},
    programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, tc::TcAttachOptions, xdp::XdpMode},
};
use dfaas_agent::kernel::{
    load::{self, KernelSettings},
    mode::Mode,
    object,
    pins::{Pins, pinned_map},
    tables::{Events, Tables},
};
use dfaas_common::{
    flow::{Flow, FlowKey},
    maps,
    settings::HintWay,
    verdict::MAX_VERDICTS,
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket,
    sockopt::{Linger, ReuseAddr},
};

use super::world::{self, Where};

/// Bytes of 0xFF in front of a frame: given as metadata, which moves with the frame's head and leaves its bytes behind.
pub(crate) const POISON: usize = 96;
/// So many leave no room for metadata of the program, 40 bytes of the 256 being the kernel's (`struct xdp_frame`).
pub(crate) const CROWD: usize = 212;
/// Index of `lo`.
pub(crate) const LO: u32 = 1;

/// What a program made of a frame.
pub(crate) struct Ran {
    pub(crate) action: i32,
    pub(crate) frame: Vec<u8>,
    /// What lies in front of the frame.
    pub(crate) meta: Vec<u8>,
}

/// Which program, and how.
#[derive(Clone, Copy)]
pub(crate) enum Through {
    Xdp,
    Observe,
    /// With this mark on the packet.
    TcIn(u32),
    TcOut,
}

pub(crate) struct Bench {
    pub(crate) ebpf: Ebpf,
    pub(crate) tables: Tables,
    gates: Array<MapData, u64>,
    pub(crate) events: Events,
    placed: Option<TcpListener>,
    handoff: Option<TcpListener>,
    /// Sockets that a row needs while it runs.
    pub(crate) kept: Vec<TcpStream>,
    /// HAProxy's own listener.
    service: Option<TcpListener>,
    _pins: Removed,
}

/// Pins that go when the test ends, however it ends.
struct Removed(Pins);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(e) = self.0.remove_all() {
            eprintln!("cannot remove the pins: {e:#}");
        }
    }
}

/// Runs on a thread of its own in a new network namespace, which ends with it.
pub(crate) fn in_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace (as root)");
            ip("link set lo up");
            for address in [world::SERVICE, world::CLIENT].map(|a| *a.ip()).into_iter().chain([world::ALIAS_B]) {
                ip(&format!("address add {address}/32 dev lo"));
            }
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("the ip command");
    assert!(status.success(), "ip {arguments}: {status}");
}

impl Bench {
    /// In the namespace of this thread.
    pub(crate) fn new(hint_way: HintWay) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pins = Pins::new(format!("/sys/fs/bpf/dfaas-test-{}-packets-{number}", std::process::id()));
        let removed = Removed(pins.clone());
        let settings = KernelSettings {
            interface: "lo".into(),
            service: world::SERVICE,
            tunnel: world::TUNNEL,
            placed: world::PLACED,
            handoff: world::HANDOFF,
            aliases: world::ALIASES,
            hint_way,
            pins: pins.clone(),
        };
        let image = object::embedded().expect("the kernel programs, built before this test");
        let mut ebpf = load::load(image, &settings, Mode::Handoff).unwrap_or_else(|e| panic!("{e:#}"));
        load::load_program(&mut ebpf, "dfaas_observe").unwrap_or_else(|e| panic!("{e:#}"));
        let gates = pinned_map(&pins, maps::GATES).unwrap().expect("a pin");
        Self {
            ebpf,
            tables: Tables::open(&pins).unwrap().expect("pins"),
            gates: Map::from_map_data(gates).unwrap().try_into().unwrap(),
            events: Events::open(&pins).unwrap(),
            placed: None,
            handoff: None,
            kept: Vec::new(),
            service: None,
            _pins: removed,
        }
    }

    /// Back to the world that every row starts from.
    pub(crate) fn reset(&mut self) {
        self.kept.clear();
        self.tables.clear_flows().unwrap();
        world::fill(&mut self.tables);
        self.forget_events();
        self.service.get_or_insert_with(|| listen(world::SERVICE));
        self.placed.get_or_insert_with(|| listen(world::PLACED));
        self.handoff.get_or_insert_with(|| listen(world::HANDOFF));
    }

    fn forget_events(&mut self) {
        for verdict in 0..MAX_VERDICTS as u32 {
            self.set_gate(verdict, 0);
        }
        while self.events.take().is_some() {}
    }

    /// When this verdict was last reported (monotonic clock).
    pub(crate) fn set_gate(&mut self, verdict: u32, time_ns: u64) {
        self.gates.set(verdict, time_ns, 0).unwrap();
    }

    pub(crate) fn stop_service(&mut self) {
        close(&mut self.service);
    }

    pub(crate) fn stop_placed(&mut self) {
        close(&mut self.placed);
    }

    pub(crate) fn stop_handoff(&mut self) {
        close(&mut self.handoff);
    }

    pub(crate) fn service(&self) -> &TcpListener {
        self.service.as_ref().expect("a listener")
    }

    pub(crate) fn placed(&self) -> &TcpListener {
        self.placed.as_ref().unwrap()
    }

    pub(crate) fn handoff(&self) -> &TcpListener {
        self.handoff.as_ref().unwrap()
    }

    /// A real connection of this tuple; the accepted end.
    pub(crate) fn connect(&mut self, from: SocketAddrV4, to: SocketAddrV4) {
        let standing = self.service.as_ref().filter(|_| to == world::SERVICE);
        let listener = standing.map_or_else(|| listen(to), |listener| listener.try_clone().unwrap());
        let client = client_socket(from);
        connect(client.as_raw_fd(), &SockaddrIn::from(to)).unwrap();
        let (server, _) = listener.accept().unwrap();
        let client = TcpStream::from(client);
        for end in [&server, &client] {
            // Closed by a reset: no TIME_WAIT is left for the next row.
            setsockopt(end, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        }
        self.kept.extend([server, client]);
    }

    /// Everything in the flow tables.
    pub(crate) fn flows(&self) -> Vec<(Where, FlowKey, Flow)> {
        let forwarded = self.tables.forwarded().map(|(key, flow)| (Where::Forwarded, key, flow));
        let mut all: Vec<_> =
            forwarded.chain(self.tables.decided().map(|(key, flow)| (Where::Decided, key, flow))).collect();
        all.sort_by_key(|(place, key, _)| (*place, key.address, key.port.get()));
        all
    }

    /// A frame that only prepares a row: what it reports is forgotten.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Ran {
        let ran = self.run(Through::Xdp, frame, 0);
        self.forget_events();
        ran
    }

    pub(crate) fn run(&mut self, through: Through, frame: &[u8], poison: usize) -> Ran {
        match through {
            Through::Xdp => self.xdp("dfaas_xdp", frame, poison),
            Through::Observe => self.xdp("dfaas_observe", frame, poison),
            Through::TcIn(mark) => self.tc("dfaas_tc_in", frame, mark),
            Through::TcOut => self.tc("dfaas_tc_out", frame, 0),
        }
    }

    fn xdp(&mut self, name: &str, frame: &[u8], poison: usize) -> Ran {
        let program: &mut Xdp = self.ebpf.program_mut(name).unwrap().try_into().unwrap();
        let data = [vec![0xff; poison], frame.to_vec()].concat();
        // struct xdp_md: data (behind the metadata), data_end, data_meta, ingress_ifindex, rx_queue_index.
        let context = words(&[poison as u32, data.len() as u32, 0, LO, 0, 0]);
        let (mut out, mut context_out) = (vec![0; 4096], [0; 24]);
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(&data),
                data_out: Some(&mut out),
                ctx_in: Some(&context),
                ctx_out: Some(&mut context_out),
                ..Default::default()
            })
            .unwrap_or_else(|e| panic!("{name} does not run: {e:?}"));
        out.truncate(result.data_size_out as usize);
        let meta_len = u32::from_ne_bytes([context_out[0], context_out[1], context_out[2], context_out[3]]) as usize;
        let frame = out.split_off(meta_len);
        Ran { action: result.return_value.cast_signed(), frame, meta: out }
    }

    pub(crate) fn attach(&mut self, interface: &str) {
        for (name, direction) in [("dfaas_tc_in", TcAttachType::Ingress), ("dfaas_tc_out", TcAttachType::Egress)] {
            let program: &mut SchedClassifier = self.ebpf.program_mut(name).unwrap().try_into().unwrap();
            let options = TcAttachOptions::TcxOrder(LinkOrder::default());
            program.attach_with_options(interface, direction, options).unwrap();
        }
        let program: &mut Xdp = self.ebpf.program_mut("dfaas_xdp").unwrap().try_into().unwrap();
        program.attach(interface, XdpMode::Driver).unwrap();
    }

    fn tc(&mut self, name: &str, frame: &[u8], mark: u32) -> Ran {
        let program: &mut SchedClassifier = self.ebpf.program_mut(name).unwrap().try_into().unwrap();
        // struct __sk_buff, in words: 2 is mark.
        let mut context = [0u32; 48];
        context[2] = mark;
        let mut out = vec![0; 4096];
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ctx_in: Some(&words(&context)),
                ..Default::default()
            })
            .unwrap_or_else(|e| panic!("{name} does not run: {e:?}"));
        out.truncate(result.data_size_out as usize);
        Ran { action: result.return_value.cast_signed(), frame: out, meta: Vec::new() }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

fn client_socket(from: SocketAddrV4) -> OwnedFd {
    let client = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&client, ReuseAddr, &true).unwrap();
    bind(client.as_raw_fd(), &SockaddrIn::from(from)).unwrap();
    client
}

/// A listener that was closed a moment ago lives on while another thread starts a process: the child holds a copy of it
/// until it has become the other program.
fn listen(address: std::net::SocketAddrV4) -> TcpListener {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        match TcpListener::bind(address) {
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && std::time::Instant::now() < deadline => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            result => return result.unwrap_or_else(|e| panic!("cannot listen on {address}: {e}")),
        }
    }
}

/// Ends a listener at once, also for a child that holds a copy (see [`listen`]).
fn close(listener: &mut Option<TcpListener>) {
    if let Some(listener) = listener.take() {
        nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).unwrap();
    }
}
