//! The room's network: a namespace with nothing but the loopback interface, and on it a proxy to the package mirror.
//!
//! The proxy joins whole connections and rewrites nothing: who asks a proxy names the host in the first line, either as
//! `CONNECT host:port` or as an absolute URI, which every server must take (RFC 9112, section 3.2.2).

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

use crate::{debian_root, step::text_of};

const ADDRESS: &str = "127.0.0.1:3142";
pub(super) const PROXY: &str = "http://127.0.0.1:3142";
const HEAD_MAX_BYTES: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) struct Mirror {
    namespace: String,
}

impl Mirror {
    /// Serves as soon as this returns, until this process ends.
    pub(super) fn start(namespace: String) -> Result<Self> {
        let mirror = Self { namespace };
        ip(&["netns", "add", &mirror.namespace])?;
        ip(&["-n", &mirror.namespace, "link", "set", "lo", "up"])?;
        let file = File::open(format!("/run/netns/{}", mirror.namespace)).context("cannot open the namespace")?;
        let (accepted, connections) = sync_channel(16);
        let (say_ready, ready) = sync_channel(1);
        // A thread of its own enters the namespace, and hands what it accepts to one that stayed outside.
        thread::spawn(move || {
            let listener = setns(file, CloneFlags::CLONE_NEWNET)
                .map_err(io::Error::from)
                .and_then(|()| TcpListener::bind(ADDRESS));
            match listener {
                Ok(listener) => {
                    let _ = say_ready.send(Ok(()));
                    accept(&listener, &accepted);
                }
                Err(error) => drop(say_ready.send(Err(error))),
            }
        });
        ready.recv().context("the room's proxy has ended")?.context("cannot serve in the room")?;
        let upstream = debian_root::proxy();
        thread::spawn(move || serve(&connections, upstream.as_deref()));
        Ok(mirror)
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "del", &self.namespace]) {
            eprintln!("{error:#}");
        }
    }
}

pub(super) fn ip(args: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(args);
    let text = text_of(command).with_context(|| format!("ip {} does not run", args.join(" ")))?;
    ensure!(text.trim().is_empty(), "ip {}: {}", args.join(" "), text.trim());
    Ok(())
}

fn accept(listener: &TcpListener, accepted: &SyncSender<TcpStream>) {
    for stream in listener.incoming().flatten() {
        if accepted.send(stream).is_err() {
            return;
        }
    }
}

fn serve(connections: &Receiver<TcpStream>, upstream: Option<&str>) {
    for client in connections {
        let upstream = upstream.map(str::to_owned);
        // One that fails is the package manager's to complain about.
        thread::spawn(move || join(client, upstream.as_deref()));
    }
}

fn join(mut client: TcpStream, upstream: Option<&str>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let head = read_head(&mut client)?;
    let wanted = destination(&head).ok_or(io::ErrorKind::InvalidData)?;
    let mut server = match upstream {
        Some(proxy) => connect(proxy)?,
        None => connect(&wanted.host)?,
    };
    if wanted.is_tunnel && upstream.is_none() {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        server.write_all(&head)?;
    }
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut up, &mut server);
        let _ = server.shutdown(std::net::Shutdown::Write);
    });
    let _ = io::copy(&mut down, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = upwards.join();
    Ok(())
}

fn connect(host: &str) -> io::Result<TcpStream> {
    use std::net::ToSocketAddrs;
    let addresses: Vec<SocketAddr> = host.to_socket_addrs()?.collect();
    let stream = TcpStream::connect(addresses.as_slice())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// All that came with the end of the first head.
fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = client.read(&mut piece)?;
        if count == 0 || head.len() > HEAD_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&piece[..count]);
    }
    Ok(head)
}

#[derive(Debug, PartialEq, Eq)]
struct Destination {
    /// With its port.
    host: String,
    is_tunnel: bool,
}

fn destination(head: &[u8]) -> Option<Destination> {
    let line = String::from_utf8_lossy(head.split(|b| *b == b'\r').next()?).into_owned();
    let mut words = line.split(' ');
    let (method, uri) = (words.next()?, words.next()?);
    if method == "CONNECT" {
        return Some(Destination { host: uri.to_owned(), is_tunnel: true });
    }
    let authority = uri.strip_prefix("http://")?.split('/').next()?;
    let host = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    Some(Destination { host, is_tunnel: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_host() {
        let of = |line: &str| destination(format!("{line} HTTP/1.1\r\nHost: other\r\n\r\n").as_bytes());
        let plain = |host: &str| Some(Destination { host: host.to_owned(), is_tunnel: false });
        assert_eq!(of("GET http://m.example/debian/x"), plain("m.example:80"));
        assert_eq!(of("GET http://m.example:8080/x"), plain("m.example:8080"));
        assert!(of("CONNECT m.example:443").unwrap().is_tunnel);
        assert_eq!(of("GET /x"), None);
    }
}
