//! Commands of the client (RFC 5321 section 4.1).
