//! Virus engines, one file each, and how several are asked at once.
