//! A service that answers a hundred requests a second, and tells the others when to come back.

use axum::{Router, routing::get};
use fusebox_std::{prelude::*, tower::GateLayer};

static LIMIT: TokenBucket = TokenBucket::new(BucketConfig::per_second(100).burst(20), StdClock);

pub(crate) fn app() -> Router {
    Router::new().route("/", get(|| async { "hello" })).layer(GateLayer::new(&LIMIT).http())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app()).await
}
