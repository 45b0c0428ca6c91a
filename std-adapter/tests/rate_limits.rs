//! What clients are told of their limits, and whose limit it is.
#![cfg(all(feature = "http", feature = "keyed", feature = "tokio"))]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use fusebox_std::http::{HttpLayer, key};
use fusebox_std::prelude::*;
use fusebox_std::tower::{GateByLayer, GateLayer, KeyOf};
use tower::{Layer, Service, ServiceExt, service_fn};

type Answer = Response<String>;

/// What a service behind `layer` tells `user`: the status, the policy and what is left.
macro_rules! told {
    ($layer:expr, $user:expr) => {{
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Answer::default()) });
        let Ok(answer) = $layer.layer(service).oneshot(request($user)).await;
        let field = |name| answer.headers().get(name).map(|value| value.to_str().expect("text"));
        let [policy, left] =
            ["ratelimit-policy", "ratelimit"].map(|name| field(name).unwrap_or(""));
        (answer.status().as_u16(), policy.to_owned(), left.to_owned())
    }};
}

fn request(user: &str) -> Request<()> {
    let request = Request::get(format!("/users/{user}/orders"));
    let request = if user.is_empty() { request } else { request.header("x-api-key", user) };
    request.body(()).expect("a request")
}

fn said(status: u16, policy: &str, left: &str) -> (u16, String, String) {
    (status, policy.to_owned(), left.to_owned())
}

