//! Bodies that stop moving.
