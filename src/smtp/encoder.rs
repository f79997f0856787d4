//! The writer of DATA: dot-stuffing and nothing else (RFC 5321 section 4.5.2).
