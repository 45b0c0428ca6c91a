//! Switches by name, set by a line of text.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use fusebox_core::{Ratio, Switch, SwitchSnapshot};

use super::{DuplicateName, Registry, Reset, UnknownName};

/// The parts of a whole that a share is given in: hundredths of a percent, as fine as a
/// [`Switch`] is.
const WHOLE: u32 = 100 * PER_PERCENT;
const PER_PERCENT: u32 = 100;

/// Feature switches by name, which a line of text can set: from a file, an environment variable or
/// a request of whoever is on duty.
///
/// Each switch is [salted](Switch::salted) with its name, so that the shares of two features fall
/// on different users.
///
/// # Examples
///
/// ```
/// use fusebox_std::SwitchBoard;
///
/// static FEATURES: SwitchBoard = SwitchBoard::new();
///
/// let suggestions = FEATURES.add("suggestions")?;
/// let checkout = FEATURES.add("new-checkout")?;
///
/// // From a variable such as FEATURES, when the program starts or as often as it changes.
/// FEATURES.apply("suggestions=off, new-checkout=25%")?;
/// assert!(!suggestions.is_enabled());
/// let users = (0..1000).filter(|&user| checkout.is_enabled_for(user)).count();
/// assert!((200..300).contains(&users));
///
/// // All of it counts, or none.
/// let error = FEATURES.apply("suggestions=on, new-checkout=250%").unwrap_err();
/// assert_eq!(error.to_string(), "in `new-checkout=250%`: a share is at most 100%");
/// assert!(!suggestions.is_enabled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct SwitchBoard {
    switches: Registry<Switch>,
}

impl SwitchBoard {
    /// A board without switches.
    #[must_use]
    pub const fn new() -> Self {
        Self { switches: Registry::new() }
    }

    /// Adds a switch that is on.
    ///
    /// # Errors
    ///
    /// There is one of that name, and it stays as it is.
    pub fn add(&self, name: &str) -> Result<Arc<Switch>, DuplicateName> {
        self.switches.add(name, salted(name))
    }

    /// The switch of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Switch>> {
        self.switches.get(name)
    }

    /// The switch of this name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn require(&self, name: &str) -> Result<Arc<Switch>, UnknownName> {
        self.switches.require(name)
    }

    /// The switch of this name, added if there was none.
    #[must_use]
    pub fn get_or_create(&self, name: &str) -> Arc<Switch> {
        self.switches.get_or_create_with(name, || salted(name))
    }

    /// Takes the switch of this name out. Whoever holds it goes on with it.
    pub fn remove(&self, name: &str) -> Option<Arc<Switch>> {
        self.switches.remove(name)
    }

    /// All switches there are now, by name and sorted by it.
    pub fn iter(&self) -> impl Iterator<Item = (Arc<str>, Arc<Switch>)> + use<> {
        self.switches.iter()
    }

    /// A snapshot of each switch, by name and sorted by it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Arc<str>, SwitchSnapshot)> {
        self.switches.snapshot()
    }

    /// Puts every switch on for all, with nothing set by hand.
    pub fn reset_all(&self) {
        self.switches.reset_all();
    }

    /// Sets the switches that `text` names, and leaves the others as they are.
    ///
    /// The text is a list of `name=value`, separated by commas or line breaks, with spaces wherever
    /// they read well. A value is one of
    ///
    /// | value | the switch is |
    /// |---|---|
    /// | `off` | off, as after [`Switch::disable`] |
    /// | `on` | on for all, as at the start: off while what drives it says so |
    /// | `25%`, `0.5%` | on for that share, to a hundredth of a percent; otherwise as `on` |
    /// | `forced` | on for all, whatever drives it says, as after [`Switch::force_on`] |
    ///
    /// All of the text is read before the first switch is set; each switch then changes on its own.
    ///
    /// # Errors
    ///
    /// What is wrong, in which part of the text; no switch has been set. A name that the board does
    /// not have is an error, as a switch that was mistyped would stay as it is.
    pub fn apply(&self, text: &str) -> Result<(), SwitchTextError> {
        let mut settings = Vec::new();
        let mut seen = BTreeSet::new();
        for part in text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = |problem| SwitchTextError { part: part.into(), problem };
            let (name, value) = parse(part).map_err(wrong)?;
            if !seen.insert(name) {
                return Err(wrong(SwitchTextProblem::Twice));
            }
            let switch = self.get(name).ok_or_else(|| wrong(SwitchTextProblem::UnknownName))?;
            settings.push((switch, value));
        }
        settings.iter().for_each(|(switch, value)| value.apply(switch));
        Ok(())
    }
}

