//! Places for attempts, side by side.
//!
//! Nothing safe leads from a pinned array to its pinned elements. So the places are a list, as a
//! type: a place, and the places after it. A number in the type of the policy picks the list.

use core::fmt;
use core::pin::Pin;

use pin_project_lite::pin_project;

use crate::on_drop::OnDrop;

/// How many attempts a hedged call makes at most, as a type: 2 to 5, for which it is a [`Count`].
#[derive(Clone, Copy, Debug)]
pub struct Attempts<const N: usize>;

/// A number of attempts that there are places for. Sealed.
#[diagnostic::on_unimplemented(
    message = "a hedged call makes from 2 to 5 attempts",
    note = "hedging is for the last percents of the latencies; more attempts only add load"
)]
pub trait Count: fmt::Debug + sealed::Count {}

pub(super) mod sealed {
    pub trait Count {
        /// The same number.
        const N: u32;

        /// As many places.
        type Places<T>: super::Places<T>;
    }
}

macro_rules! counts {
    ($($n:literal: $places:ty;)*) => { $(
        impl Count for Attempts<$n> {}

        impl sealed::Count for Attempts<$n> {
            const N: u32 = $n;

            type Places<T> = $places;
        }
    )* };
}

type Two<T> = Place<T, Place<T, ()>>;
type Three<T> = Place<T, Two<T>>;
type Four<T> = Place<T, Three<T>>;

counts! {
    2: Two<T>;
    3: Three<T>;
    4: Four<T>;
    5: Place<T, Four<T>>;
}

/// A list of places; the first one has the number 0.
pub trait Places<T> {
    /// All of them with what `make` makes.
    fn fill(make: fn() -> T) -> Self;

    /// The place with this number.
    fn at(self: Pin<&mut Self>, number: u32) -> Option<Pin<&mut T>>;

    /// Calls `visit` with each place and its number, which counts from `first`; also with those
    /// after one where it panicked.
    fn visit(self: Pin<&mut Self>, first: u32, visit: &impl Fn(u32, Pin<&mut T>));

    /// Whether any place is so.
    fn any(&self, is_so: fn(&T) -> bool) -> bool;
}

impl<T> Places<T> for () {
    #[inline]
    fn fill(_make: fn() -> T) {}

    #[inline]
    fn at(self: Pin<&mut Self>, _number: u32) -> Option<Pin<&mut T>> {
        None
    }

    #[inline]
    fn visit(self: Pin<&mut Self>, _first: u32, _visit: &impl Fn(u32, Pin<&mut T>)) {}

    #[inline]
    fn any(&self, _is_so: fn(&T) -> bool) -> bool {
        false
    }
}

pin_project! {
    /// A place, and those after it.
    pub struct Place<T, R> {
        #[pin]
        this: T,
        #[pin]
        rest: R,
    }
}

impl<T, R: Places<T>> Places<T> for Place<T, R> {
    #[inline]
    fn fill(make: fn() -> T) -> Self {
        Self { this: make(), rest: R::fill(make) }
    }

    #[inline]
    fn at(self: Pin<&mut Self>, number: u32) -> Option<Pin<&mut T>> {
        let place = self.project();
        match number.checked_sub(1) {
            Some(number) => place.rest.at(number),
            None => Some(place.this),
        }
    }

    #[inline]
    fn visit(self: Pin<&mut Self>, first: u32, visit: &impl Fn(u32, Pin<&mut T>)) {
        let place = self.project();
        let mut rest = place.rest;
        let _rest = OnDrop(|| rest.as_mut().visit(first.saturating_add(1), visit));
        visit(first, place.this);
    }

    #[inline]
    fn any(&self, is_so: fn(&T) -> bool) -> bool {
        is_so(&self.this) || self.rest.any(is_so)
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Count as _;
    use super::*;
    use core::cell::Cell;
    use core::pin::pin;

    #[test]
    fn each_place_has_its_number() {
        let mut places = pin!(<Attempts<5> as sealed::Count>::Places::<u32>::fill(|| 7));
        for number in 0..Attempts::<5>::N {
            *places.as_mut().at(number).unwrap() = number;
        }
        assert!(places.as_mut().at(Attempts::<5>::N).is_none());
        let sum = Cell::new(0);
        places.as_mut().visit(0, &|number, place| {
            assert_eq!(*place, number);
            sum.set(sum.get() + number);
        });
        assert_eq!(sum.get(), 1 + 2 + 3 + 4);
        assert!(places.any(|place| *place == 4) && !places.any(|place| *place == 7));
    }
}
