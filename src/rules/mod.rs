//! Rule text to matcher to hits. Pure.
