//! The look-ups of the outside world: DNS and TLS settings.
