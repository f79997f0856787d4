//! The reader of a server's replies (RFC 5321 section 4.2).
