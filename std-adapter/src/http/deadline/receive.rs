//! The deadlines of requests that come in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use ::http::{Extensions, HeaderMap, Request};
use fusebox_core::{Deadline, Error, Reason, Rejection, WithTimeout};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::format::{DeadlineHeader, Left};
use crate::http::HttpLayer;
use crate::task_deadline::{WithDeadline, with_deadline};
use crate::tokio_timer::TokioTimer;
use crate::tower::{Calling, take_ready};

/// Which headers of a request say by when it must be done, and how far they are believed.
///
/// | setting | default |
/// |---|---|
/// | [`max`](Self::max) | 60 s |
/// | [`min`](Self::min) | none |
/// | [`or_else`](Self::or_else) | no deadline |
/// | [`tolerance`](Self::tolerance) | 1 s |
/// | [`trusted_if`](Self::trusted_if) | everybody is trusted |
///
/// # Examples
///
/// ```
/// use fusebox_std::http::deadline::{DeadlineHeader, Incoming};
/// use http::header::HeaderName;
/// use std::time::Duration;
///
/// let incoming = Incoming::from(DeadlineHeader::UNIX_NANOS)
///     .or(DeadlineHeader::millis(HeaderName::from_static("x-request-timeout-ms")))
///     .max(Duration::from_secs(30))
///     .or_else(Duration::from_secs(10));
/// # let _ = incoming;
/// ```
#[derive(Clone)]
#[must_use]
pub struct Incoming {
    headers: Vec<DeadlineHeader>,
    max: Duration,
    min: Duration,
    or_else: Duration,
    tolerance: Duration,
    trusted: Option<Arc<IsTrusted>>,
}

type IsTrusted = dyn Fn(&HeaderMap, &Extensions) -> bool + Send + Sync;

impl From<DeadlineHeader> for Incoming {
    /// Looks at one header.
    fn from(header: DeadlineHeader) -> Self {
        Self {
            headers: vec![header],
            max: Duration::from_secs(60),
            min: Duration::ZERO,
            or_else: Duration::MAX,
            tolerance: Duration::from_secs(1),
            trusted: None,
        }
    }
}

impl Incoming {
    /// Looks at `header` as well. Where several are there, the earliest deadline holds.
    pub fn or(mut self, header: DeadlineHeader) -> Self {
        self.headers.push(header);
        self
    }

    /// A deadline that is further away is one that is this far away.
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// A request whose deadline leaves less than this is refused before it starts: what cannot be
    /// done in time anyhow. About what a request takes when all is well.
    ///
    /// It also protects what all requests share. A call that its deadline cuts off is a failed one
    /// to breakers and adaptive limits, as it says that the service was too slow; many with
    /// next to no time would say so of a service that is well. A refusal says nothing to them.
    pub const fn min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// The time for a request that has no deadline, or none that is believed.
    pub const fn or_else(mut self, time: Duration) -> Self {
        self.or_else = time;
        self
    }

    /// A deadline that is past by more than this is ignored, as clocks that differ. One that is
    /// past by less has passed.
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Believes only requests of which `trusted` says so; it gets their headers and extensions,
    /// where servers put the address of the peer.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::extract::ConnectInfo;
    /// use fusebox_std::http::deadline::{DeadlineHeader, Incoming};
    /// use fusebox_std::TrustedProxies;
    /// use std::net::SocketAddr;
    ///
    /// let ours = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    /// let incoming = Incoming::from(DeadlineHeader::UNIX_NANOS).trusted_if(move |_, extensions| {
    ///     let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    ///     peer.is_some_and(|peer| ours.contains(peer.0.ip()))
    /// });
    /// # let _ = incoming;
    /// ```
    pub fn trusted_if<F>(mut self, trusted: F) -> Self
    where
        F: Fn(&HeaderMap, &Extensions) -> bool + Send + Sync + 'static,
    {
        self.trusted = Some(Arc::new(trusted));
        self
    }

