//! Spam heuristics: the score rules of `rules/detect`.
