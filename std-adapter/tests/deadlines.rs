//! Deadlines that come in, hold for what is done, and go out again.
#![cfg(all(feature = "http", feature = "tokio"))]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderName, Request, Response};
use fusebox_std::http::{ServerErrors, deadline::*};
use fusebox_std::prelude::*;
use fusebox_std::tower::{PipelineLayer, ResendClones};
use fusebox_std::{current_deadline, with_deadline};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn incoming() -> Incoming {
    Incoming::from(DeadlineHeader::UNIX_NANOS)
}

fn request(header: &str, value: impl ToString) -> Request<()> {
    Request::get("/").header(header, value.to_string()).body(()).expect("a request")
}

/// A moment of which the tests know what time it is.
fn now() -> SystemTime {
    UNIX_EPOCH + 1_800_000_000 * SECOND
}

/// A request that must be done this many milliseconds after [`now`].
fn due(millis: i64) -> Request<()> {
    request("x-deadline", (1_800_000_000_000_i64 + millis) * 1_000_000)
}

#[test]
fn a_deadline_is_believed_as_far_as_is_said() {
    let config = incoming().max(2 * SECOND).tolerance(100 * MS);
    let left = |request| config.time_left(&request, now());
    assert_eq!(left(due(1500)), Some(1500 * MS));
    assert_eq!(left(due(3_600_000)), Some(2 * SECOND), "cut to the maximum");
    assert_eq!(left(due(0)), Some(Duration::ZERO));
    assert_eq!(left(due(-100)), Some(Duration::ZERO), "it has passed");
    assert_eq!(left(due(-101)), None, "clocks differ");
    assert_eq!(left(request("x-deadline", "tomorrow")), None);
    assert_eq!(left(request("accept", "*/*")), None);

    let config = config.or_else(SECOND);
    assert_eq!(config.time_left(&due(-101), now()), Some(SECOND));
    assert_eq!(config.time_left(&due(1500), now()), Some(1500 * MS));
    let config = config.trusted_if(|headers, _| headers.contains_key("x-inside"));
    assert_eq!(config.time_left(&due(1500), now()), Some(SECOND));
    let mut inside = due(1500);
    inside.headers_mut().insert("x-inside", 1.into());
    assert_eq!(config.time_left(&inside, now()), Some(1500 * MS));
}

#[test]
fn the_earliest_of_several_holds() {
    let millis = HeaderName::from_static("x-request-timeout-ms");
    let config = incoming().or(DeadlineHeader::GRPC_TIMEOUT).or(DeadlineHeader::millis(millis));
    let mut several = due(1500);
    several.headers_mut().insert("grpc-timeout", "700m".parse().expect("a value"));
    several.headers_mut().insert("x-request-timeout-ms", 900.into());
    assert_eq!(config.time_left(&several, now()), Some(700 * MS));
    several.headers_mut().insert("grpc-timeout", "soon".parse().expect("a value"));
    assert_eq!(config.time_left(&several, now()), Some(900 * MS));
}

