//! What is kept of the last error.

use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};

use fusebox_std::prelude::*;
use fusebox_std::{LastError, ResultClassify};

#[test]
fn failures_are_noted_and_nothing_else() {
    let (permits, last): (Semaphore, LastError) = (Semaphore::new(9), LastError::new());
    let call = |result: Result<(), &str>| {
        let real = FailureIf(|error: &&str| !error.starts_with("bad request"));
        let _ = permits.call_with(last.noting(real), || result);
        last.text()
    };
    assert_eq!(call(Ok(())), None);
    assert_eq!(call(Err("bad request: id")), None);
    assert_eq!(call(Err("no route")).as_deref(), Some("no route"));
    assert_eq!(call(Ok(())).as_deref(), Some("no route"), "the last one, not the last result");
    assert_eq!(call(Err("")).as_deref(), Some(""), "an error without a text is one");
    last.clear();
    assert_eq!(last.text(), None);
}

#[test]
fn a_refusal_is_no_error_of_the_operation() {
    let (permits, last): (Semaphore, LastError) = (Semaphore::new(1), LastError::new());
    let _all = permits.permit();
    let refused = permits.call_with(&last, || Err::<(), _>("never run"));
    assert!(refused.unwrap_err().is_rejected());
    assert_eq!(last.text(), None);
}

/// Writes each of its texts by itself.
struct Pieces<'a>(&'a [&'a str]);

impl Display for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| f.write_str(piece))
    }
}

#[test]
fn texts_are_cut_at_the_end_of_a_character() {
    let last: LastError<8> = LastError::new();
    let noted = |pieces: &[&str]| {
        last.note(&Pieces(pieces));
        last.text().unwrap()
    };
    assert_eq!(noted(&["12345678"]), "12345678");
    assert_eq!(noted(&["123456789"]), "12345678");
    assert_eq!(noted(&["1234567ß9"]), "1234567");
    assert_eq!(noted(&["123456ß9"]), "123456ß");
    assert_eq!(noted(&["12345", "€", "x"]), "12345€");
    assert_eq!(noted(&["123456", "€", "x"]), "123456", "nothing is left out in the middle");
    assert_eq!(noted(&["12345678", "", "9"]), "12345678");
    assert_eq!(noted(&["🦀🦀🦀"]), "🦀🦀");
    let none: LastError<0> = LastError::new();
    none.note("anything");
    assert_eq!(none.text().as_deref(), Some(""));
}

#[test]
fn an_error_without_an_end_is_cut_as_well() {
    struct Long;
    impl Display for Long {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (0..100_000).try_for_each(|number| write!(f, "{number} "))
        }
    }
    let last: LastError = LastError::new();
    last.note(&Long);
    let text = last.text().unwrap();
    assert!(text.len() == 256 && text.starts_with("0 1 2 3 "), "{text}");
}

/// A `Display` that panics, or looks at the last error itself, is no reason to lock up.
#[test]
fn what_an_error_does_is_its_own_affair() {
    struct Curious<'a>(&'a LastError);
    impl Display for Curious<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "after {:?}", self.0.text())
        }
    }
    struct Spiteful;
    impl Display for Spiteful {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in the display")
        }
    }
    let last: LastError = LastError::new();
    last.note(&Curious(&last));
    assert_eq!(last.text().as_deref(), Some("after None"));
    assert!(catch_unwind(AssertUnwindSafe(|| last.note(&Spiteful))).is_err());
    assert_eq!(last.text().as_deref(), Some("after None"));
    last.note("fine again");
    assert_eq!(format!("{last:?}"), "LastError(Some(\"fine again\"))");
}

#[test]
fn many_threads_leave_one_whole_text() {
    static LAST: LastError<16> = LastError::new();
    std::thread::scope(|threads| {
        for number in 0..4 {
            threads.spawn(move || {
                let text = char::from(b'a' + number).to_string().repeat(16);
                for _ in 0..1_000 {
                    LAST.note(&text);
                    let seen = LAST.text().unwrap();
                    let first = seen.chars().next().unwrap();
                    assert!(seen.len() == 16 && seen.chars().all(|c| c == first), "{seen}");
                }
            });
        }
    });
}

#[test]
fn a_classifier_around_it_may_be_any() {
    let last: LastError = LastError::new();
    let permits: Semaphore = Semaphore::new(1);
    let _ = permits.call_with(last.noting(ResultClassify), || Err::<(), _>("a"));
    let _ = permits.call_with(
        last.noting(
            |result: &Result<u32, &str>| {
                if result.is_err() { Outcome::Ignored } else { Outcome::Failure }
            },
        ),
        || Err::<u32, _>("b"),
    );
    assert_eq!(last.text().as_deref(), Some("a"));
}
