//! Bytes to bytes: trace fields and notifications.
