//! The reader of DATA (RFC 5321 section 4.5.2).
