//! A client with everything around its requests, and a server that is not at its best.
//!
//! `cargo run -p fusebox-std --features reqwest --example reqwest`

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use fusebox_std::http::{ServerErrors, TransientStatus};
use fusebox_std::{prelude::*, reqwest::is_transient};
use reqwest::{Client, Response};

// Shared by all requests to the shop.
static REQUESTS: Bulkhead = Bulkhead::new(BulkheadConfig::new(64));
static SHOP: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
/// One retry for ten requests, and ten a second whatever happens.
static BUDGET: RetryBudget =
    RetryBudget::new(BudgetConfig::new(Ratio::percent(10)).floor_per_second(10), StdClock);

async fn ask(client: &Client, url: &str) -> Result<Response, Error<reqwest::Error>> {
    let retry = Retry::new(Backoff::exponential(Duration::from_millis(20)))
        .when(RetryIf(is_transient))
        .when_value(TransientStatus::within(Duration::from_secs(2)))
        .budget(&BUDGET)
        .on_retry(|retry: &Retrying<'_, reqwest::Error>| {
            println!("  attempt {} was no good, again in {:?}", retry.attempt, retry.delay);
        });
    Pipeline::new(TokioTimer)
        .deadline(Duration::from_secs(5))
        .per_call(&REQUESTS)
        .retry(retry)
        .per_attempt(&SHOP)
        .attempt_timeout(Duration::from_millis(300))
        .classify(ServerErrors)
        .call(|_attempt| client.get(url).send())
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (client, url) = (Client::new(), serve().await?);

    println!("a book from a shop that is busy, then slow:");
    let book = ask(&client, &format!("{url}/books/7")).await?.text().await?;
    println!("  {book}");
    assert_eq!((book.as_str(), ASKED.load(Relaxed)), ("Volume 7", 3));

    println!("a page of it that is broken:");
    for _ in 0..2 {
        let answer = ask(&client, &format!("{url}/broken")).await;
        println!("  {}", describe(&answer));
    }
    assert_eq!(SHOP.state(), State::Open);
    let refused = ask(&client, &format!("{url}/books/7")).await;
    println!("and then any:\n  {}", describe(&refused));
    assert!(refused.is_err_and(|error| error.is_rejected()));
    assert_eq!(ASKED.load(Relaxed), 3, "nobody asked");
    Ok(())
}

fn describe(answer: &Result<Response, Error<reqwest::Error>>) -> String {
    match answer {
        Ok(response) => response.status().to_string(),
        Err(error) => error.to_string(),
    }
}

// ---------------------------------------------------------------------------------- the server

static ASKED: AtomicU32 = AtomicU32::new(0);

async fn book() -> impl IntoResponse {
    match ASKED.fetch_add(1, Relaxed) {
        0 => return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], "busy"),
        1 => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    (StatusCode::OK, [("retry-after", "0")], "Volume 7")
}

/// Serves on loopback, and says where.
async fn serve() -> std::io::Result<String> {
    let app = Router::new()
        .route("/books/7", get(book))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}