    /// How long a request that comes in at `now` has left: zero where its deadline has passed, or
    /// leaves less than [`min`](Self::min); `None` where it has none.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::http::deadline::{DeadlineHeader, Incoming};
    /// use http::Request;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let incoming = Incoming::from(DeadlineHeader::GRPC_TIMEOUT);
    /// let request = Request::get("/").header("grpc-timeout", "250m").body(()).unwrap();
    /// assert_eq!(incoming.time_left(&request, SystemTime::now()), Some(Duration::from_millis(250)));
    /// ```
    #[must_use]
    pub fn time_left<B>(&self, request: &Request<B>, now: SystemTime) -> Option<Duration> {
        let (headers, extensions) = (request.headers(), request.extensions());
        let told = self.headers.iter().filter_map(|header| match header.read(headers, now)? {
            Left::For(left) if left < self.min => Some(Duration::ZERO),
            Left::For(left) => Some(left.min(self.max)),
            Left::PastBy(past) => (past <= self.tolerance).then_some(Duration::ZERO),
        });
        let is_trusted = || self.trusted.as_ref().is_none_or(|is| is(headers, extensions));
        let told = told.min().filter(|_| is_trusted());
        told.or((self.or_else != Duration::MAX).then_some(self.or_else))
    }

    /// Takes the headers away: what they say, as far as it is believed, is the deadline of the
    /// request by now, and whoever hands its headers on must not hand on what is not.
    fn strip(&self, headers: &mut HeaderMap) {
        for header in &self.headers {
            header.remove(headers);
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("headers", &self.headers)
            .field("max", &self.max)
            .field("min", &self.min)
            .field("or_else", &self.or_else)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// Gives each request the deadline that its headers say.
///
/// A request whose deadline has passed is refused before it starts, with
/// [`Reason::DeadlineExceeded`]; one that is not answered in time is dropped:
/// [`Error::TimedOut`]. In between, [`current_deadline`](crate::current_deadline) says the
/// deadline, and the headers that it came in, believed or not, are no longer there: so what hands a
/// request's headers on tells nobody of a deadline that this service does not go by. The body of a
/// response may come later.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    incoming: Arc<Incoming>,
}

impl DeadlineLayer {
    /// Deadlines from the headers that `incoming` says.
    #[must_use]
    pub fn new(incoming: Incoming) -> Self {
        Self { incoming: Arc::new(incoming) }
    }

    /// The same, with 504 as the answer to what is too late.
    #[must_use]
    pub const fn http(self) -> HttpLayer<Self> {
        HttpLayer::new(self)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner, incoming: Arc::clone(&self.incoming) }
    }
}

/// A service whose requests have deadlines; see [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    incoming: Arc<Incoming>,
}

impl<S, B> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = DeadlineFuture<S, Request<B>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let deadline = match self.incoming.time_left(&request, SystemTime::now()) {
            Some(left) => Deadline::after(&TokioTimer, left),
            None => Deadline::NEVER,
        };
        self.incoming.strip(request.headers_mut());
        let ready = take_ready(&mut self.inner);
        let limited = deadline.run(TokioTimer, Calling::of_ready(ready, request));
        let state = State::Idle;
        DeadlineFuture { limited: with_deadline(deadline, limited), deadline, state }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Running,
    Done,
}

pin_project! {
    /// A call that has a deadline; see [`DeadlineLayer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<S, Q>
    where
        S: Service<Q>,
    {
        #[pin]
        limited: WithDeadline<WithTimeout<TokioTimer, Calling<S, Q>>>,
        deadline: Deadline,
        state: State,
    }
}

#[cfg(feature = "grpc")]
impl<S: Service<Q>, Q> DeadlineFuture<S, Q> {
    pub(crate) const fn deadline(&self) -> Deadline {
        self.deadline
    }
}

impl<S: Service<Q>, Q> Future for DeadlineFuture<S, Q> {
    type Output = Result<S::Response, Error<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match *this.state {
            State::Idle if this.deadline.expired(&TokioTimer) => {
                *this.state = State::Done;
                return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded).into()));
            }
            State::Idle => *this.state = State::Running,
            State::Running => {}
            State::Done => return Poll::Pending,
        }
        let answer = ready!(this.limited.poll(cx));
        *this.state = State::Done;
        Poll::Ready(answer)
    }
}

impl<S: Service<Q>, Q> fmt::Debug for DeadlineFuture<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineFuture")
            .field("deadline", &self.deadline)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
