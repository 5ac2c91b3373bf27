//! An API is out of reach, slow, or not what it says it is.
