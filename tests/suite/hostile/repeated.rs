//! The same attacks ten thousand times.
