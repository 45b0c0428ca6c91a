//! What the checks must find: without these they could pass by looking in the wrong place.

pub(crate) fn all() {
    #[cfg(feature = "planted-lock")]
    lock();
    #[cfg(feature = "planted-critical-section")]
    cortex_m::interrupt::free(|_| crate::CLOCK.advance_ticks(1));
    #[cfg(feature = "planted-index")]
    crate::keep(crate::any([1, 2, 3])[crate::any(1_usize)]);
    #[cfg(feature = "planted-unwrap")]
    crate::keep(crate::any(Some(1)).unwrap());
    #[cfg(feature = "planted-overflow")]
    crate::keep(crate::any(1_u32) + crate::any(1_u32));
}

/// A 64-bit atomic as its users write it, which a 32-bit target emulates.
#[cfg(feature = "planted-lock")]
fn lock() {
    use portable_atomic::{AtomicU64, Ordering};

    static COUNTER: AtomicU64 = AtomicU64::new(0);
    COUNTER.fetch_add(crate::any(1), Ordering::Relaxed);
}
