//! Content suitability: what kind of attachment or text may pass.