#[tokio::test(start_paused = true)]
async fn work_whose_time_is_up_is_refused_before_it_starts_and_cut_off_later() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let slow = service_fn(move |_: Request<()>| {
        counted.fetch_add(1, Relaxed);
        async {
            tokio::time::sleep(SECOND).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let config = Incoming::from(DeadlineHeader::GRPC_TIMEOUT);
    let service = DeadlineLayer::new(config).http().layer(slow);

    let Ok(late) = service.clone().oneshot(request("grpc-timeout", "0n")).await;
    assert_eq!((late.status().as_u16(), calls.load(Relaxed)), (504, 0));
    assert!(late.body().contains("deadline-exceeded"));

    let Ok(cut_off) = service.clone().oneshot(request("grpc-timeout", "999m")).await;
    assert_eq!((cut_off.status().as_u16(), calls.load(Relaxed)), (504, 1));
    assert!(cut_off.body().contains("timed-out"));

    let Ok(served) = service.clone().oneshot(request("grpc-timeout", "1100m")).await;
    assert_eq!((served.status().as_u16(), calls.load(Relaxed)), (200, 2));

    // It is the moment of the first poll that counts, and waiting for that is time spent.
    let mut service = service;
    let ready = service.ready().await.expect("it cannot fail");
    let waiting = ready.call(request("grpc-timeout", "5m"));
    tokio::time::sleep(6 * MS).await;
    let Ok(late) = waiting.await;
    assert!(late.body().contains("deadline-exceeded"));
    assert_eq!((late.status().as_u16(), calls.load(Relaxed)), (504, 2));
}

/// What is left of a deadline when a request with it arrives, in milliseconds.
fn told(request: Request<()>) -> Ready<Result<u64, Infallible>> {
    let config = Incoming::from(DeadlineHeader::GRPC_TIMEOUT);
    let left = config
        .time_left(&request, SystemTime::now())
        .map_or(u64::MAX, |left| u64::try_from(left.as_millis()).expect("not that long"));
    ready(Ok(left))
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_is_gone_from_what_is_sent() {
    let client = ServiceBuilder::new()
        .layer(SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT))
        .service_fn(told);
    let inner = client.clone();
    let handler = service_fn(move |_: Request<()>| {
        let client = inner.clone();
        async move {
            tokio::time::sleep(300 * MS).await;
            let Ok(first) = client.clone().oneshot(Request::new(())).await;
            // A task has the deadline that it is given.
            let own = tokio::spawn(client.clone().oneshot(Request::new(())));
            let given = tokio::spawn(with_deadline(current_deadline(), async {
                client.oneshot(request("grpc-timeout", "9H")).await
            }));
            let (Ok(own), Ok(given)) =
                (own.await.expect("no panic"), given.await.expect("no panic"));
            Ok::<_, Infallible>((first, own, given))
        }
    });
    let service = DeadlineLayer::new(Incoming::from(DeadlineHeader::GRPC_TIMEOUT)).layer(handler);
    let answer = service.oneshot(request("grpc-timeout", "1S")).await;
    assert_eq!(answer, Ok((700, u64::MAX, 700)));
    assert!(current_deadline().is_never());
    let Ok(without) = client.oneshot(Request::new(())).await;
    assert_eq!(without, u64::MAX);
}

#[tokio::test(start_paused = true)]
async fn an_inner_deadline_is_never_later() {
    let outer = Deadline::after(&TokioTimer, SECOND);
    let seen = with_deadline(outer, async {
        let later = Deadline::after(&TokioTimer, 2 * SECOND);
        let sooner = Deadline::after(&TokioTimer, 10 * MS);
        let inner = |deadline| with_deadline(deadline, async { current_deadline() });
        assert_eq!(inner(sooner).await, sooner);
        inner(later).await
    });
    assert_eq!(seen.await, outer);
}

#[tokio::test(start_paused = true)]
async fn retries_stop_in_time_and_each_says_what_is_left_then() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let failing = service_fn(move |request: Request<()>| {
        let notes = Arc::clone(&notes);
        async move {
            let Ok(left) = told(request).await;
            notes.lock().expect("no panic").push(left);
            Err::<(), _>("down")
        }
    });
    let retry = Retry::new(Backoff::constant(100 * MS)).unlimited();
    let pipeline = Arc::new(Pipeline::new(TokioTimer).retry(retry));
    let client = ServiceBuilder::new()
        .layer(PipelineLayer::retrying(pipeline, ResendClones).ending_by(current_deadline))
        .layer(SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT))
        .service(failing);
    let deadline = Deadline::after(&TokioTimer, 350 * MS);
    let call = client.clone().oneshot(Request::new(()));
    // `oneshot` calls the service when it is polled, so within this.
    let answer = with_deadline(deadline, call).await;
    assert_eq!(answer, Err(Error::Inner("down")));
    let seen = seen.lock().expect("no panic").clone();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(
        seen.iter().zip([350, 250, 150, 50]).all(|(told, left)| told.abs_diff(left) <= 5),
        "{seen:?}"
    );

    // And nothing is sent that is too late.
    tokio::time::sleep(SECOND).await;
    let late = with_deadline(deadline, client.oneshot(Request::new(()))).await;
    assert_eq!(
        late.unwrap_err().rejection().map(|why| why.reason()),
        Some(Reason::DeadlineExceeded)
    );
}

/// The headers that a service behind these layers gets, in lines.
async fn headers_inside(incoming: Incoming, request: Request<()>) -> String {
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(incoming))
        .layer(SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT))
        .service_fn(|request: Request<()>| async move {
            let lines = request.headers().iter().map(|(name, value)| format!("{name} {value:?}"));
            Ok::<_, Infallible>(lines.collect::<Vec<_>>().join("\n"))
        });
    service.oneshot(request).await.expect("an answer in time")
}

/// What was not believed, or cut to a maximum, went on to inner services, which trust this one.
#[tokio::test(start_paused = true)]
async fn no_header_goes_on_that_is_not_gone_by() {
    let millis = HeaderName::from_static("x-request-timeout-ms");
    let both = Incoming::from(DeadlineHeader::GRPC_TIMEOUT)
        .or(DeadlineHeader::millis(millis.clone()))
        .max(SECOND);
    let stranger = request("grpc-timeout", "1n");
    assert_eq!(headers_inside(both.clone().trusted_if(|_, _| false), stranger).await, "");

    let mut long = request("x-request-timeout-ms", 999_999);
    long.headers_mut().insert("grpc-timeout", "soon".parse().unwrap());
    assert_eq!(headers_inside(both, long).await, "grpc-timeout \"1000000u\"");
}

