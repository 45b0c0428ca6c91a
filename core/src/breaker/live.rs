//! Changing the settings of a breaker in use.
//!
//! **Background.** The state word is not touched by a change, and what stands in it goes on to mean
//! the same: its scales and horizons are made once, in the constructor. What is left is that a call
//! may read some settings before a change and others after it. A lock would make an interrupt
//! handler wait for what it has interrupted, and a second copy of all settings costs every breaker
//! memory, changed or not.
//!
//! **Solution.** Each setting is one word, whole by itself, and what only makes sense together is
//! in the same word: all that half-open is judged by is. Between words, each mix does no harm.
//!
//! **Why it works.** Two decisions read more than one word. An open time is read from its length,
//! its growth, its cap and its jitter. Any mix of these gives a time of at least a tick that is no
//! longer than one of the two caps, and both fit the horizon. A place for a probe is found by the
//! one word, and its deadline, within the horizon too, by that word as it is a moment later. All
//! others read one word: a failure that trips is judged by the number before or after the change.
//!
//! The claim is a bit in the word that is stored last, so that two changes do not end up with half
//! of each. Whoever finds it taken may have interrupted the other: it is refused, and does not
//! wait.

use super::{BreakerConfig, CircuitBreaker, Window};
use crate::error::ConfigError;
use crate::time::Clock;

impl<C: Clock, W: Window<C>, M, O> CircuitBreaker<C, W, M, O> {
    /// Goes by the settings of `config` from now on, without losing anything: the state, the
    /// failures in a row, the probes that are out, the window's calls.
    ///
    /// * The next result is judged by the new settings, with what was counted before: where 4 calls
    ///   in a row have failed already, and 3 trip from now on, the next failure trips. A success
    ///   never does. Probes that have reported count in the new round.
    /// * What has a time already keeps it: an open breaker the end of its open time, probes that
    ///   are out theirs.
    /// * A call that ends while another thread changes the settings may find some of them as before
    ///   and some as after. All those of half-open change at once; an open time may be made of the
    ///   old length and the new growth.
    /// * [`trip_when`](BreakerConfig::trip_when) stays what the breaker was made with, and so does
    ///   the [room](BreakerConfig::room_for) for longer times. The rates of a window are its own:
    ///   [`window`](Self::window)`().set_rates(..)`.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`], and nothing has changed: a setting out of the range that its
    /// documentation gives; an open time or a half-open timeout that is longer, with
    /// [`max_lateness`](BreakerConfig::max_lateness), than those that the breaker was made for,
    /// with [`room_for`](BreakerConfig::room_for) to leave room (the error says how long they may
    /// be); no rule left that could trip it; and [`ConfigError::ChangeUnderWay`].
    ///
    /// # Interrupt safety
    ///
    /// Never waits: a change that finds another one under way is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, ManualClock};
    ///
    /// const CALM: BreakerConfig = BreakerConfig::standard()
    ///     .room_for(Duration::from_secs(300), Duration::from_secs(60));
    /// const STRICT: BreakerConfig = CALM.consecutive_failures(2).open_for(Duration::from_secs(120));
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let db = CircuitBreaker::new(CALM, &clock);
    /// db.permit().unwrap().failure();
    ///
    /// // An operator turns a knob.
    /// db.reconfigure(&STRICT).unwrap();
    /// db.permit().unwrap().failure();
    /// assert!(db.is_open(), "the failure of before counts");
    /// assert!(db.time_until_half_open() > Some(Duration::from_secs(100)));
    ///
    /// let too_long = STRICT.open_for(Duration::from_secs(3600));
    /// assert!(db.reconfigure(&too_long).is_err(), "there is room for five minutes");
    /// ```
    pub fn reconfigure(&self, config: &BreakerConfig) -> Result<(), ConfigError> {
        if !config.has_count() && self.rules.custom.is_none() && !self.window.has_rate() {
            return Err(ConfigError::NoTripRule);
        }
        self.rules.change(config, C::TICKS_PER_SECOND)
    }
}

impl<C, W, M, O> CircuitBreaker<C, W, M, O> {
    /// The window that it was made with: to change its rates while it is in use.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, LastCalls, ManualClock, Rates, Ratio};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let half = Rates::failures(Ratio::percent(50)).minimum_calls(4);
    /// let last_hundred: LastCalls<_> = LastCalls::new(100, half);
    /// let db = CircuitBreaker::with_window(BreakerConfig::standard(), last_hundred, &clock);
    /// for _ in 0..3 {
    ///     db.permit().unwrap().success();
    /// }
    /// db.window().set_rates(Rates::failures(Ratio::percent(25)).minimum_calls(4)).unwrap();
    /// db.permit().unwrap().failure();
    /// assert!(db.is_open(), "one of four");
    /// ```
    #[must_use]
    pub const fn window(&self) -> &W {
        &self.window
    }
}
