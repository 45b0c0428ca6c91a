//! Gates by name, in a `static`.

use fusebox_core::*;

static PERMITS: Group<Semaphore, 3> =
    Group::new([("bus", Semaphore::new(1)), ("bus2", Semaphore::new(2)), ("", Semaphore::new(3))]);

#[test]
fn a_gate_is_found_by_its_whole_name() {
    let permits = |name| PERMITS.get(name).map(|semaphore| semaphore.snapshot().permits());
    assert_eq!([permits("bus"), permits("bus2"), permits("")], [Some(1), Some(2), Some(3)]);
    assert_eq!([permits("bu"), permits("bus22"), permits("Bus")], [None; 3]);
    assert!(PERMITS.get("bus").unwrap().call(|| Ok::<_, ()>(())).is_ok());
}

#[test]
fn all_come_in_their_order() {
    let names: Vec<_> = PERMITS.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["bus", "bus2", ""]);
    assert_eq!(PERMITS.iter().len(), 3);
    assert!((&Group::<Semaphore, 0>::new([])).into_iter().next().is_none());
    assert_eq!(format!("{:?}", Group::new([("a", 1), ("b", 2)])), r#"{"a": 1, "b": 2}"#);
}

#[test]
fn a_name_is_given_once() {
    for twice in [["a", "a", "b"], ["a", "b", "a"], ["b", "a", "a"], ["", "a", ""]] {
        let error = Group::try_new(twice.map(|name| (name, ()))).unwrap_err();
        assert_eq!(error, ConfigError::DuplicateName);
        assert_eq!(error.to_string(), "each name in a group must be given once");
    }
    assert!(Group::try_new(["a", "b", "ab"].map(|name| (name, ()))).is_ok());
}
