//! The token bucket.
