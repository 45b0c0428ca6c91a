//! What the model lets in while it ramps up.

use fusebox_core::State;

use super::{Model, RampRules, by_width};

impl Model {
    /// The accuracy of the ramp, in ticks.
    fn ramp_unit(ramp: RampRules) -> i128 {
        ((i128::from(ramp.over) + i128::from(ramp.lateness)) >> by_width(17, 9)).max(1)
    }

    /// The ticks left of the ramp, the least and the most; `None` unless ramping up.
    pub(crate) fn ramp_left(&self, now: u64) -> Option<(i128, i128)> {
        let ramp = self.rules.ramp.filter(|_| self.state == State::RampingUp)?;
        let left = self.ramp_began + i128::from(ramp.over) - i128::from(now);
        let inexact = Self::ramp_unit(ramp) - 1;
        Some((left - inexact, left + inexact))
    }

    /// Whether a call at `now` comes after the ramp.
    pub(crate) fn ramp_is_over(&self, now: u64) -> Option<bool> {
        let ramp = self.rules.ramp?;
        let (least, most) = self.ramp_left(now)?;
        let late = i128::from(ramp.lateness);
        let reach = i128::from(ramp.over) + late;
        let ago = i128::from(now) - self.ramp_began;
        let unit = Self::ramp_unit(ramp);
        if ago < -late || ago >= (reach << by_width(10, 4)) - 2 * (reach + unit) {
            None
        } else if most <= 0 {
            Some(true)
        } else if least > 0 {
            Some(false)
        } else {
            None
        }
    }

    /// Whether a call at `now` is let in, which the share and its number say: the fractional part
    /// of that times the golden ratio is below the share.
    pub(crate) fn is_in_share(&self, now: u64) -> Option<bool> {
        let ramp = self.rules.ramp?;
        if self.ramp_is_over(now)? {
            return Some(true);
        }
        let (least, most) = self.ramp_left(now)?;
        let (lowest, highest) = (Self::share(ramp, most + 1).0, Self::share(ramp, least - 1).1);
        let place = f64::from(self.asked.wrapping_mul(0x9e37_79b9)) / 2_f64.powi(32);
        if place < lowest - 1e-4 {
            Some(true)
        } else if place > highest + 1e-4 {
            Some(false)
        } else {
            None
        }
    }

    /// The share when so many ticks are left, at the least and at the most.
    fn share(ramp: RampRules, left: i128) -> (f64, f64) {
        let from = f64::from(ramp.from.0) / f64::from(ramp.from.1);
        let left = (left as f64 / ramp.over as f64).clamp(0.0, 1.0);
        if ramp.is_exponential {
            let share = from.powf(left);
            (share * 0.93, share * 1.07)
        } else {
            let share = 1.0 - (1.0 - from) * left;
            (share, share)
        }
    }
}
