//! The service that gets into trouble: a real HTTP/1.1 server on a loopback port, with a fixed
//! number of workers behind a bounded first-come-first-served queue.
//!
//! A gateway in front answers 504 once a request has taken [`Plan::patience`], and the caller may
//! hang up earlier. Neither takes the request out of the queue: a worker spends its time on it all
//! the same, for nobody. That is how most services behave, and it is what lets an overload outlive
//! its cause.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::schedule::{Plan, Rng, Stage};

/// The service times spread this far, evenly, around their mean.
const SPREAD: f64 = 0.2;

/// From the start of the server to the first stage.
const LEAD: Duration = Duration::from_millis(100);

/// A running upstream; dropping it closes the port and ends its thread.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    epoch: Instant,
    received: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Upstream {
    /// Opens a port and serves on a thread of its own, so that the load on the clients' thread
    /// does not eat the upstream's capacity.
    ///
    /// # Errors
    ///
    /// No port, no runtime or no thread to be had.
    pub fn start(plan: Plan, seed: u64) -> io::Result<Self> {
        let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        port.set_nonblocking(true)?;
        let addr = port.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let epoch = Instant::now() + LEAD;
        let received = Arc::new(AtomicU64::new(0));
        let (jobs, queue) = mpsc::channel(plan.queue);
        let desk = Desk { plan, epoch, queue: Mutex::new(queue), rng: Rng::new(seed).into() };
        let gateway = Gateway { jobs, patience: plan.patience, received: Arc::clone(&received) };
        let (stop, stopped) = oneshot::channel();
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(port)?
        };
        let thread = thread::Builder::new().name("upstream".into()).spawn(move || {
            runtime.block_on(async move {
                let desk = Arc::new(desk);
                for _ in 0..plan.workers {
                    tokio::spawn(work(Arc::clone(&desk)));
                }
                tokio::spawn(accept(listener, gateway));
                // An error: the handle was dropped. All tasks end with the runtime.
                let _ = stopped.await;
            });
        })?;
        Ok(Self { addr, epoch, received, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The instant at which the first stage begins.
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Requests that have reached the gateway.
    pub fn received(&self) -> u64 {
        // Relaxed: a statistic; nothing else is read through it.
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed already; a second one here would abort.
            let _ = thread.join();
        }
    }
}

/// A request in the queue. Nothing takes it back.
struct Job {
    queued_at: Instant,
    reply: oneshot::Sender<StatusCode>,
}

/// What the workers share.
struct Desk {
    plan: Plan,
    epoch: Instant,
    queue: Mutex<mpsc::Receiver<Job>>,
    rng: std::sync::Mutex<Rng>,
}

/// What each connection needs.
#[derive(Clone)]
struct Gateway {
    jobs: mpsc::Sender<Job>,
    patience: Duration,
    received: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, gateway: Gateway) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, gateway.clone()))),
            // Out of descriptors, most likely: they come back as callers hang up.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn converse(stream: TcpStream, gateway: Gateway) {
    // Small answers must not wait for an acknowledgement; if this fails they are merely later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|_request| async {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = gateway.answer().await;
        Ok::<_, Infallible>(response)
    });
    // An error: the caller hung up, which is the caller's good right.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Gateway {
    async fn answer(&self) -> StatusCode {
        // Relaxed: a statistic; see `Upstream::received`.
        self.received.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        if self.jobs.try_send(Job { queued_at: Instant::now(), reply }).is_err() {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        match timeout(self.patience, answer).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) => StatusCode::BAD_GATEWAY,
            Err(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

async fn work(desk: Arc<Desk>) {
    let mut free_at = desk.epoch;
    loop {
        // Held while waiting: idle workers queue for the lock, jobs queue for the workers.
        let Some(job) = desk.queue.lock().await.recv().await else { return };
        // Timers fire late. A job begins when it and its worker were both there, not when this
        // line runs: else the lateness would add up, and the capacity be less than planned.
        let begin = free_at.max(job.queued_at);
        let (takes, status) = desk.fate(begin);
        free_at = begin + takes;
        sleep_until(free_at).await;
        // An error: nobody waits any more. The time is spent all the same.
        let _ = job.reply.send(status);
    }
}

impl Desk {
    /// How long a request begun now holds its worker, and how it ends.
    fn fate(&self, begin: Instant) -> (Duration, StatusCode) {
        let stage = self.plan.stage(begin.saturating_duration_since(self.epoch));
        let [spread, luck] = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            [rng.unit(), rng.unit()]
        };
        let takes = stage.slowdown() * (1.0 + SPREAD * (2.0 * spread - 1.0));
        let takes = self.plan.service.mul_f64(takes);
        if luck < stage.hang_share() {
            (self.plan.hang(), StatusCode::INTERNAL_SERVER_ERROR)
        } else if luck < stage.hang_share() + stage.fail_share() {
            (takes, StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            (takes, StatusCode::OK)
        }
    }
}

const _: () = assert!(
    Stage::Failing.hang_share() + Stage::Failing.fail_share() < 1.0,
    "a failing upstream still answers some requests"
);
