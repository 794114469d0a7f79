//! Answers of HTTP servers, bounded in size.

use std::error::Error;

use anyhow::{Result, ensure};
use reqwest::Response;

/// The body of an answer of at most `limit_bytes`.
pub(crate) async fn read(mut response: Response, limit_bytes: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(body.len() + chunk.len() <= limit_bytes, "the answer is longer than {limit_bytes} bytes");
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What is at the bottom of an error: the outer ones only say that something failed.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
