//! A server of tonic on loopback that does what it is told, a client that tells it, and a gate that
//! notes what it makes of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fusebox_std::current_deadline;
use fusebox_std::grpc::{Code, GrpcLayer, GrpcStatus};
use fusebox_std::http::deadline::{DeadlineHeader, SendDeadlineLayer};
use fusebox_std::http::{BodyGateLayer, Same};
use fusebox_std::prelude::*;
use fusebox_std::tower::{BoxError, GateLayer};
use futures_util::Stream;
use http::{Request, Response};
use hyper::body::Bytes;
use tokio::runtime::{Builder, Runtime};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic::{Status, Streaming, async_trait};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceExt};

use crate::noting::Notes;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

// ------------------------------------------------------------------------------------ the server

/// Does what it is told by the name of the service that it is asked about.
#[derive(Clone, Default)]
pub(crate) struct Obeys {
    /// Whom it asks itself.
    pub(crate) next: Option<Channel>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// `3` is `INVALID_ARGUMENT`.
fn told(text: &str) -> Result<(), Status> {
    let code = tonic::Code::from_i32(text.parse().expect("a code"));
    if code == tonic::Code::Ok { Ok(()) } else { Err(Status::new(code, "as told")) }
}

fn says(status: i32) -> HealthCheckResponse {
    HealthCheckResponse { status }
}

/// What is left of the deadline, in milliseconds; -1 where there is none.
fn left() -> i32 {
    match current_deadline() {
        never if never.is_never() => -1,
        deadline => {
            i32::try_from(deadline.remaining(&TokioTimer).as_millis()).expect("not so long")
        }
    }
}

#[async_trait]
impl Health for Obeys {
    type WatchStream = Messages;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let status = match &*request.get_ref().service {
            "left" => left(),
            "left of the next" => {
                tokio::time::sleep(100 * MS).await;
                let next = self.next.clone().expect("there is a next one");
                let tells = SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT);
                Client::new(tells.layer(next)).check("left").await?
            }
            "sleep" => {
                tokio::time::sleep(60 * SECOND).await;
                0
            }
            code => told(code).map(|()| 1)?,
        };
        Ok(tonic::Response::new(says(status)))
    }

    /// `2 13`: two messages, then `INTERNAL`. `endless`: one each millisecond. `sleep`: one each
    /// minute.
    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Messages>, Status> {
        let order = request.into_inner().service;
        let (count, end) = order.split_once(' ').unwrap_or((&order, "0"));
        let count = count.parse().unwrap_or(u32::MAX);
        let end = told(end);
        let pause = if order == "sleep" { 60 * SECOND } else { MS };
        let messages = futures_util::stream::unfold((count, end), move |(count, end)| async move {
            tokio::time::sleep(pause).await;
            match (count, end) {
                (0, Ok(())) => None,
                (0, Err(status)) => Some((Err(status), (0, Ok(())))),
                (count, end) => Some((Ok(says(left())), (count - 1, end))),
            }
        });
        Ok(tonic::Response::new(Box::pin(messages)))
    }
}

/// A server on a runtime of its own, which is gone with it, and so are its connections.
pub(crate) struct Running {
    runtime: Option<Runtime>,
    pub(crate) channel: Channel,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server with a layer around all of it.
pub(crate) fn serving<L, B>(layer: L, service: Obeys) -> Running
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError> + Send,
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = {
        let _in_it = runtime.enter();
        TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port")
    };
    let address = listener.local_addr().expect("an address");
    let router = Server::builder().layer(layer).add_service(HealthServer::new(service));
    runtime.spawn(async { router.serve_with_incoming(listener).await });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    Running { runtime: Some(runtime), channel: endpoint.connect_lazy() }
}

// ------------------------------------------------------------------------------------ the client

pub(crate) struct Client(HealthClient<BoxCloneService<Request<Body>, Response<Body>, io::Error>>);

impl Client {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
        S: Clone + Send + 'static,
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let plain = service.map_response(|answer| answer.map(Body::new)).map_err(io::Error::other);
        Self(HealthClient::new(BoxCloneService::new(plain)))
    }

    pub(crate) async fn check(&mut self, order: impl ToString) -> Result<i32, Status> {
        let request = HealthCheckRequest { service: order.to_string() };
        Ok(self.0.check(request).await?.into_inner().status)
    }

    pub(crate) async fn watch(
        &mut self,
        order: &str,
    ) -> Result<Streaming<HealthCheckResponse>, Status> {
        let request = HealthCheckRequest { service: order.to_owned() };
        Ok(self.0.watch(request).await?.into_inner())
    }
}

/// Reads a stream to its end: how many messages there were, and how it ended.
pub(crate) async fn read(mut stream: Streaming<HealthCheckResponse>) -> (u32, Code) {
    let mut count = 0;
    loop {
        match stream.message().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, Code::Ok),
            Err(status) => return (count, code(&status)),
        }
    }
}

pub(crate) fn code(status: &Status) -> Code {
    Code::ALL[status.code() as usize]
}

pub(crate) type Noting = GrpcLayer<BodyGateLayer<Same<Arc<Notes>>, GrpcStatus>>;

pub(crate) fn noted() -> (Arc<Notes>, Noting) {
    let notes = Arc::<Notes>::default();
    (Arc::clone(&notes), GateLayer::new(notes).grpc())
}
