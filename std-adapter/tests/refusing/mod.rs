//! A gate that lets nobody in.

use fusebox_std::{Gate, Outcome, Rejection};

/// Refuses with what it holds.
pub(crate) struct Refusing(pub(crate) Rejection);

impl Gate for Refusing {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        Err(self.0)
    }

    fn exit(&self, (): (), _outcome: Outcome) {}
}
