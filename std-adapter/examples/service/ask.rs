//! Asks the service, and shows what it answers.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::Request;
use fusebox_std::http::deadline::DeadlineHeader;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use super::Failure;

/// Requests as users would send them, and the time that they have left.
const REQUESTS: [(&str, &str, &str, Option<u64>); 7] = [
    ("POST", "/users/ada/orders", "a fuse", None),
    ("POST", "/users/ada/orders", "a box", None),
    ("GET", "/users/ada/orders", "", Some(1000)),
    ("GET", "/users/ada/orders", "", None), // The fourth in a moment.
    ("GET", "/users/eve/orders", "", None), // Somebody else.
    ("GET", "/users/eve/orders", "", Some(0)),
    ("GET", "/users/%ff/orders", "", None), // Nobody.
];

/// Sends the requests, one after the other.
pub(crate) async fn ask(address: SocketAddr) -> Result<(), Failure> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    for (method, path, body, millis) in REQUESTS {
        let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        let mut request = request.body(Body::from(body))?;
        if let Some(left) = millis.map(Duration::from_millis) {
            DeadlineHeader::UNIX_NANOS.insert(request.headers_mut(), left, SystemTime::now());
        }
        let answer = client.request(request).await?;
        let wait = answer.headers().get("retry-after").map(|wait| format!("retry-after: {wait:?}"));
        println!("{method} {path} -> {} {}", answer.status(), wait.unwrap_or_default());
        let body = answer.into_body().collect().await?.to_bytes();
        println!("    {}", String::from_utf8_lossy(&body).replace('\n', "\n    "));
    }
    Ok(())
}
