//! The choice of a time scale for a window.

use core::time::Duration;

use crate::error::{ConfigError, Setting, check};
use crate::time::scale::Scale;
use crate::time::{LONGEST, Ticks, check_rate, in_ticks, whole_parts};
use crate::word::{Word, widen};

/// What a word has room for.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// The width of its time.
    pub(super) bits: u32,
    /// How far the wrap must be from the horizon, as a power of two.
    pub(super) headroom: u32,
    /// How many windows are in the horizon, beside two latenesses.
    pub(super) windows: u64,
    /// A window must have at least this many bits where units are longer than a tick.
    pub(super) precise: u32,
    /// The units by which a window is longer than rounded up, where units are longer than a tick.
    pub(super) longer: Word,
}

/// A window and its horizon in units of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) scale: Scale,
    /// The window, rounded up.
    pub(super) window: Word,
    /// The furthest that a window from a reading can be ahead of a later one: by the lateness
    /// more.
    pub(super) late: Word,
    /// The furthest that anything live can be ahead: by the lateness more again, as what was
    /// itself written too late by a lateness, after a wrap, is met by another late reader.
    pub(super) horizon: Word,
}

impl Span {
    /// The finest scale, in whole ticks at the finest, that keeps the time far from its wrap.
    pub(super) const fn fit(
        (window_setting, window): (Setting, Duration),
        (lateness_setting, lateness): (Setting, Duration),
        room: Room,
        hz: u64,
    ) -> Result<Self, ConfigError> {
        check!(check_rate(hz));
        let window_ticks = check!(in_ticks(window_setting, window, hz, 1));
        let late_ticks = check!(in_ticks(lateness_setting, lateness, hz, 0));
        let horizon = window_ticks.saturating_mul(room.windows);
        let horizon = horizon.saturating_add(late_ticks).saturating_add(late_ticks);
        let exponent = Scale::fit(horizon, room.bits, room.headroom, 0).exponent();
        // A coarser unit would gain nothing, and jump where the clock itself wraps.
        let coarsest = (room.bits as i32).wrapping_sub(u64::BITS as i32);
        let scale = Scale::with_exponent(if exponent < coarsest { coarsest } else { exponent });
        if exponent < 0 && scale.units(Ticks(window_ticks)).wrapping_shr(room.precise) == 0 {
            let most = room.longest_lateness(window_ticks);
            let most = Duration::from_nanos(whole_parts(most, 1_000_000_000, hz));
            return Err(lateness_setting.duration(lateness, Duration::ZERO, most));
        }
        let longer = if exponent < 0 { room.longer } else { 0 };
        let window = scale.units_up(window_ticks).saturating_add(longer);
        let late = window.saturating_add(scale.units_up(late_ticks));
        let horizon = late.saturating_add(scale.units_up(late_ticks));
        Ok(Self { scale, window, late, horizon })
    }

    /// The reading `now` as one that is as late as is supported has it.
    pub(super) const fn latest(&self, now: Ticks) -> Word {
        self.scale.units(now).wrapping_sub(self.late.wrapping_sub(self.window))
    }

    /// How many ticks after `now` its reading will have grown by `units`.
    pub(super) const fn ticks_until(&self, units: Word, now: Ticks) -> u64 {
        self.scale.ticks_until(widen(units), now)
    }
}

impl Room {
    /// The longest lateness, in ticks, beside which a window keeps its precision.
    const fn longest_lateness(self, window: u64) -> u64 {
        // Never of zero; but the compiler cannot know that, and would link a panic.
        let Some(log) = window.checked_ilog2() else { return 0 };
        let right = log.saturating_sub(self.precise);
        let room = self.bits.saturating_sub(self.headroom).saturating_add(right);
        let horizon = if room < u64::BITS { !u64::MAX.wrapping_shl(room) } else { LONGEST };
        horizon.saturating_sub(window.saturating_mul(self.windows)) / 2
    }
}
