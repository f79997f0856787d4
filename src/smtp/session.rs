//! The session: which command is allowed when, and what it is answered.