/// Bug 29: `per_second(4000)` that meant one per 4000 s. Quota and window are those that the bucket
/// keeps, whatever unit they were said in, and live ones.
#[tokio::test]
async fn quota_and_window_are_those_of_the_bucket() {
    for (config, policy) in [
        (BucketConfig::per_second(4000), r#""all";q=4000;w=1"#),
        (BucketConfig::per_minute(600).burst(100), r#""all";q=100;w=10"#),
        (BucketConfig::per_hour(5), r#""all";q=1;w=720"#),
        (BucketConfig::per_day(2).burst(2), r#""all";q=2;w=86400"#),
    ] {
        let bucket = Arc::new(TokenBucket::new(config, StdClock));
        let layer = GateLayer::new(Arc::clone(&bucket)).http().tell_limit("all");
        assert_eq!(told!(layer, "ada").1, policy);
    }
    let bucket = Arc::new(TokenBucket::new(BucketConfig::per_second(7), StdClock));
    let layer = GateLayer::new(Arc::clone(&bucket)).http().tell_limit("all");
    bucket.set_rate(Rate::per_second(5)).expect("a rate that fits");
    bucket.set_burst(10).expect("a burst that fits");
    assert_eq!(told!(layer, "ada").1, r#""all";q=10;w=2"#);
}

/// Where another bucket of the tuple refused, the first one's clients were told that theirs was
/// spent.
#[tokio::test]
async fn who_has_something_left_is_told_so_whoever_refuses() {
    let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::new()));
    let own = fusebox_std::TokenBucket::new(BucketConfig::per_second(100), clock);
    let all = fusebox_std::TokenBucket::new(BucketConfig::per_hour(1), clock);
    let layer = GateLayer::new(Arc::new((own, all))).http().tell_limit("own");
    assert_eq!(told!(layer, "ada"), said(200, r#""own";q=100;w=1"#, r#""own";r=99;t=1"#));
    clock.advance(Duration::from_secs(1));
    assert_eq!(told!(layer, "ada"), said(429, r#""own";q=100;w=1"#, r#""own";r=100;t=0"#));
}

#[tokio::test]
async fn what_is_left_is_told_with_each_answer() {
    let clock: &'static ManualClock = Box::leak(Box::new(ManualClock::new()));
    let bucket =
        Arc::new(fusebox_std::TokenBucket::new(BucketConfig::per_minute(6).burst(2), clock));
    let breaker = Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let layer = GateLayer::new(Arc::new((Arc::clone(&bucket), Arc::clone(&breaker))));
    let layer = layer.http().tell_limit("a \"b\"\n\u{e9}");
    let policy = r#""a \"b\"";q=2;w=20"#;
    assert_eq!(told!(layer, "ada"), said(200, policy, r#""a \"b\"";r=1;t=10"#));
    clock.advance(Duration::from_millis(500));
    assert_eq!(told!(layer, "ada"), said(200, policy, r#""a \"b\"";r=0;t=10"#), "9.5 s");
    assert_eq!(told!(layer, "ada"), said(429, policy, r#""a \"b\"";r=0;t=10"#));
    // Not the limit's doing: it was not asked to pay, and has something left.
    clock.advance(Duration::from_secs(60));
    breaker.trip();
    assert_eq!(told!(layer, "ada"), said(503, policy, r#""a \"b\"";r=2;t=0"#));
}

#[tokio::test]
async fn each_key_is_told_of_its_own_limit() {
    let limits = KeyedBuckets::new(100, BucketConfig::per_hour(1)).expect("a rate that fits");
    let limits = limits.override_for("acme".to_owned(), BucketConfig::per_second(10));
    let limits = Arc::new(limits.expect("a rate that fits"));
    let layer = GateByLayer::keyed(limits, key::header("x-api-key")).http().tell_limit("each");
    let common = r#""each";q=1;w=3600"#;
    assert_eq!(told!(layer, "ada"), said(200, common, r#""each";r=0;t=3600"#));
    assert_eq!(told!(layer, "ada"), said(429, common, r#""each";r=0;t=3600"#));
    assert_eq!(told!(layer, "bob"), said(200, common, r#""each";r=0;t=3600"#));
    assert_eq!(told!(layer, "acme"), said(200, r#""each";q=10;w=1"#, r#""each";r=9;t=1"#));
    // Whoever has no key was refused by no limit.
    assert_eq!(told!(layer, ""), said(400, "", ""));

    let routes = Arc::new(Keyed::new(10, |_: &String| {
        TokenBucket::new(BucketConfig::per_minute(60).burst(2), StdClock)
    }));
    let layer = GateByLayer::keyed(routes, key::path_prefix(1)).http().tell_limit("route");
    assert_eq!(told!(layer, "ada"), said(200, r#""route";q=2;w=2"#, r#""route";r=1;t=1"#));
}

#[tokio::test]
async fn a_sketch_has_a_limit_for_each_key() {
    let sketch = KeyedSketch::<String>::new(1 << 10, BucketConfig::per_hour(1));
    let sketch = Arc::new(sketch.expect("a rate that fits"));
    let layer = GateByLayer::keyed(sketch, key::path_segment(1)).http();
    let statuses = [told!(layer, "ada").0, told!(layer, "ada").0, told!(layer, "bob").0];
    assert_eq!(statuses, [200, 429, 200]);
}

#[tokio::test]
async fn whoever_has_no_key_may_share_one() {
    let limits = || {
        let limits = KeyedBuckets::<String>::new(100, BucketConfig::per_hour(2).burst(2));
        Arc::new(limits.expect("a rate that fits"))
    };
    async fn statuses<X>(limits: Arc<KeyedBuckets<String>>, key: X) -> [u16; 4]
    where
        X: KeyOf<Request<()>, String> + Clone,
    {
        let layer = GateByLayer::keyed(limits, key).http();
        [told!(layer, "").0, told!(layer, "").0, told!(layer, "").0, told!(layer, "ada").0]
    }
    let header = key::header("x-api-key");
    assert_eq!(statuses(limits(), header.clone()).await, [400, 400, 400, 200]);
    assert_eq!(statuses(limits(), header.or("nobody")).await, [200, 200, 429, 200]);
    let own = |request: &Request<()>| {
        let key = request.headers().get("x-api-key").and_then(|key| key.to_str().ok());
        key.map(str::to_owned).ok_or(Rejection::new(Reason::SwitchedOff))
    };
    assert_eq!(statuses(limits(), own).await, [503, 503, 503, 200]);
}

/// What a server asks of a service and its futures.
#[test]
fn services_are_spawned() {
    fn served<S>(_: &S)
    where
        S: Service<Request<()>, Future: Send + 'static> + Clone + Send + Sync + 'static,
    {
    }
    let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Answer::default()) });
    let limits = KeyedBuckets::<String>::new(100, BucketConfig::per_hour(2));
    let limits = Arc::new(limits.expect("a rate that fits"));
    let layer: HttpLayer<_, _> =
        GateByLayer::keyed(limits, key::path_segment(1)).http().tell_limit("x");
    served(&layer.layer(service));
}
