//! Entra ID is out of reach, and comes back.
