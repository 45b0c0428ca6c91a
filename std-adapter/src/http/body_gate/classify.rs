//! What the head of a response says to a gate, and what its end.

use ::http::{HeaderMap, Response};
use fusebox_core::{Classify, Outcome};

/// What the head of a response says of how the call will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It has ended so, whatever body there is.
    Ended(Outcome),
    /// It ends so, should the body end well.
    Provisional(Outcome),
    /// Only the end says it: see [`ClassifyEnd`].
    Open,
}

/// Says what the end of a response means to a gate that has waited for it.
pub trait ClassifyEnd {
    /// What a body that has ended means, where its head has left that [open](Head::Open).
    /// `trailers` are there where the body had any.
    fn classify_end(&self, trailers: Option<&HeaderMap>) -> Outcome;
}

/// Says what the head of a response means to a gate that waits for its end.
pub trait ClassifyHead<B, E>: ClassifyEnd {
    /// What the head means, or the service's error, which should not be [`Head::Open`].
    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head;
}

/// Judges by the head alone, as the [`Classify`] in it does.
#[derive(Clone, Copy, Debug)]
pub struct ByHead<K>(
    /// What judges.
    pub K,
);

impl<K> ClassifyEnd for ByHead<K> {
    /// Never asked, as the head says all.
    fn classify_end(&self, _trailers: Option<&HeaderMap>) -> Outcome {
        Outcome::Success
    }
}

impl<B, E, K: Classify<Response<B>, E>> ClassifyHead<B, E> for ByHead<K> {
    #[inline]
    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head {
        Head::Provisional(self.0.classify(result))
    }
}
