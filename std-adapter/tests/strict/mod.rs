//! A service that insists on tower's contract.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use tower::Service;

/// Fails on 0. It panics when it is called without having said that it is ready: a clone has not.
#[derive(Debug, Default)]
pub(crate) struct Strict {
    is_ready: bool,
    pub(crate) calls: Arc<AtomicU32>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { is_ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without being asked");
        self.calls.fetch_add(1, Relaxed);
        ready(if request == 0 { Err("zero") } else { Ok(request) })
    }
}
