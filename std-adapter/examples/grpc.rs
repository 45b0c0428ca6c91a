//! A shop that asks an inventory, both servers of gRPC: limits, a breaker, and a deadline that
//! travels.
//!
//! The service of both is that of `tonic-health`, so that there is no code to generate: `check` is
//! unary, `watch` streams. Everything runs on loopback, and ends by itself in about a second.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fusebox_std::grpc::{GrpcService, GrpcStatus};
use fusebox_std::http::{BodyGateService, Same, deadline::*};
use fusebox_std::{current_deadline, prelude::*, tower::GateLayer};
use tonic::codegen::BoxStream;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;

// ------------------------------------------------------------------------------------------ the
// shop

static CALLS: TokenBucket = TokenBucket::new(BucketConfig::per_second(10).burst(30), StdClock);
/// A stream counts until its end.
static IN_FLIGHT: Bulkhead = Bulkhead::new(BulkheadConfig::new(2));
static ADMISSION: (&Bulkhead, &TokenBucket) = (&IN_FLIGHT, &CALLS);

static INVENTORY: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);

/// A channel that tells what is left of the deadline, behind the breaker.
type Guarded = GrpcService<
    BodyGateService<SendDeadlineService<Channel>, Same<&'static CircuitBreaker>, GrpcStatus>,
>;

struct Shop {
    inventory: HealthClient<Guarded>,
}

impl Shop {
    fn new(channel: Channel) -> Self {
        let channel = ServiceBuilder::new()
            .layer(GateLayer::new(&INVENTORY).grpc())
            .layer(SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT))
            .service(channel);
        Self { inventory: HealthClient::new(channel) }
    }
}

#[async_trait]
impl Health for Shop {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let request = request.into_inner();
        if request.service == "slow" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        self.inventory.clone().check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (inventory, request) = (self.inventory.clone(), request.into_inner());
        let messages = futures_util::stream::unfold(inventory, move |mut inventory| {
            let request = request.clone();
            async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let answer = inventory.check(request).await.map(Response::into_inner);
                Some((answer, inventory))
            }
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

/// A call may take as long as the client says, or 300 ms; see also [`Incoming::max`].
fn deadlines() -> DeadlineLayer {
    let header = Incoming::from(DeadlineHeader::GRPC_TIMEOUT);
    DeadlineLayer::new(header.or_else(Duration::from_millis(300)))
}

async fn open_shop(inventory: Channel) -> Result<Channel, Box<dyn Error>> {
    let listener = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    let server = Server::builder()
        .layer(GateLayer::new(&ADMISSION).grpc())
        .layer(deadlines().grpc())
        .add_service(HealthServer::new(Shop::new(inventory)));
    tokio::spawn(server.serve_with_incoming(listener));
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

// ------------------------------------------------------------------------------------- the
// inventory

static IS_BROKEN: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU64 = AtomicU64::new(0);
static MILLIS_LEFT: AtomicU64 = AtomicU64::new(0);

struct Inventory;

#[async_trait]
impl Health for Inventory {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        ASKED.fetch_add(1, Relaxed);
        let left = current_deadline().remaining(&TokioTimer).as_millis();
        MILLIS_LEFT.store(left.try_into().unwrap_or(u64::MAX), Relaxed);
        if IS_BROKEN.load(Relaxed) {
            return Err(Status::internal("the database is gone"));
        }
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    async fn watch(
        &self,
        _request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask the shop"))
    }
}

async fn open_inventory() -> Result<Channel, Box<dyn Error>> {
    let listener = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    let server =
        Server::builder().layer(deadlines().grpc()).add_service(HealthServer::new(Inventory));
    tokio::spawn(server.serve_with_incoming(listener));
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

// --------------------------------------------------------------------------- a client, of tonic
// alone

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

fn shown(status: &Status) -> String {
    let wait = status.metadata().get("grpc-retry-pushback-ms").and_then(|wait| wait.to_str().ok());
    let wait = wait.map_or(String::new(), |wait| format!("; come back in {wait} ms"));
    format!("{:?}: {}{wait}", status.code(), status.message())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut client = HealthClient::new(open_shop(open_inventory().await?).await?);

    let mut request = Request::new(about("apples"));
    request.set_timeout(Duration::from_secs(5));
    client.check(request).await?;
    let left = MILLIS_LEFT.load(Relaxed);
    println!("of a client's 5000 ms the inventory was told {left}");
    assert!((1..5_000).contains(&left));

    let late = client.check(about("slow")).await.expect_err("it takes a minute");
    println!("an answer that takes a minute: {}", shown(&late));
    assert_eq!(late.code(), Code::DeadlineExceeded);

    let mut first = client.watch(about("apples")).await?.into_inner();
    let mut second = client.watch(about("pears")).await?.into_inner();
    assert!(first.message().await?.is_some() && second.message().await?.is_some());
    let full =
        client.check(about("plums")).await.expect_err("two streams are all there is room for");
    println!("a call beside two streams: {}", shown(&full));
    assert_eq!(full.code(), Code::Unavailable);
    drop(first);
    let end = loop {
        match second.message().await {
            Ok(Some(_)) => {}
            Ok(None) => unreachable!("it has no end of its own"),
            Err(status) => break status,
        }
    };
    println!("a stream without an end: {}", shown(&end));
    assert_eq!(end.code(), Code::DeadlineExceeded);

    IS_BROKEN.store(true, Relaxed);
    for _ in 0..5 {
        let broken = client.check(about("apples")).await.expect_err("it is broken");
        assert_eq!(broken.code(), Code::Internal);
    }
    let asked = ASKED.load(Relaxed);
    let open = client.check(about("apples")).await.expect_err("the circuit is open");
    println!("after five errors of the inventory: {}", shown(&open));
    assert_eq!((open.code(), ASKED.load(Relaxed)), (Code::Unavailable, asked));

    let too_much = loop {
        match client.check(about("apples")).await {
            Err(status) if status.code() == Code::Unavailable => {}
            other => break other.expect_err("ten calls a second are allowed"),
        }
    };
    println!("many calls at once: {}", shown(&too_much));
    assert_eq!(too_much.code(), Code::ResourceExhausted);
    Ok(())
}
