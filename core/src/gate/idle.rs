//! When a gate can be done away with.

use super::{Immediate, Observed, Shadow};
use crate::event::Observer;
use crate::pointer::through_pointers;

/// A gate that knows whether it has anything to remember.
///
/// Whoever keeps a gate for each of many keys must forget some of them, and may forget no other
/// than those that are idle. A bucket with debt that is forgotten is a fresh burst for whoever
/// emptied it; an open breaker that is forgotten is closed; a bulkhead whose permits are out would
/// hand them out twice.
///
/// Some gates remember for longer than it is of use: one failed call keeps a breaker from being
/// idle until another one succeeds, and if none ever comes, for ever. Such a gate is
/// [stale](Self::is_stale) and may be forgotten as well, once nobody has used it for long.
///
/// Nothing that is set by hand or changed live goes with a new gate: what is set by hand keeps a
/// gate from being idle where it can be told (a breaker that is forced open, a switch that is off),
/// but changed limits cannot be told from those at the start.
///
/// Whoever keeps the gates may ask them under its lock: an implementation only looks at the gate,
/// and uses nothing that the gate is kept in.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BucketConfig, Idle, ManualClock, TokenBucket};
///
/// let clock: ManualClock = ManualClock::new();
/// let bucket = TokenBucket::new(BucketConfig::per_second(1), &clock);
/// assert!(bucket.is_idle());
/// bucket.try_acquire(1).unwrap();
/// assert!(!bucket.is_idle());
///
/// // When it is full again, and also for those who read the clock a second ago.
/// clock.advance(Duration::from_secs(2));
/// assert!(bucket.is_idle());
/// ```
pub trait Idle {
    /// Whether a new gate in place of this one, made the same way, would refuse whatever this one
    /// refuses, and nobody holds or awaits anything of this one.
    ///
    /// A call that is under way at the same time may change the answer at once: whoever acts upon
    /// it makes sure that there is none.
    fn is_idle(&self) -> bool;

    /// Whether what it remembers would mean nothing any more if nobody had used it for long.
    /// Whatever is idle is stale.
    fn is_stale(&self) -> bool {
        self.is_idle()
    }
}

macro_rules! pointer_idle {
    ($pointer:ty) => {
        impl<G: Idle + ?Sized> Idle for $pointer {
            fn is_idle(&self) -> bool {
                (**self).is_idle()
            }

            fn is_stale(&self) -> bool {
                (**self).is_stale()
            }
        }
    };
}

through_pointers!(pointer_idle, G);

impl<G: Idle> Idle for Option<G> {
    fn is_idle(&self) -> bool {
        self.as_ref().is_none_or(Idle::is_idle)
    }

    fn is_stale(&self) -> bool {
        self.as_ref().is_none_or(Idle::is_stale)
    }
}

impl<G: Idle> Idle for Immediate<G> {
    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    fn is_stale(&self) -> bool {
        self.0.is_stale()
    }
}

impl<G: Idle, O: Observer> Idle for Observed<G, O> {
    fn is_idle(&self) -> bool {
        self.inner().is_idle()
    }

    fn is_stale(&self) -> bool {
        self.inner().is_stale()
    }
}

/// As the gate itself, but never idle while refusals count, as a new one would not refuse. Stale
/// when the gate is: refusals are made to count for good, and a shadow that nobody uses would never
/// go. So make new ones count by whatever makes them.
impl<G: Idle, O> Idle for Shadow<G, O> {
    fn is_idle(&self) -> bool {
        !self.is_enforced() && self.inner().is_idle()
    }

    fn is_stale(&self) -> bool {
        self.inner().is_stale()
    }
}

impl Idle for () {
    fn is_idle(&self) -> bool {
        true
    }
}

macro_rules! tuple_idle {
    ($($gate:ident $index:tt),+) => {
        impl<$($gate: Idle),+> Idle for ($($gate,)+) {
            fn is_idle(&self) -> bool {
                $(self.$index.is_idle())&&+
            }

            fn is_stale(&self) -> bool {
                $(self.$index.is_stale())&&+
            }
        }
    };
}

tuple_idle!(A 0);
tuple_idle!(A 0, B 1);
tuple_idle!(A 0, B 1, C 2);
tuple_idle!(A 0, B 1, C 2, D 3);
tuple_idle!(A 0, B 1, C 2, D 3, E 4);
tuple_idle!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_idle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_idle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
