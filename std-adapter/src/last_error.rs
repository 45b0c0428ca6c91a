//! The text of the last error.

use std::fmt::{self, Debug, Display, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fusebox_core::{Classify, Outcome, ResultClassify};

/// Keeps the text of the last error, its `Display`, cut to `BYTES` bytes at the end of a character:
/// for a health page beside a [`BreakerSnapshot`](fusebox_core::BreakerSnapshot) or a
/// [`PipelineSnapshot`](fusebox_core::PipelineSnapshot), which hold no texts.
///
/// It listens where errors pass by, as the [`Classify`] of a pipeline, a guard or a
/// [`call_with`](fusebox_core::Gate::call_with): by itself it calls each `Err` a failure, and
/// [`noting`](Self::noting) leaves that to another one. Failures are noted; an attempt that was cut
/// off has no error, and so no text.
///
/// A success costs nothing. A failure costs its `Display`, written to the stack, and a short lock
/// to copy it; nothing allocates, and however long the text is, no more than `BYTES` of it are
/// kept.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use fusebox_std::LastError;
///
/// static DATABASE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
/// static LAST_ERROR: LastError = LastError::new();
///
/// let rows = DATABASE.call_with(&LAST_ERROR, || Err::<(), _>("no route to host"));
/// assert!(rows.is_err());
/// assert_eq!(LAST_ERROR.text().as_deref(), Some("no route to host"));
/// ```
///
/// Of a pipeline, whose gates take some errors for no failures:
///
/// ```
/// use fusebox_std::prelude::*;
/// use fusebox_std::LastError;
/// use std::io::{Error, ErrorKind};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let last_error: LastError = LastError::new();
/// let clock: ManualClock = ManualClock::new();
/// let trouble = FailureIf(|error: &Error| error.kind() != ErrorKind::NotFound);
/// let answer = Pipeline::new(&clock)
///     .classify(last_error.noting(trouble))
///     .call(|_| async { Err::<(), _>(Error::from(ErrorKind::NotFound)) })
///     .await;
/// assert!(answer.is_err());
/// assert_eq!(last_error.text(), None, "that says nothing about the disk");
/// # }
/// ```
pub struct LastError<const BYTES: usize = 256> {
    text: Mutex<Text<BYTES>>,
}

impl<const BYTES: usize> LastError<BYTES> {
    /// No error yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: Mutex::new(Text::EMPTY) }
    }

    /// A [`Classify`] that asks `classify`, and notes the errors that it calls failures.
    pub const fn noting<K>(&self, classify: K) -> Noting<'_, K, BYTES> {
        Noting { classify, last_error: self }
    }

    /// Notes the text of `error`, for code that meets its errors elsewhere.
    pub fn note(&self, error: &(impl Display + ?Sized)) {
        // Not under the lock: what the error does here is its own affair.
        let mut text = Text::EMPTY;
        // A text that cannot be written is kept as far as it could.
        let _ = write!(text, "{error}");
        text.is_there = true;
        *self.lock() = text;
    }

    /// The text of the last error, if there was one.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let text = *self.lock();
        text.is_there.then(|| text.as_str().to_owned())
    }

    /// Forgets it.
    pub fn clear(&self) {
        *self.lock() = Text::EMPTY;
    }

    fn lock(&self) -> MutexGuard<'_, Text<BYTES>> {
        // Nothing that can panic is done under the lock.
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<const BYTES: usize> Default for LastError<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> Debug for LastError<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LastError").field(&self.text()).finish()
    }
}

/// By itself: an `Err` is a failure.
impl<T, E: Display, const BYTES: usize> Classify<T, E> for &LastError<BYTES> {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self.noting(ResultClassify).classify(result)
    }
}

/// A [`Classify`] that notes the text of failures; see [`LastError::noting`].
#[derive(Clone, Copy, Debug)]
pub struct Noting<'a, K, const BYTES: usize = 256> {
    classify: K,
    last_error: &'a LastError<BYTES>,
}

impl<T, E, K, const BYTES: usize> Classify<T, E> for Noting<'_, K, BYTES>
where
    E: Display,
    K: Classify<T, E>,
{
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        let outcome = self.classify.classify(result);
        if let (Outcome::Failure, Err(error)) = (outcome, result) {
            self.last_error.note(error);
        }
        outcome
    }
}

/// The beginning of a text.
#[derive(Clone, Copy)]
struct Text<const BYTES: usize> {
    bytes: [u8; BYTES],
    length: usize,
    /// Whether something had to be left out. What comes later is left out, too, short as it may
    /// be.
    is_cut: bool,
    is_there: bool,
}

impl<const BYTES: usize> Text<BYTES> {
    const EMPTY: Self = Self { bytes: [0; BYTES], length: 0, is_cut: false, is_there: false };

    fn as_str(&self) -> &str {
        // Whole characters alone are ever written.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl<const BYTES: usize> Write for Text<BYTES> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.is_cut {
            return Ok(());
        }
        let room = BYTES - self.length;
        self.is_cut = more.len() > room;
        let mut fits = more.len().min(room);
        while !more.is_char_boundary(fits) {
            fits -= 1;
        }
        self.bytes[self.length..self.length + fits].copy_from_slice(&more.as_bytes()[..fits]);
        self.length += fits;
        Ok(())
    }
}
