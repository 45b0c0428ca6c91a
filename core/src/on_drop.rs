//! Work for when foreign code panics: an observer, a waker, a rule or a callback of the user's.

/// Runs its closure when it is dropped, by a panic too.
///
/// What is for a panic alone ends in [`forget`](core::mem::forget) where all went well.
#[must_use = "dropped at once, it runs at once"]
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    #[inline]
    fn drop(&mut self) {
        (self.0)();
    }
}
