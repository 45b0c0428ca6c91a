//! The road to the upstream that all clients share the design of: one HTTP request over a pool of
//! connections, and what can go wrong with it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::upstream::Upstream;

/// Why a request brought no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// An answer, but not 200.
    Status(StatusCode),
    /// No answer at all: no connection, or a broken one.
    Broken,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the upstream answered {status}"),
            Self::Broken => f.write_str("the connection failed"),
        }
    }
}

impl std::error::Error for SendError {}

/// An HTTP client with a pool of connections to one upstream.
#[derive(Debug)]
pub struct Link {
    http: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
    broken: AtomicU64,
}

impl Link {
    /// A link without open connections yet. There is no limit to them: a hidden one would be a
    /// bulkhead that the unprotected client is said not to have.
    pub fn new(upstream: &Upstream) -> Result<Self, hyper::http::Error> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            uri: Uri::builder()
                .scheme("http")
                .authority(upstream.addr().to_string())
                .path_and_query("/")
                .build()?,
            broken: AtomicU64::new(0),
        })
    }

    /// Sends one request and waits for the whole answer.
    ///
    /// **Cancel safety:** dropping the future hangs up; the upstream works on regardless.
    pub async fn send(&self) -> Result<(), SendError> {
        match self.exchange().await {
            Ok(StatusCode::OK) => Ok(()),
            Ok(status) => Err(SendError::Status(status)),
            Err(_) => {
                // Relaxed: a statistic.
                self.broken.fetch_add(1, Ordering::Relaxed);
                Err(SendError::Broken)
            }
        }
    }

    /// Requests that got no answer. More than a few mean that this machine, not the upstream, was
    /// the bottleneck.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    async fn exchange(&self) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let response = self.http.request(request).await?;
        let status = response.status();
        // The connection goes back to the pool once its answer has been read to the end.
        response.into_body().collect().await?;
        Ok(status)
    }
}
