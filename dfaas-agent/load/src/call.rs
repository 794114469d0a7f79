//! One request and its answer over HTTP/1.1, with the times of its parts.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use dfaas_base::duration;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    header::{CONNECTION, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{record::Exchange, target::Target};

/// Of a name that an answer says; longer ones are cut.
const MAX_NAME: usize = 100;

/// Where a host name leads, and connections that wait for their next request.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Server {
    pub async fn find(host: &str, port: u16) -> Result<Self> {
        let found = timeout(Duration::from_secs(10), tokio::net::lookup_host((host, port)));
        let found = found.await.map_err(|_| anyhow!("no answer in 10 s")).and_then(|found| Ok(found?.collect()));
        let addresses: Vec<_> = found.with_context(|| format!("cannot look up {host}"))?;
        if addresses.is_empty() {
            return Err(anyhow!("{host} has no address"));
        }
        Ok(Self { addresses, idle: Mutex::default() })
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one back is the least likely to have been closed meanwhile.
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    fn give_back(&self, connection: SendRequest<Full<Bytes>>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let mut failure = anyhow!("no address");
        for address in &self.addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                    // Ends with the connection; what went wrong is told to the request.
                    tokio::spawn(async move {
                        let _ = connection.await;
                    });
                    return Ok(sender);
                }
                Err(e) => failure = anyhow!(e),
            }
        }
        Err(failure.context("no connection"))
    }
}

/// How a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub timeout: Duration,
    pub close: bool,
}

/// Sends the target's request with further headers. Never takes longer than the time-out.
pub async fn call(server: &Arc<Server>, target: &Target, more: &HeaderMap, manner: Manner) -> Exchange {
    let mut exchange = Exchange { bytes_out: target.body.len() as u64, ..Exchange::default() };
    let mut request = Request::new(Full::new(target.body.clone()));
    *request.method_mut() = target.method.clone();
    let path = target.url.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.headers_mut() = target.headers.clone();
    request.headers_mut().extend(more.clone());
    if manner.close {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let kept = match timeout(manner.timeout, run(server, request, manner, &mut exchange)).await {
        Ok(Ok(connection)) => Some(connection).filter(|_| !manner.close),
        Ok(Err(e)) => {
            exchange.error = shortened(&format!("{e:#}"));
            None
        }
        Err(_) => {
            exchange.error = format!("no answer within {}", duration::go(manner.timeout)).into();
            None
        }
    };
    if let Some(mut connection) = kept {
        let server = Arc::clone(server);
        // The connection is ready a moment after the end of the answer, unless the server closes it.
        tokio::spawn(async move {
            if matches!(timeout(manner.timeout, connection.ready()).await, Ok(Ok(()))) {
                server.give_back(connection);
            }
        });
    }
    exchange
}

async fn run(
    server: &Server,
    mut request: Request<Full<Bytes>>,
    manner: Manner,
    exchange: &mut Exchange,
) -> Result<SendRequest<Full<Bytes>>> {
    let mut idle = if manner.close { None } else { server.take_idle() };
    loop {
        let start = Instant::now();
        let reused = idle.is_some();
        let mut connection = match idle.take() {
            Some(connection) => connection,
            None => server.connect().await?,
        };
        if !reused {
            exchange.connecting += start.elapsed();
        }
        let sent = Instant::now();
        match connection.try_send_request(request).await {
            Ok(answer) => {
                exchange.waiting = sent.elapsed();
                receive(answer, exchange).await?;
                return Ok(connection);
            }
            // An idle connection that the server has closed meanwhile: nothing of the request was sent.
            Err(mut e) if reused => match e.take_message() {
                Some(unsent) => {
                    exchange.blocked += sent.elapsed();
                    request = unsent;
                }
                None => return Err(anyhow!(e.into_error()).context("connection broken")),
            },
            Err(e) => return Err(anyhow!(e.into_error()).context("connection broken")),
        }
    }
}

/// Reads the answer to its end; only its length is kept.
async fn receive(answer: Response<Incoming>, exchange: &mut Exchange) -> Result<()> {
    let start = Instant::now();
    exchange.code = answer.status().as_u16();
    let name = |header: &str| answer.headers().get(header).and_then(|v| v.to_str().ok()).map(shortened);
    exchange.server = name("x-server");
    exchange.node = name("dfaas-node-id");
    exchange.forwarded_to = name("dfaas-forwarded-to");
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.context("answer broken off")?;
        exchange.bytes_in += frame.data_ref().map_or(0, |data| data.len() as u64);
        exchange.receiving = start.elapsed();
    }
    exchange.receiving = start.elapsed();
    Ok(())
}

fn shortened(text: &str) -> Arc<str> {
    text.chars().take(MAX_NAME).collect::<String>().into()
}
