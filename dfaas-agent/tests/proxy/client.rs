//! A client that knows which connection it uses, and reports every failure.

use std::{
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        Self::from(to, None).await
    }

    /// A connection whose source address is `source`.
    pub(crate) async fn from(to: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = if to.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = timeout(PATIENCE, socket.connect(to)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(Self(BufReader::new(stream)))
    }

    /// `head` is the request line and the headers, lines separated by `\n`.
    pub(crate) async fn send(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        timeout(PATIENCE, self.exchange(head, body)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn exchange(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        let mut request = head.trim_end().replace('\n', "\r\n");
        let _ = write!(request, "\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.write_all(request.as_bytes()).await?;
        self.0.write_all(body).await?;
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("status line {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One request on a connection of its own.
pub(crate) async fn call(to: SocketAddr, head: &str) -> Answer {
    Connection::open(to).await.unwrap().send(head, b"").await.unwrap()
}

/// One request from a given source address.
pub(crate) async fn call_from(source: IpAddr, to: SocketAddr, head: &str) -> Answer {
    Connection::from(to, Some(source)).await.unwrap().send(head, b"").await.unwrap()
}

/// Clients that call without pause on kept-alive connections, until stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome>>,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) good: u64,
    /// What went wrong, in words.
    pub(crate) bad: Vec<String>,
    pub(crate) connections: u64,
}

impl Load {
    pub(crate) fn start(clients: usize, to: SocketAddr, head: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = || tokio::spawn(keep_calling(to, head, Arc::clone(&stop)));
        let clients = (0..clients).map(|_| client()).collect();
        Self { stop, clients }
    }

    pub(crate) async fn finish(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        let mut sum = Outcome::default();
        for client in self.clients {
            let outcome = client.await.unwrap();
            sum.good += outcome.good;
            sum.connections += outcome.connections;
            sum.bad.extend(outcome.bad);
        }
        sum
    }
}

async fn keep_calling(to: SocketAddr, head: &'static str, stop: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = None;
    while !stop.load(Ordering::SeqCst) {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(to).await {
                Ok(open) => {
                    outcome.connections += 1;
                    open
                }
                Err(err) => {
                    outcome.bad.push(format!("connect: {err}"));
                    continue;
                }
            },
        };
        match open.send(head, b"some data").await {
            Ok(answer) if answer.status == 200 => {
                outcome.good += 1;
                if !answer.closes() {
                    connection = Some(open);
                }
            }
            Ok(answer) => outcome.bad.push(format!("status {}", answer.status)),
            Err(err) => outcome.bad.push(format!("call: {err}")),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    outcome
}
