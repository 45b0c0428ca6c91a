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

/// How many probes of one half-open state are out.
///
/// A probe may still be out when its breaker has been open again and half-open once more, and
/// counts for nothing then. So the count is kept with the generation it is of, in one word:
///
/// ```text
///  31        16 15         0
/// +------------+------------+
/// | generation |   probes   |
/// +------------+------------+
/// ```
///
/// Whoever raises it for another generation begins to count anew. It never shows more than are out,
/// and fewer only where contexts were stopped between being let in and saying so.
#[derive(Debug)]
pub(super) struct Probes(AtomicU32);

impl Probes {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// A probe of `generation` was let in: how many of that generation are out now.
    pub(super) fn raise(&self, generation: u16) -> u32 {
        let raised = |word| match word as u16 {
            probes if (word >> 16) as u16 == generation => probes.wrapping_add(1),
            _ => 1,
        };
        let next = |word| Some(u32::from(generation) << 16 | u32::from(raised(word)));
        // AcqRel: the breaker's own swaps are; this must not be moved across them.
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(word) | Err(word) => u32::from(raised(word)),
        }
    }

    /// A probe of `generation` is about to report.
    pub(super) fn lower(&self, generation: u16) {
        let next = |word| {
            let (latest, probes) = ((word >> 16) as u16, word as u16);
            (latest == generation && probes > 0).then(|| word - 1)
        };
        // As in `raise`. Another generation is counted by now where it does nothing.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_counted_by_generation() {
        let probes = Probes::new();
        assert_eq!([probes.raise(63), probes.raise(63), probes.raise(63)], [1, 2, 3]);
        probes.lower(63);
        assert_eq!(probes.raise(63), 3);
        assert_eq!(probes.raise(0), 1, "the generation after it, where there are 64");
        probes.lower(63);
        assert_eq!(probes.raise(0), 2, "one from before is none of these");
        probes.lower(0);
        probes.lower(0);
        probes.lower(0);
        assert_eq!(probes.raise(0), 1);
    }
}
