//! How the models are run.

/// Checks a model in all schedules with at most three preemptions: a race that needs more is rare,
/// and each one more makes for many times the schedules.
#[allow(dead_code, reason = "not every file of models uses both")]
pub(crate) fn model(run: impl Fn() + Send + Sync + 'static) {
    up_to(3, run);
}

/// Checks a model in all schedules with at most so many preemptions.
pub(crate) fn up_to(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}
