//! A gate that notes how its calls end.

use std::sync::Mutex;
use std::time::Duration;

use fusebox_std::{Gate, Outcome, Rejection};

#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<Outcome>>);

impl Notes {
    /// What was noted since it was last asked.
    pub(crate) fn taken(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

impl Gate for Notes {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        Ok(())
    }

    fn exit(&self, (): (), outcome: Outcome) {
        self.0.lock().expect("no panic").push(outcome);
    }
}

/// Waits for something that a server does in its own time.
pub(crate) async fn becomes(is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it does not come about");
}
