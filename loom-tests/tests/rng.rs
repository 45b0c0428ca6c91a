//! The random numbers under every interleaving.

mod bounded;

use bounded::model;
use fusebox_core::{Random, Rng};
use loom::sync::Arc;
use loom::thread;

/// Race: two threads draw from one counter at once. Fails where the `fetch_add` becomes a load and
/// a store: both draw the same number, and two callers come back together.
#[test]
fn no_number_is_drawn_twice() {
    model(|| {
        let rng = Arc::new(Rng::from_seed(7));
        let other = thread::spawn({
            let rng = Arc::clone(&rng);
            move || [rng.next_u64(), rng.next_u64()]
        });
        let own = [rng.next_u64(), rng.next_u64()];
        let other = other.join().unwrap();
        assert_ne!(own[0], own[1]);
        assert_ne!(other[0], other[1]);
        assert!(own.iter().all(|number| !other.contains(number)), "{own:?} and {other:?}");
    });
}
