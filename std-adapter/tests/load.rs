//! The example service under load: connections that break off, slow bodies, handlers that panic, a
//! database that fails, a server that dies. Afterwards everything is as before: nothing is taken
//! any more, nothing is remembered, and nobody was told what the docs do not say.
#![cfg(all(feature = "http", feature = "keyed", feature = "tokio"))]

#[path = "../examples/service/main.rs"]
#[allow(dead_code, reason = "its `main` and what that asks")]
mod service;

#[path = "load/client.rs"]
mod client;
#[path = "load/live.rs"]
mod live;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use fusebox_std::prelude::*;
use fusebox_std::tower::GateLayer;
use tokio::runtime::{Builder, Runtime};

use client::{Ending, Kind, Tally};
use service::Shop;

const REQUESTS: u64 = 100_000;
const CONNECTIONS: usize = 256;

/// How many bytes more may be in use after the load than before it: four for ten requests.
const MEMORY: usize = 40_000;

/// One probe at a time, and none that is lost is ever made up for.
const BREAKER: BreakerConfig = BreakerConfig::standard()
    .open_for(Duration::from_millis(20))
    .max_probes(1)
    .success_threshold(3)
    .half_open_timeout(Duration::from_secs(600));

/// How long anything may take to come to its end, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked.
struct Load {
    to_send: AtomicU64,
    until: u64,
    /// Where the server is now.
    server: Mutex<SocketAddr>,
}

impl Load {
    /// The number of the next request.
    fn next(&self) -> Option<u64> {
        let number = self.to_send.fetch_add(1, Relaxed);
        (number < self.until).then_some(number)
    }
}

/// A server on a runtime of its own, so that all its connections die with it.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
}

impl Server {
    fn start(app: Router) -> Self {
        let runtime = runtime("server");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async { axum::serve(listener, app).await });
        Self { runtime, address }
    }

    fn kill(self) {
        self.runtime.shutdown_timeout(PATIENCE);
    }
}

fn runtime(name: &str) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).thread_name(name).enable_all().build().expect("a runtime")
}

/// A bulkhead around handlers that panic.
type Around = Arc<Bulkhead>;

/// Quietly: the hook that prints panics is not called.
async fn panics() -> &'static str {
    std::panic::resume_unwind(Box::new("on purpose"))
}

fn app(shop: &Arc<Shop>, around: &Around) -> Router {
    Router::new()
        .route("/panic", get(panics))
        .layer(GateLayer::new(Arc::clone(around)).http())
        .merge(service::app(Arc::clone(shop)))
}

/// Sends so many requests; half way through, the server is killed and another one takes over.
fn under_load(shop: &Arc<Shop>, around: &Around, requests: u64) -> Tally {
    let clients = runtime("client");
    let mut server = Server::start(app(shop, around));
    let load = Arc::new(Load {
        to_send: AtomicU64::new(0),
        until: requests,
        server: Mutex::new(server.address),
    });
    let connections: Vec<_> =
        (0..CONNECTIONS).map(|_| clients.spawn(client::connection(Arc::clone(&load)))).collect();

    let mut restarted = false;
    while load.to_send.load(Relaxed) < requests {
        std::thread::sleep(Duration::from_millis(50));
        // Not where it recovers: a probe that is lost then stays lost.
        if shop.breaker.state() == State::Closed {
            shop.breaker.trip();
        }
        if !restarted && load.to_send.load(Relaxed) > requests / 2 {
            restarted = true;
            let next = Server::start(app(shop, around));
            *load.server.lock().unwrap() = next.address;
            std::mem::replace(&mut server, next).kill();
        }
    }
    let mut tally = Tally::default();
    for connection in connections {
        tally.add(&clients.block_on(connection).expect("no panic"));
    }
    clients.shutdown_timeout(PATIENCE);
    all_is_given_back(shop, around);
    the_breaker_recovers(shop, &server);
    server.kill();
    tally
}

/// Also what nobody waits for any more comes to an end.
#[track_caller]
fn all_is_given_back(shop: &Shop, around: &Around) {
    let started = Instant::now();
    let taken = || {
        let queries = shop.queries.snapshot();
        [queries.in_use(), queries.waiting(), shop.threads.in_use(), around.snapshot().in_use()]
    };
    while taken() != [0; 4] {
        assert!(started.elapsed() < PATIENCE, "still taken: {:?}", taken());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Were one of its probes lost, it would not.
#[track_caller]
fn the_breaker_recovers(shop: &Shop, server: &Server) {
    let clients = runtime("client");
    let started = Instant::now();
    while shop.breaker.state() != State::Closed {
        assert!(started.elapsed() < PATIENCE, "stuck: {:?}", shop.breaker);
        clients.block_on(client::one(server.address, Kind::List));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn all_is_as_before() {
    let folder = std::env::temp_dir().join(format!("fusebox-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    // Less than the slowest machine asks for, so that some are refused.
    let each = BucketConfig::per_second(10).burst(20);
    let shop = Arc::new(Shop::new(folder.join("sqlite"), each, BREAKER).expect("a database"));
    let around: Around = Arc::new(Bulkhead::new(BulkheadConfig::new(16)));

    // What is made once is made now.
    under_load(&shop, &around, REQUESTS / 20);
    let before = live::bytes();
    let started = Instant::now();
    let tally = under_load(&shop, &around, REQUESTS);
    let after = live::bytes();
    println!("{tally:#?}\nin {:?}; {before} bytes before, {after} after", started.elapsed());
    assert!(after < before + MEMORY, "{before} bytes before the load, {after} after it");

    assert_eq!(tally.sent(), REQUESTS);
    for (kind, ending, count) in tally.iter() {
        assert!(kind.may_end_in(ending), "{count} requests of {kind:?} ended in {ending:?}");
    }
    for (kind, ending) in
        Kind::ALL.iter().flat_map(|kind| kind.endings().iter().map(|it| (*kind, *it)))
    {
        assert!(tally.count(kind, ending) > 0, "no request of {kind:?} ended in {ending:?}");
    }
    let lost = tally.count(Kind::List, Ending::Broken) + tally.count(Kind::SlowAdd, Ending::Broken);
    assert!(lost <= 2 * CONNECTIONS as u64, "{lost} requests were lost in one restart");
    std::fs::remove_dir_all(folder).expect("an empty folder");
}
