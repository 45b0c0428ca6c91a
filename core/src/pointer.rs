//! The pointers through which traits are passed on: one list for all of them.

/// Calls `$forward` with each pointer to a `$target`, the type parameter that it is generic over.
macro_rules! through_pointers {
    ($forward:ident, $target:ident) => {
        $forward!(&$target);
        #[cfg(feature = "alloc")]
        $forward!(alloc::boxed::Box<$target>);
        #[cfg(feature = "alloc")]
        $forward!(alloc::rc::Rc<$target>);
        #[cfg(feature = "alloc")]
        $forward!(alloc::sync::Arc<$target>);
    };
}

pub(crate) use through_pointers;
