//! Randomness for jitter.
