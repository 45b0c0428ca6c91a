//! The clients: what they ask, and how it ends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{Request, header};
use fusebox_std::http::deadline::DeadlineHeader;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Load;

const USERS: u64 = 64;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    List,
    /// With a body that comes in pieces.
    SlowAdd,
    /// Given up while it runs: the connection is closed.
    GivenUp,
    /// When its deadline has passed.
    Late,
    /// By nobody.
    NoKey,
    Panic,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Status(u16),
    /// By the client.
    Dropped,
    /// By the server: a handler has panicked, or it died.
    Broken,
}

use Ending::{Broken, Dropped, Status};

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::List, Self::SlowAdd, Self::GivenUp, Self::Late, Self::NoKey, Self::Panic];

    const fn of(number: u64) -> Self {
        match number % 100 {
            0..2 => Self::SlowAdd,
            2..5 => Self::GivenUp,
            5..10 => Self::Late,
            10..15 => Self::NoKey,
            15 => Self::Panic,
            _ => Self::List,
        }
    }

    /// How it ends at times, in such a load.
    pub(crate) const fn endings(self) -> &'static [Ending] {
        match self {
            Self::List => &[Status(200), Status(429), Status(503), Broken],
            Self::SlowAdd => &[Status(201), Status(429)],
            Self::GivenUp => &[Dropped],
            Self::Late => &[Status(504)],
            Self::NoKey => &[Status(400)],
            Self::Panic => &[Broken],
        }
    }

    pub(crate) fn may_end_in(self, ending: Ending) -> bool {
        let rarely: &[Ending] = match self {
            // The machine may be slow, or the server die.
            Self::List => &[Status(504)],
            Self::SlowAdd => &[Status(503), Status(504), Broken],
            Self::GivenUp => &[Status(200), Status(429), Status(503), Broken],
            Self::Panic => &[Status(503)],
            // By more than what may be due to clocks that differ, it is not believed.
            Self::Late => &[Status(200), Status(429), Status(503), Broken],
            Self::NoKey => &[Broken],
        };
        self.endings().contains(&ending) || rarely.contains(&ending)
    }

    fn request(self, number: u64) -> Request<Body> {
        let user = number % USERS;
        let request = Request::builder().header(header::HOST, "localhost");
        let request = match self {
            Self::List | Self::GivenUp => request.uri(format!("/users/{user}/orders")),
            Self::SlowAdd => request.method("POST").uri(format!("/users/{user}/orders")),
            Self::Late => request.uri("/users/7/orders"),
            Self::NoKey => request.uri("/users/%ff/orders"),
            Self::Panic => request.uri("/panic"),
        };
        let body = if self == Self::SlowAdd { slow_body() } else { Full::default().boxed_unsync() };
        let mut request = request.body(body).expect("a request");
        if self == Self::Late {
            let headers = request.headers_mut();
            DeadlineHeader::UNIX_NANOS.insert(headers, Duration::ZERO, SystemTime::now());
        }
        request
    }
}

/// Four pieces, each a millisecond after the other.
fn slow_body() -> Body {
    let pieces = futures_util::stream::unfold(0, |piece| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        (piece < 4).then_some((Ok(Frame::data(Bytes::from_static(b"a fuse, "))), piece + 1))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// How many requests of each kind have ended how.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<(Kind, Ending), u64>);

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, ending, count) in other.iter() {
            *self.0.entry((kind, ending)).or_default() += count;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, Ending, u64)> {
        self.0.iter().map(|((kind, ending), count)| (*kind, *ending, *count))
    }

    pub(crate) fn count(&self, kind: Kind, ending: Ending) -> u64 {
        self.0.get(&(kind, ending)).copied().unwrap_or(0)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Sends requests one after the other, on one connection as long as that holds.
pub(crate) async fn connection(load: Arc<Load>) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    while let Some(number) = load.next() {
        let kind = Kind::of(number);
        let sender = match connection.take() {
            Some(sender) => sender,
            None => connect(&load).await,
        };
        let (ending, sender) = ask(sender, kind, number).await;
        connection = sender;
        *tally.0.entry((kind, ending)).or_default() += 1;
    }
    tally
}

/// Sends one request on a connection of its own.
pub(crate) async fn one(server: SocketAddr, kind: Kind) -> Ending {
    let sender = connect_to(server).await.expect("a server");
    ask(sender, kind, 0).await.0
}

/// Until there is a server.
async fn connect(load: &Load) -> SendRequest<Body> {
    loop {
        let server = *load.server.lock().unwrap();
        match connect_to(server).await {
            Some(sender) => return sender,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn connect_to(server: SocketAddr) -> Option<SendRequest<Body>> {
    let stream = TcpStream::connect(server).await.ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    // It ends with its sender.
    tokio::spawn(connection);
    Some(sender)
}

/// How the request ends, and the connection where that can be used again.
async fn ask(
    mut sender: SendRequest<Body>,
    kind: Kind,
    number: u64,
) -> (Ending, Option<SendRequest<Body>>) {
    if sender.ready().await.is_err() {
        return (Broken, None);
    }
    let asked = sender.send_request(kind.request(number));
    let patience = if kind == Kind::GivenUp { number % 1024 } else { 60_000_000 };
    let Ok(answer) = tokio::time::timeout(Duration::from_micros(patience), asked).await else {
        return (Dropped, None);
    };
    let Ok(answer) = answer else { return (Broken, None) };
    let (status, problem) = (answer.status().as_u16(), "application/problem+json");
    if status >= 400 {
        let is = answer.headers().get(header::CONTENT_TYPE);
        assert!(is.is_some_and(|is| is == problem), "{kind:?}: {status} as {is:?}");
        assert!(status != 429 || answer.headers().contains_key(header::RETRY_AFTER));
    }
    match answer.into_body().collect().await {
        // Whoever answers before it has the whole body hangs up.
        Ok(_) if kind == Kind::SlowAdd => (Status(status), None),
        Ok(_) => (Status(status), Some(sender)),
        Err(_) => (Broken, None),
    }
}
