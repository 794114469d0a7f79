//! Waits until all nodes are well.

use std::time::Duration;

use anyhow::{Result, bail};

#[derive(Clone, Copy, Debug)]
pub struct Tries {
    pub count: u32,
    pub apart: Duration,
    pub timeout: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self { count: 25, apart: Duration::from_secs(10), timeout: Duration::from_secs(5) }
    }
}

/// Asks `/healthz` of each base URL until it says 200; `say` hears what is being waited for.
pub async fn wait(nodes: &[String], tries: Tries, mut say: impl FnMut(String)) -> Result<()> {
    let client = reqwest::Client::builder().timeout(tries.timeout).no_proxy().build()?;
    for (n, node) in nodes.iter().enumerate() {
        let url = format!("{node}/healthz");
        let count = tries.count.max(1);
        for round in 1..=count {
            let trouble = match client.get(&url).send().await {
                Ok(answer) if answer.status() == 200 => break,
                Ok(answer) => format!("status {}", answer.status().as_u16()),
                Err(e) => format!("{:#}", anyhow::anyhow!(e)),
            };
            if round == count {
                bail!("{url} is not well after {count} tries: {trouble}; --no-wait starts all the same");
            }
            say(format!("node {} of {}: {url}: {trouble} (try {round} of {count})", n + 1, nodes.len()));
            tokio::time::sleep(tries.apart).await;
        }
    }
    Ok(())
}
