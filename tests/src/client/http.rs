//! One HTTP call.

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use dfaas_agent::name::NodeId;
use reqwest::{
    Client, Method,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use super::NODE_HEADER;
use crate::netns::Entrance;

/// A call as it is to be made.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// For the whole call.
    pub timeout: Duration,
}

impl Call {
    pub fn get(url: impl Into<String>) -> Self {
        let timeout = Duration::from_secs(8);
        Self { method: Method::GET, url: url.into(), headers: HeaderMap::new(), body: Bytes::new(), timeout }
    }

    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(url) }
    }

    /// Adds a header; the same one may be given several times.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        // A wrong value is a wrong test: it must not pass as a header that was not sent.
        let value = HeaderValue::from_str(value).unwrap_or_else(|_| panic!("no header value: {value:?}"));
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// For the administrative calls of a gateway.
    #[must_use]
    pub fn as_admin(self, password: &str) -> Self {
        self.header("authorization", &format!("Basic {}", BASE64_STANDARD.encode(format!("admin:{password}"))))
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the call on a connection of its own.
    pub fn send(&self, from: &Entrance) -> Result<Answer> {
        from.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.send_by(&client(0)?)).with_context(|| format!("{} {}", self.method, self.url))
        })?
    }

    /// Makes the call with a client that may have a connection already.
    pub(super) async fn send_by(&self, client: &Client) -> Result<Answer, reqwest::Error> {
        let request = client
            .request(self.method.clone(), &self.url)
            .headers(self.headers.clone())
            .body(self.body.clone())
            .timeout(self.timeout);
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }
}

/// A client that keeps this many idle connections; what it sends is what the caller asked for.
pub(super) fn client(idle_connections: usize) -> Result<Client> {
    // A bad link may keep an acknowledgement away for longer than the library's 30 s: the call's own time-out decides.
    let client = Client::builder()
        .pool_max_idle_per_host(idle_connections)
        .redirect(Policy::none())
        .no_proxy()
        .tcp_user_timeout(None);
    client.build().context("cannot make an HTTP client")
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Value of a header, empty without it; several are joined by a comma.
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        values.collect::<Vec<_>>().join(", ")
    }

    /// The node that ran the function; a refusal by the kernel names none.
    pub fn node(&self) -> Option<NodeId> {
        self.header(NODE_HEADER).parse().ok()
    }
}
