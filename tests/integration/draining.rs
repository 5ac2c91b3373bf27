//! The end of the program while much is under way.
