//! How much of something is out at once.

use portable_atomic::{AtomicU32, Ordering, fence};

/// How much is out, seen from outside: raised after something was taken, lowered before it is given
/// back. So it never shows more than is out, and a reading above the limit is a real one.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU32);

impl Gauge {
    /// Nothing is out.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// `n` were taken: how many are out now.
    pub fn raise(&self, n: u32) -> u32 {
        // Acquire: pairs with the fence in `lower`. Whoever takes what another has given back comes
        // after him, so that his lowering is counted here; the primitive itself may be Relaxed.
        fence(Ordering::Acquire);
        self.0.fetch_add(n, Ordering::Relaxed).wrapping_add(n)
    }

    /// `n` are about to be given back.
    pub fn lower(&self, n: u32) {
        self.0.fetch_sub(n, Ordering::Relaxed);
        // Release: see `raise`.
        fence(Ordering::Release);
    }

    /// How many are out, where nobody takes or gives back.
    #[must_use]
    pub fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many probes of the latest half-open state are out.
///
/// A probe may still be out when its breaker has been open again and half-open once more, and counts
/// for nothing then. So the count is kept with the generation it is of, in one word:
///
/// ```text
///  31        16 15         0
/// +------------+------------+
/// | generation |   probes   |
/// +------------+------------+
/// ```
#[derive(Debug)]
pub(super) struct Probes(AtomicU32);

impl Probes {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// A probe of `generation` was let in: how many of that generation are out now; 0 where a later
    /// one has begun.
    pub(super) fn raise(&self, generation: u16) -> u32 {
        let raised = self.update(generation, |probes| probes.wrapping_add(1));
        raised.map_or(0, u32::from)
    }

    /// A probe of `generation` is about to report.
    pub(super) fn lower(&self, generation: u16) {
        self.update(generation, |probes| probes.saturating_sub(1));
    }

    /// Changes the count of `generation`, unless a later one has begun.
    fn update(&self, generation: u16, change: impl Fn(u16) -> u16) -> Option<u16> {
        // AcqRel: the breaker's own swaps are; this must not be moved across them.
        let next = |word: u32| {
            let (latest, probes) = ((word >> 16) as u16, word as u16);
            let probes = match generation.wrapping_sub(latest) {
                0 => change(probes),
                ahead if ahead < 1 << 15 => change(0),
                _ => return None,
            };
            Some(u32::from(generation) << 16 | u32::from(probes))
        };
        let old = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).ok()?;
        next(old).map(|word| word as u16)
    }
}
