//! Fallbacks for futures.
//!
//! A chain is a future in a future: each tier holds the chain before it, until that has failed, and
//! then the future of its own in the same place. So only one of them exists at a time, what a
//! failed tier held is gone before the next one starts, and dropping the chain drops whichever
//! runs.
//!
//! Its types follow from the chain before and from the closure that makes the tier. They are no
//! parameters beside these, or a chain could not go into a `join!` in a spawned task; see
//! [`Operation`](crate::Operation).

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::Answer;

/// Fallbacks for futures that end in a `Result`.
///
/// In a spawned task, a chain whose answer or error borrows something goes into a `join!` as
/// `async { chain.await }` only: its tiers must agree on a lifetime, which the compiler cannot tell
/// there.
///
/// # Cancellation
///
/// Dropping the chain drops the tier that runs. **Cancel safety:** that of the tiers.
///
/// # Examples
///
/// A price from the database, else from a cache if the database was not even asked, else the list
/// price:
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{
///     BreakerConfig, CircuitBreaker, Error, FallbackFuture, ManualClock, Pipeline,
/// };
///
/// # async fn query(_: u32) -> Result<u32, &'static str> { Ok(90) }
/// # async fn cached(_: u32) -> Result<u32, Error<&'static str>> { Ok(95) }
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let database = CircuitBreaker::new(BreakerConfig::standard(), &clock);
/// let pipeline = Pipeline::new(&clock).deadline(Duration::from_secs(1)).per_attempt(&database);
///
/// let price = |id| {
///     pipeline
///         .call(move |_| query(id))
///         .fallback_if(Error::is_rejected, move |_| cached(id))
///         .or_value(100)
/// };
/// assert_eq!(price(1).await.into_inner(), 90);
///
/// database.trip();
/// let answer = price(1).await;
/// assert_eq!((answer.tier(), answer.into_inner()), (1, 95));
/// # });
/// ```
pub trait FallbackFuture<T, E>: Future<Output = Result<T, E>> + Sized {
    /// Falls back to the future that `tier` makes on any error; `tier` is told which.
    fn fallback<E2, C, G>(self, tier: C) -> FallingBack<First<Self>, Always, C>
    where
        C: FnOnce(E) -> G,
        G: Future<Output = Result<T, E2>>,
    {
        FallingBack::new(First { call: self }, 0, Always, tier)
    }

    /// Falls back to the future that `tier` makes on the errors for which `applies` holds; other
    /// errors pass on to the next tier.
    fn fallback_if<P, C, G>(self, applies: P, tier: C) -> FallingBack<First<Self>, If<P>, C>
    where
        P: FnOnce(&E) -> bool,
        C: FnOnce(E) -> G,
        G: Future<Output = Result<T, E>>,
    {
        FallingBack::new(First { call: self }, 0, If(applies), tier)
    }

    /// Falls back to `value` on any error; so there is an answer in any case.
    fn or_value(self, value: T) -> OrValue<First<Self>> {
        OrValue { chain: First { call: self }, value: Some(value), tier: 1 }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> FallbackFuture<T, E> for F {}

/// A chain of tiers: a future that ends in an [`Answer`] or in the error of its last tier.
///
/// Sealed by being out of reach, as are the traits below: [`FallbackFuture`] makes what has them.
pub trait Chain: Future<Output = Result<Answer<Self::Value>, Self::Error>> {
    type Value;
    type Error;
}

impl<T, E, F: Future<Output = Result<Answer<T>, E>>> Chain for F {
    type Value = T;
    type Error = E;
}

/// What makes the future of a tier, after the error `E`.
pub trait Tier<E> {
    type Value;
    type Error;
    type Future: Future<Output = Result<Self::Value, Self::Error>>;

    fn after(self, error: E) -> Self::Future;
}

impl<E, T, E2, C, G> Tier<E> for C
where
    C: FnOnce(E) -> G,
    G: Future<Output = Result<T, E2>>,
{
    type Value = T;
    type Error = E2;
    type Future = G;

    #[inline]
    fn after(self, error: E) -> G {
        self(error)
    }
}

/// Whether a tier is for this error.
pub trait Applies<E, E2> {
    /// The error for the tier, or what passes on to the next one.
    fn sort(self, error: E) -> Result<E, E2>;
}

/// On any error.
#[derive(Clone, Copy, Debug)]
pub struct Always;

impl<E, E2> Applies<E, E2> for Always {
    #[inline]
    fn sort(self, error: E) -> Result<E, E2> {
        Ok(error)
    }
}

/// On the errors for which the predicate holds.
#[derive(Clone, Copy, Debug)]
pub struct If<P>(P);

impl<E, P: FnOnce(&E) -> bool> Applies<E, E> for If<P> {
    #[inline]
    fn sort(self, error: E) -> Result<E, E> {
        if self.0(&error) { Ok(error) } else { Err(error) }
    }
}

pin_project! {
    /// The call that fallbacks are for; see [`FallbackFuture`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct First<F> {
        #[pin]
        call: F,
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for First<F> {
    type Output = Result<Answer<T>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx).map_ok(|value| Answer::of_tier(value, 0))
    }
}

pin_project! {
    /// A chain of fallbacks as a future; see [`FallbackFuture`].
    ///
    /// It ends in the [`Answer`] of the tier that gave one, or in the error of the last tier that
    /// was tried.
    #[must_use = "futures do nothing unless polled"]
    pub struct FallingBack<F, A, C>
    where
        F: Chain,
        C: Tier<F::Error>,
    {
        #[pin]
        stage: Stage<F, C::Future>,
        // Taken when the chain before fails.
        tier: Option<(A, C)>,
        number: u32,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, G> {
        Before { #[pin] chain: F },
        This { #[pin] future: G },
        Done,
    }
}

impl<F: Chain, A, C: Tier<F::Error>> FallingBack<F, A, C> {
    fn new(chain: F, last: u32, applies: A, tier: C) -> Self {
        let number = last.saturating_add(1);
        Self { stage: Stage::Before { chain }, tier: Some((applies, tier)), number }
    }
}

impl<F, A, C> FallingBack<F, A, C>
where
    F: Chain,
    A: Applies<F::Error, C::Error>,
    C: Tier<F::Error, Value = F::Value>,
{
    /// One more tier; see [`FallbackFuture::fallback`].
    pub fn fallback<E3, D, H>(self, tier: D) -> FallingBack<Self, Always, D>
    where
        D: FnOnce(C::Error) -> H,
        H: Future<Output = Result<F::Value, E3>>,
    {
        let last = self.number;
        FallingBack::new(self, last, Always, tier)
    }

    /// One more tier; see [`FallbackFuture::fallback_if`].
    pub fn fallback_if<P, D, H>(self, applies: P, tier: D) -> FallingBack<Self, If<P>, D>
    where
        P: FnOnce(&C::Error) -> bool,
        D: FnOnce(C::Error) -> H,
        H: Future<Output = Result<F::Value, C::Error>>,
    {
        let last = self.number;
        FallingBack::new(self, last, If(applies), tier)
    }

    /// The last tier; see [`FallbackFuture::or_value`].
    pub fn or_value(self, value: F::Value) -> OrValue<Self> {
        let tier = self.number.saturating_add(1);
        OrValue { chain: self, value: Some(value), tier }
    }
}

impl<F, A, C> Future for FallingBack<F, A, C>
where
    F: Chain,
    A: Applies<F::Error, C::Error>,
    C: Tier<F::Error, Value = F::Value>,
{
    type Output = Result<Answer<F::Value>, C::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.stage.as_mut().project() {
                StageProjection::Before { chain } => {
                    match (ready!(chain.poll(cx)), this.tier.take()) {
                        (Ok(answer), _) => Ok(answer),
                        (Err(error), Some((applies, tier))) => match applies.sort(error) {
                            Ok(error) => {
                                // What failed is gone before the tier is even made.
                                this.stage.set(Stage::Done);
                                let future = tier.after(error);
                                this.stage.set(Stage::This { future });
                                continue;
                            }
                            Err(error) => Err(error),
                        },
                        // The tier is there until the chain before has failed, and it fails once.
                        (Err(_), None) => return Poll::Pending,
                    }
                }
                StageProjection::This { future } => {
                    let number = *this.number;
                    ready!(future.poll(cx)).map(|value| Answer::of_tier(value, number))
                }
                // Polled again after it was done: there is no answer left to give, and no panic in
                // a library.
                StageProjection::Done => return Poll::Pending,
            };
            this.stage.set(Stage::Done);
            return Poll::Ready(result);
        }
    }
}

impl<F: Chain, A, C: Tier<F::Error>> fmt::Debug for FallingBack<F, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Before { .. } => "before",
            Stage::This { .. } => "running",
            Stage::Done => "done",
        };
        f.debug_struct("FallingBack")
            .field("tier", &self.number)
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A chain of fallbacks that ends in a value; see [`FallbackFuture::or_value`].
    ///
    /// It always ends in an [`Answer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct OrValue<F: Chain> {
        #[pin]
        chain: F,
        value: Option<F::Value>,
        tier: u32,
    }
}

impl<F: Chain> Future for OrValue<F> {
    type Output = Answer<F::Value>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.value.is_none() {
            // Polled again after it was done, as above.
            return Poll::Pending;
        }
        let result = ready!(this.chain.poll(cx));
        match (result, this.value.take()) {
            (Ok(answer), _) => Poll::Ready(answer),
            (Err(_), Some(value)) => Poll::Ready(Answer::of_tier(value, *this.tier)),
            // The value is there until the chain is done.
            (Err(_), None) => Poll::Pending,
        }
    }
}

impl<F: Chain> fmt::Debug for OrValue<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrValue").field("tier", &self.tier).finish_non_exhaustive()
    }
}
