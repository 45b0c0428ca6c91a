//! Errors and refusals.

use fusebox_core::{ConfigError, Error, Reason, Rejection};

use crate::{any, keep};

pub(crate) fn all() {
    let rejection = Rejection::after_ticks(any(Reason::RateLimited), any(1), any(1));
    keep((rejection.reason().is_transient(), rejection.retry_after()));
    keep(Rejection::new(Reason::CircuitOpen));

    keep((error().is_rejected(), error().is_timed_out(), error().rejection()));
    keep((error().inner(), error().into_inner(), error().map_inner(|inner| any(inner))));
    keep(error().into_inner_or_else(|other| any(other.is_timed_out()) as u32));
    keep(any(Error::Inner(error())).flatten());
    keep(any(ConfigError::NoTripRule).summary());
}

fn error() -> Error<u32> {
    match any(0_u32) {
        0 => Rejection::new(any(Reason::CircuitOpen)).into(),
        1 => Error::TimedOut,
        inner => Error::Inner(inner),
    }
}
