//! A service with axum that stays up: so many requests for each user, and a database behind a
//! breaker, a bulkhead and a timeout. Requests bring their deadlines along; refusals are problems
//! of RFC 9457.

mod ask;

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use fusebox_std::http::deadline::{DeadlineHeader, DeadlineLayer, Incoming};
use fusebox_std::{current_deadline, http::key, http::problem, prelude::*, tower::GateByLayer};
use rusqlite::Connection;
use tokio::task::spawn_blocking;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What all requests share.
pub(crate) struct Shop {
    pub(crate) users: Arc<KeyedBuckets<String>>,
    pub(crate) breaker: CircuitBreaker,
    /// Four queries at once, and 128 that wait for their turn.
    pub(crate) queries: Bulkhead<Queue<128>>,
    /// The threads of queries. Not the same: a query whose time is over has its thread until it
    /// ends. Where all are taken, the database hangs.
    pub(crate) threads: Arc<Semaphore>,
    database: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Shop {
    pub(crate) fn new(
        database: PathBuf,
        each_user: BucketConfig,
        breaker: BreakerConfig,
    ) -> Result<Self, Failure> {
        Connection::open(&database)?.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user TEXT, item TEXT);
             CREATE INDEX IF NOT EXISTS by_user ON orders (user);",
        )?;
        Ok(Self {
            users: Arc::new(KeyedBuckets::new(100_000, each_user)?),
            breaker: CircuitBreaker::try_new(breaker, StdClock)?,
            queries: Bulkhead::new(BulkheadConfig::new(4)),
            threads: Arc::new(Semaphore::new(8)),
            database,
            idle: Mutex::default(),
        })
    }

    /// On a thread of its own, as the database blocks.
    async fn query<T, F>(self: Arc<Self>, query: F) -> Result<T, Refused>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Clone + Send + 'static,
    {
        let pipeline = Pipeline::new(TokioTimer)
            .deadline(Duration::from_secs(2))
            .per_call_waiting(&self.queries)
            .per_attempt(&self.breaker)
            .attempt_timeout(Duration::from_millis(500));
        let answer = pipeline.call_before(current_deadline(), |_attempt| {
            let (shop, query) = (Arc::clone(&self), query.clone());
            async move {
                let thread = Permit::enter(Arc::clone(&shop.threads))?;
                let result = spawn_blocking(move || {
                    let _thread = thread; // Until the query ends, whether or not anybody waits for it.
                    let idle = shop.idle.lock().unwrap().pop();
                    let connection = idle.map_or_else(|| Connection::open(&shop.database), Ok)?;
                    let rows = query(&connection)?;
                    shop.idle.lock().unwrap().push(connection);
                    Ok::<_, Failure>(rows)
                });
                match result.await {
                    Ok(rows) => rows.map_err(Error::Inner),
                    Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
                    // The server is shutting down.
                    Err(_) => Err(Rejection::new(Reason::SwitchedOff).into()),
                }
            }
        });
        answer.await.map_err(|error| Refused(error.flatten()))
    }
}

/// What was refused, took too long or failed on the way to the database.
struct Refused(Error<Failure>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let failed = |error| {
            eprintln!("the database: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        };
        self.0.map_inner(failed).into_inner_or_else(|own| problem(&own))
    }
}

async fn list(State(shop): State<Arc<Shop>>, Path(user): Path<String>) -> Result<String, Refused> {
    let select = "SELECT item FROM orders WHERE user = ? ORDER BY id DESC LIMIT 10";
    shop.query(move |database| {
        let mut orders = database.prepare_cached(select)?;
        let items = orders.query_map([&user], |row| row.get::<_, String>(0))?;
        Ok(items.collect::<Result<Vec<_>, _>>()?.join("\n"))
    })
    .await
}

async fn add(
    State(shop): State<Arc<Shop>>,
    Path(user): Path<String>,
    item: String,
) -> Result<StatusCode, Refused> {
    let insert = "INSERT INTO orders (user, item) VALUES (?, ?)";
    shop.query(move |database| database.execute(insert, [&user, &item])).await?;
    Ok(StatusCode::CREATED)
}

pub(crate) fn app(shop: Arc<Shop>) -> Router {
    let timeout = DeadlineHeader::millis(HeaderName::from_static("x-request-timeout-ms"));
    let deadlines = Incoming::from(timeout).or_else(Duration::from_secs(5));
    let users = GateByLayer::keyed(Arc::clone(&shop.users), key::path_segment(1));
    Router::new()
        .route("/users/{user}/orders", get(list).post(add))
        .layer(users.http())
        .layer(DeadlineLayer::new(deadlines).http())
        .with_state(shop)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let database = std::env::temp_dir().join(format!("orders-{}", std::process::id()));
    std::fs::create_dir(&database)?;
    let limit = BucketConfig::per_minute(60).burst(3);
    let shop = Shop::new(database.join("sqlite"), limit, BreakerConfig::standard())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let asked = ask::ask(listener.local_addr()?);
    // A service does nothing but to serve; this one is asked some questions, and ends.
    tokio::select! {
        served = axum::serve(listener, app(Arc::new(shop))) => served?,
        asked = asked => asked?,
    }
    Ok(std::fs::remove_dir_all(database)?)
}