impl fmt::Debug for SwitchBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.switches.fmt(f)
    }
}

fn salted(name: &str) -> Switch {
    Switch::salted(Switch::key(name.as_bytes()))
}

/// What a text says of one switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Off,
    On,
    Forced,
    /// In parts of [`WHOLE`], at most all of them.
    Share(u32),
}

impl Value {
    fn apply(self, switch: &Switch) {
        // The share first: a switch that was off must not be on for all in between.
        match self {
            Self::Off => switch.disable(),
            Self::On => switch.reset(),
            Self::Share(parts) => {
                let set = switch.set_share(Ratio::new(parts, WHOLE));
                debug_assert!(set.is_ok(), "it was at most the whole when it was read");
                switch.enable();
            }
            Self::Forced => {
                switch.reset();
                switch.force_on();
            }
        }
    }
}

fn parse(part: &str) -> Result<(&str, Value), SwitchTextProblem> {
    let (name, value) = part.split_once('=').ok_or(SwitchTextProblem::NoValue)?;
    let (name, value) = (name.trim(), value.trim());
    match (name, value) {
        ("", _) => Err(SwitchTextProblem::NoName),
        (_, "") => Err(SwitchTextProblem::NoValue),
        (_, "off") => Ok((name, Value::Off)),
        (_, "on") => Ok((name, Value::On)),
        (_, "forced") => Ok((name, Value::Forced)),
        _ => {
            let percent = value.strip_suffix('%').ok_or(SwitchTextProblem::UnknownValue)?;
            let parts = share(percent.trim_end()).ok_or(SwitchTextProblem::UnknownValue)?;
            if parts > u64::from(WHOLE) {
                return Err(SwitchTextProblem::AboveWhole);
            }
            Ok((name, Value::Share(parts as u32)))
        }
    }
}

/// Percent with at most two decimals, in parts of [`WHOLE`]; `None` where it is no such number.
fn share(percent: &str) -> Option<u64> {
    let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > 2 {
        return None;
    }
    let hundredths = decimals.parse::<u64>().ok()? * if decimals.len() == 1 { 10 } else { 1 };
    // So many digits that it is no number any more are above the whole as well.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    Some(whole.saturating_mul(u64::from(PER_PERCENT)).saturating_add(hundredths))
}

/// A text cannot be applied to a [`SwitchBoard`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchTextError {
    part: Box<str>,
    problem: SwitchTextProblem,
}

impl SwitchTextError {
    /// The part of the text that is wrong, between two commas.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn problem(&self) -> SwitchTextProblem {
        self.problem
    }
}

/// What is wrong with a part of a text for a [`SwitchBoard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SwitchTextProblem {
    /// There is no name before the `=`.
    NoName,
    /// There is no `=`, or nothing behind it.
    NoValue,
    /// The board has no switch of this name.
    UnknownName,
    /// The value is none that a switch can have.
    UnknownValue,
    /// The share is more than 100 %.
    AboveWhole,
    /// An earlier part is about the same switch.
    Twice,
}

impl fmt::Display for SwitchTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in `{}`: {}", self.part, self.problem)
    }
}

impl fmt::Display for SwitchTextProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "a name goes before the `=`",
            Self::NoValue => "a setting is `name=value`",
            Self::UnknownName => "there is no switch of this name",
            Self::UnknownValue => {
                "a value is `on`, `off`, `forced` or a share such as `25%`, with at most two decimals"
            }
            Self::AboveWhole => "a share is at most 100%",
            Self::Twice => "this switch is set twice",
        })
    }
}

impl std::error::Error for SwitchTextError {}
