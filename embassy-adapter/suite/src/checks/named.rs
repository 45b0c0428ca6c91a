//! Gates by name and by key: the group and the sketch.

use fusebox_core::{
    BucketConfig, BucketSketch, Gate, Group, ManualClock, Queue, Reason, Semaphore, SketchColumn,
    Switch,
};

use super::support::{SECOND, reason};
use crate::{Checked, ensure, ensure_eq};

pub(super) fn a_group_finds_by_name<const HZ: u64>() -> Checked {
    let group = Group::new([("bus", Semaphore::<Queue<0>>::new(1)), ("radio", Semaphore::new(2))]);
    let Some(bus) = group.get("bus") else { return Err(crate::Failure::new("it is there")) };
    let held = bus.try_acquire();
    ensure!(held.is_ok() && bus.try_acquire().is_err());
    ensure!(group.get("radio").is_some_and(|radio| radio.permit().is_ok()));
    ensure!(group.get("bu").is_none() && group.get("").is_none());
    ensure!(group.iter().map(|(name, _)| name).eq(["bus", "radio"]), "in the order given");
    ensure!(Group::try_new([("bus", ()), ("radio", ()), ("bus", ())]).is_err());
    Ok(())
}

pub(super) fn a_sketch_lets_in_no_more_than_each_keys_own<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = BucketConfig::per_second(8).burst(4);
    let sketch = BucketSketch::new(config, &clock, [const { SketchColumn::new() }; 64]);
    let keys = [Switch::key(b"chatty"), Switch::key(b"quiet")];
    for _ in 0..3 {
        for key in keys {
            let granted = (0..100).filter(|_| sketch.try_acquire(key, 1).is_ok()).count();
            ensure_eq!(granted, 4, "64 columns keep two keys apart");
        }
        ensure!(reason(sketch.of(keys[0], 1).permit()) == Some(Reason::RateLimited));
        clock.advance(SECOND);
    }
    // Many keys: each may lose to others, none gains.
    for key in 0..1_000_u64 {
        let key = Switch::key(&key.to_le_bytes());
        let granted = (0..10).filter(|_| sketch.try_acquire(key, 1).is_ok()).count();
        ensure!(granted <= 4);
    }
    Ok(())
}
