//! A bad link: two threads carry the frames between two interfaces, and lose, repeat, delay and overtake some.
//!
//! It stands in for the kernel's `netem`, which is a module that many kernels come without.

use std::{
    collections::VecDeque,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send, setsockopt, socket,
        sockopt::RcvBufForce,
    },
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// For frames that came in faster than they went out.
const BUFFER_BYTES: usize = 16 << 20;
/// Frames under way; more are lost.
const MAX_DELAYED: usize = 8192;
const MAX_FRAME_BYTES: usize = 66_000;
const IDLE: Duration = Duration::from_millis(50);
/// `PACKET_OUTGOING`: a frame that somebody on this host sends.
const OUTGOING: u8 = 4;

/// What a link does to the frames of each direction. Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    pub lost: f64,
    pub repeated: f64,
    pub delay: Duration,
    /// Of the frames that would be delayed: those that are not.
    pub overtaking: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    copies: usize,
    delayed: bool,
}

impl Impairment {
    fn fate(&self, random: &mut StdRng) -> Fate {
        if random.random_bool(self.lost) {
            return Fate { copies: 0, delayed: false };
        }
        let copies = if random.random_bool(self.repeated) { 2 } else { 1 };
        Fate { copies, delayed: !self.delay.is_zero() && !random.random_bool(self.overtaking) }
    }
}

/// Frames of both directions.
#[derive(Debug, Default)]
struct Counts {
    seen: AtomicU64,
    lost: AtomicU64,
}

/// Carries frames until it is dropped.
pub struct Link {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    impairment: Arc<Mutex<Impairment>>,
    threads: Vec<JoinHandle<()>>,
}

impl Link {
    /// Between two interfaces of the namespace that the calling thread is in.
    pub fn between(a: &str, b: &str, impairment: Impairment, seed: u64) -> Result<Self> {
        let [a, b] = [packet_socket(a)?, packet_socket(b)?].map(Arc::new);
        let impairment = Arc::new(Mutex::new(impairment));
        let mut link = Self { stop: Arc::default(), counts: Arc::default(), impairment, threads: Vec::new() };
        for (from, to, seed) in [(&a, &b, seed), (&b, &a, seed ^ u64::MAX)] {
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            let (stop, counts) = (Arc::clone(&link.stop), Arc::clone(&link.counts));
            let (random, impairment) = (StdRng::seed_from_u64(seed), Arc::clone(&link.impairment));
            let mut way = Way { from, to, impairment, random, delayed: VecDeque::new(), counts };
            let thread = thread::Builder::new().name("link".into()).spawn(move || {
                let mut frame = vec![0; MAX_FRAME_BYTES];
                while !stop.load(Acquire) {
                    if let Err(error) = way.carry(&mut frame) {
                        eprintln!("link: {error}");
                        return;
                    }
                }
            })?;
            link.threads.push(thread);
        }
        Ok(link)
    }

    /// Makes it better or worse for the frames to come.
    pub fn change(&self, impairment: Impairment) {
        *self.impairment.lock().unwrap_or_else(PoisonError::into_inner) = impairment;
    }

    /// Frames that came in, and those of them that were lost.
    pub fn frames(&self) -> (u64, u64) {
        (self.counts.seen.load(Relaxed), self.counts.lost.load(Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One direction.
struct Way {
    from: Arc<OwnedFd>,
    to: Arc<OwnedFd>,
    impairment: Arc<Mutex<Impairment>>,
    random: StdRng,
    delayed: VecDeque<(Instant, Vec<u8>)>,
    counts: Arc<Counts>,
}

impl Way {
    /// Waits for what comes next, and passes on what is due.
    fn carry(&mut self, frame: &mut [u8]) -> Result<(), Errno> {
        let now = Instant::now();
        while self.delayed.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, frame)) = self.delayed.pop_front() {
                self.pass_on(&frame);
            }
        }
        let wait = self.delayed.front().map_or(IDLE, |(due, _)| due.saturating_duration_since(now).min(IDLE));
        // In whole milliseconds, and never 0: a frame is rather late than the thread spinning.
        let wait = PollTimeout::try_from(wait + Duration::from_micros(999)).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            other => other?,
        };
        // Not for ever: what is delayed has its time.
        for _ in 0..64 {
            match recvfrom::<LinkAddr>(self.from.as_raw_fd(), frame) {
                Ok((_, Some(address))) if address.pkttype() == OUTGOING => {}
                Ok((len, _)) => self.take(&frame[..len]),
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: &[u8]) {
        self.counts.seen.fetch_add(1, Relaxed);
        let impairment = *self.impairment.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = impairment.fate(&mut self.random);
        if fate.copies == 0 || fate.delayed && self.delayed.len() >= MAX_DELAYED {
            self.counts.lost.fetch_add(1, Relaxed);
            return;
        }
        for _ in 0..fate.copies {
            if fate.delayed {
                self.delayed.push_back((Instant::now() + impairment.delay, frame.to_vec()));
            } else {
                self.pass_on(frame);
            }
        }
    }

    /// An interface that takes no more loses the frame, as a full queue would.
    fn pass_on(&self, frame: &[u8]) {
        if send(self.to.as_raw_fd(), frame, MsgFlags::empty()).is_err() {
            self.counts.lost.fetch_add(1, Relaxed);
        }
    }
}

/// A socket for whole frames on an interface of the namespace that the calling thread is in.
pub fn packet_socket(interface: &str) -> Result<OwnedFd> {
    let is_it = |name: &str| name == interface;
    let mut links = getifaddrs()?.filter(|entry| is_it(&entry.interface_name)).filter_map(|entry| entry.address);
    let link = links.find_map(|address| address.as_link_addr().copied());
    let link = link.with_context(|| format!("there is no interface {interface}"))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    setsockopt(&socket, RcvBufForce, &BUFFER_BYTES)?;
    bind(socket.as_raw_fd(), &link).with_context(|| format!("cannot bind to {interface}"))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(impairment: Impairment) -> Vec<Fate> {
        let mut random = StdRng::seed_from_u64(1);
        (0..10_000).map(|_| impairment.fate(&mut random)).collect()
    }

    #[test]
    fn a_good_link_passes_every_frame_once_and_at_once() {
        assert!(fates(Impairment::default()).iter().all(|fate| *fate == Fate { copies: 1, delayed: false }));
    }

    #[test]
    fn shares_are_what_was_asked_for() {
        let delay = Duration::from_millis(5);
        let fates = fates(Impairment { lost: 0.1, repeated: 0.2, delay, overtaking: 0.25 });
        let share = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        let (lost, repeated) = (share(|f| f.copies == 0), share(|f| f.copies == 2));
        let at_once = share(|f| f.copies > 0 && !f.delayed);
        assert!((900..1100).contains(&lost), "{lost}");
        assert!((1650..1950).contains(&repeated), "{repeated}");
        assert!((2100..2400).contains(&at_once), "{at_once}");
    }
}