/// A few requests with no time to speak of opened the breaker of a service that was well.
#[tokio::test(start_paused = true)]
async fn who_gives_no_time_opens_no_breaker() {
    for (min, expected) in [(Duration::ZERO, State::Open), (20 * MS, State::Closed)] {
        let breaker: Arc<CircuitBreaker> =
            Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
        let pipeline =
            Pipeline::new(TokioTimer).per_attempt(Arc::clone(&breaker)).classify(ServerErrors);
        let incoming = Incoming::from(DeadlineHeader::GRPC_TIMEOUT).min(min);
        let service = ServiceBuilder::new()
            .layer(DeadlineLayer::new(incoming).http())
            .layer(PipelineLayer::new(Arc::new(pipeline)).ending_by(current_deadline).http())
            .service_fn(|_: Request<()>| async {
                tokio::time::sleep(20 * MS).await;
                Ok::<_, Infallible>(Response::new(String::new()))
            });
        for _ in 0..9 {
            let refused = service.clone().oneshot(request("grpc-timeout", "2m")).await;
            assert!(refused.unwrap().status().is_server_error());
        }
        assert_eq!(breaker.snapshot().state, expected, "with a minimum of {min:?}");
    }
}

/// The shorter time that a request had of its own was replaced by what was left of a longer one.
#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_is_told() {
    let client = SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT).layer(service_fn(
        |request: Request<()>| async move {
            Ok::<_, Infallible>(request.headers()["grpc-timeout"].to_str().unwrap().to_owned())
        },
    ));
    let deadline = Deadline::after(&TokioTimer, 2 * SECOND);
    let told = |own: &'static str| {
        with_deadline(deadline, client.clone().oneshot(request("grpc-timeout", own)))
    };
    assert_eq!(told("100m").await.unwrap(), "100m");
    for own in ["3S", "soon", "-1S"] {
        assert_eq!(told(own).await.unwrap(), "2000000u", "in place of {own}");
    }
}

/// An attempt was told of the deadline outside of its pipeline, and not of its own, which came
/// first.
#[tokio::test(start_paused = true)]
async fn an_attempt_is_told_when_it_will_be_cut_off() {
    let pipeline = Pipeline::new(TokioTimer).deadline(50 * MS).attempt_timeout(20 * MS);
    let client = ServiceBuilder::new()
        .layer(PipelineLayer::new(Arc::new(pipeline)).ending_by(current_deadline))
        .layer(SendDeadlineLayer::new(DeadlineHeader::millis(HeaderName::from_static("x-ms"))))
        .service_fn(|request: Request<()>| async move {
            let told = request.headers()["x-ms"].to_str().expect("text").to_owned();
            tokio::task::yield_now().await;
            Ok::<_, Infallible>((told, current_deadline().remaining(&TokioTimer) <= 20 * MS))
        });
    let five_seconds = Deadline::after(&TokioTimer, 5 * SECOND);
    for outside in [Deadline::NEVER, five_seconds] {
        let (told, inside) =
            with_deadline(outside, client.clone().oneshot(Request::new(()))).await.unwrap();
        assert!(told == "20" || told == "19", "{told}");
        assert!(inside, "also later in the attempt");
    }
    let five_millis = Deadline::after(&TokioTimer, 5 * MS);
    let (told, _) = with_deadline(five_millis, client.oneshot(Request::new(()))).await.unwrap();
    assert!(told == "5" || told == "4", "{told}");
}

#[test]
fn a_zero_by_which_some_mean_no_limit_says_nothing() {
    let millis = Incoming::from(DeadlineHeader::millis(HeaderName::from_static("x-ms")));
    assert_eq!(millis.time_left(&request("x-ms", 0), now()), None);
    assert_eq!(millis.time_left(&request("x-ms", 1), now()), Some(MS));
}

#[tokio::test(start_paused = true)]
async fn what_is_polled_after_its_end_stays_pending() {
    let mut service = DeadlineLayer::new(incoming())
        .layer(service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(()))));
    let mut call = Box::pin(service.call(Request::new(())));
    assert!(call.as_mut().await.is_ok());
    assert!(futures_util::poll!(call).is_pending());
    let mut scoped = Box::pin(with_deadline(Deadline::NEVER, ready(())));
    scoped.as_mut().await;
    assert!(futures_util::poll!(scoped).is_pending());
}
