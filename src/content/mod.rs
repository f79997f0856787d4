//! What is in a message: one work list over `mime` readings and `unpack` containers, with limits. Pure.
