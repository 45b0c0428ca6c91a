//! Limits by key: the gate of a request is that of its key.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use fusebox_core::{Clock, Gate, Rejection};

use super::gate_by::{ChooseGate, GateByLayer};
use crate::keyed::{Keyed, KeyedBucket, KeyedBuckets, KeyedGate, KeyedSketch, KeyedSketchBucket};

/// Where the key of a request is: any `Fn(&Q) -> Result<K, Rejection>`, or, for HTTP, those of
/// [`http::key`](crate::http::key) (feature `http`).
#[diagnostic::on_unimplemented(
    note = "give the argument of a closure its type: `|request: &MyRequest| Ok(..)`"
)]
pub trait KeyOf<Q, K> {
    /// The key of `request`.
    ///
    /// # Errors
    ///
    /// [`Reason::NoKey`](crate::Reason::NoKey) where it has none: the request is refused.
    fn key_of(&self, request: &Q) -> Result<K, Rejection>;
}

impl<Q, K, F: Fn(&Q) -> Result<K, Rejection>> KeyOf<Q, K> for F {
    #[inline]
    fn key_of(&self, request: &Q) -> Result<K, Rejection> {
        self(request)
    }
}

/// What has a gate for each key: [`KeyedBuckets`], [`Keyed`] and [`KeyedSketch`].
pub trait KeyedGates {
    /// What finds a gate.
    type Key;

    /// The gate of a key, which may hold `R`, a pointer to all of them.
    type Gate<R: Deref<Target = Self>>: Gate;

    /// The gate of `key`.
    ///
    /// # Errors
    ///
    /// As [`Keyed::get`].
    fn gate_of<R>(limits: &R, key: Self::Key) -> Result<Self::Gate<R>, Rejection>
    where
        R: Deref<Target = Self> + Clone;
}

impl<K, C, S> KeyedGates for KeyedBuckets<K, C, S>
where
    K: Hash + Eq + Clone,
    C: Clock + Clone,
    S: BuildHasher,
{
    type Key = K;
    type Gate<R: Deref<Target = Self>> = KeyedBucket<R, K>;

    #[inline]
    fn gate_of<R>(limits: &R, key: K) -> Result<Self::Gate<R>, Rejection>
    where
        R: Deref<Target = Self> + Clone,
    {
        Ok(KeyedBucket::new(limits.clone(), key))
    }
}

impl<K, G, S> KeyedGates for Keyed<K, G, S>
where
    K: Hash + Eq + Clone,
    G: Gate + crate::Idle,
    S: BuildHasher,
{
    type Key = K;
    type Gate<R: Deref<Target = Self>> = KeyedGate<G>;

    #[inline]
    fn gate_of<R>(limits: &R, key: K) -> Result<Self::Gate<R>, Rejection>
    where
        R: Deref<Target = Self> + Clone,
    {
        limits.get(&key)
    }
}

impl<K, C, S> KeyedGates for KeyedSketch<K, C, S>
where
    K: Hash,
    C: Clock,
    S: BuildHasher,
{
    type Key = K;
    type Gate<R: Deref<Target = Self>> = KeyedSketchBucket<R>;

    #[inline]
    fn gate_of<R>(limits: &R, key: K) -> Result<Self::Gate<R>, Rejection>
    where
        R: Deref<Target = Self> + Clone,
    {
        Ok(KeyedSketchBucket::new(limits.clone(), &key))
    }
}

/// The gate of the key that a request has; see [`GateByLayer::keyed`].
#[derive(Clone, Copy)]
pub struct ByKey<R, X> {
    limits: R,
    key: X,
}

impl<R, X, Q> ChooseGate<Q> for ByKey<R, X>
where
    R: Deref<Target: KeyedGates> + Clone,
    X: KeyOf<Q, <R::Target as KeyedGates>::Key>,
{
    type Gate = <R::Target as KeyedGates>::Gate<R>;

    #[inline]
    fn choose(&self, request: &Q) -> Result<Self::Gate, Rejection> {
        <R::Target as KeyedGates>::gate_of(&self.limits, self.key.key_of(request)?)
    }
}

impl<R, X> GateByLayer<ByKey<R, X>>
where
    R: Deref<Target: KeyedGates>,
{
    /// A layer at which each request asks the gate of its key, which `key` finds. (Feature
    /// `keyed`.)
    ///
    /// `limits` are [`KeyedBuckets`], a [`Keyed`] or a [`KeyedSketch`], held as `&'static` or in an
    /// `Arc`. A request for which `key` finds none is refused with
    /// [`Reason::NoKey`](crate::Reason::NoKey); to let such requests share a limit, have `key`
    /// return what they share.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{convert::Infallible, sync::Arc};
    /// use fusebox_std::{KeyedBuckets, prelude::*, tower::GateByLayer};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// #[derive(Clone)]
    /// struct Order { user: Option<String> }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let limits = Arc::new(KeyedBuckets::new(1_000, BucketConfig::per_hour(1)).unwrap());
    /// let user = |order: &Order| order.user.clone().ok_or(Rejection::new(Reason::NoKey));
    /// let service = ServiceBuilder::new()
    ///     .layer(GateByLayer::keyed(limits, user))
    ///     .service(service_fn(|_: Order| async { Ok::<_, Infallible>("done") }));
    ///
    /// let of_ada = Order { user: Some("ada".to_owned()) };
    /// assert!(service.clone().oneshot(of_ada.clone()).await.is_ok());
    /// let why = |result: Result<_, Error<Infallible>>| result.err()?.rejection().map(|why| why.reason());
    /// assert_eq!(why(service.clone().oneshot(of_ada).await), Some(Reason::RateLimited));
    /// assert_eq!(why(service.oneshot(Order { user: None }).await), Some(Reason::NoKey));
    /// # }
    /// ```
    pub const fn keyed(limits: R, key: X) -> Self {
        Self { choose: ByKey { limits, key }, classify: fusebox_core::ResultClassify }
    }
}

impl<R, X: fmt::Debug> fmt::Debug for ByKey<R, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey").field("key", &self.key).finish_non_exhaustive()
    }
}
