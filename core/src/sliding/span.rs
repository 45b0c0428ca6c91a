//! The choice of a time scale for a window.

use core::time::Duration;

use crate::error::{ConfigError, Setting, check};
use crate::time::scale::{HEADROOM, Scale, ahead};
use crate::time::{LONGEST, Ticks, check_rate, in_ticks};
use crate::word::{Word, widen};

/// A window must have at least this many bits where units are longer than a tick: it is rounded up
/// by less than two units.
const PRECISE_BITS: u32 = 8;

/// A window and its horizon in units of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) scale: Scale,
    /// The window, so that what happened this many units ago is certainly out of it.
    pub(super) window: Word,
    /// The furthest that a window from a reading can be ahead of a later one: by the lateness more.
    pub(super) late: Word,
    /// The furthest that anything live can be ahead: by the lateness more again, as what was itself
    /// written too late by a lateness, after a wrap, is met by another late reader.
    pub(super) horizon: Word,
}

impl Span {
    /// The finest scale, in whole ticks at the finest, that keeps a field of `bits` far from its
    /// wrap.
    pub(super) const fn fit(
        (window_setting, window): (Setting, Duration),
        (lateness_setting, lateness): (Setting, Duration),
        bits: u32,
        hz: u64,
    ) -> Result<Self, ConfigError> {
        check!(check_rate(hz));
        let window_ticks = check!(in_ticks(window_setting, window, hz, 1));
        let late_ticks = check!(in_ticks(lateness_setting, lateness, hz, 0));
        let horizon = window_ticks.saturating_add(late_ticks).saturating_add(late_ticks);
        let exponent = Scale::fit(horizon, bits, HEADROOM, 0).exponent();
        // A coarser unit would gain nothing, and jump where the clock itself wraps.
        let coarsest = bits as i32 - u64::BITS as i32;
        let scale = Scale::with_exponent(if exponent < coarsest { coarsest } else { exponent });
        if exponent < 0 && scale.units(Ticks(window_ticks)) >> PRECISE_BITS == 0 {
            let most = longest_lateness(window_ticks, bits);
            let most = Duration::from_nanos(nanos_down(most, hz));
            return Err(lateness_setting.duration(lateness, Duration::ZERO, most));
        }
        // Two readings that are rounded down may be a window apart in units and less than that in
        // ticks; one unit more, and they are not.
        let window = scale.units_up(window_ticks).saturating_add((exponent < 0) as Word);
        let late = window.saturating_add(scale.units_up(late_ticks));
        let horizon = late.saturating_add(scale.units_up(late_ticks));
        Ok(Self { scale, window, late, horizon })
    }

    /// How far ahead of the reading `now` the instant `until` lies, in a field of `bits` bits: 0
    /// where it has passed or is stale.
    #[inline]
    pub(super) const fn left(&self, until: Word, now: Word, bits: u32) -> Word {
        ahead(until, now, bits, self.horizon)
    }

    /// How many ticks after `now` its reading will have grown by `units`.
    pub(super) const fn ticks_until(&self, units: Word, now: Ticks) -> u64 {
        self.scale.ticks_until(widen(units), now)
    }
}

/// The longest lateness, in ticks, beside which a window keeps its precision.
const fn longest_lateness(window: u64, bits: u32) -> u64 {
    let right = window.ilog2().saturating_sub(PRECISE_BITS);
    let room = bits.saturating_sub(HEADROOM) + right;
    let horizon = if room < u64::BITS { (1 << room) - 1 } else { LONGEST };
    horizon.saturating_sub(window) / 2
}

/// Ticks in nanoseconds, rounded down.
const fn nanos_down(ticks: u64, hz: u64) -> u64 {
    let nanos = ticks as u128 * 1_000_000_000 / hz as u128;
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
