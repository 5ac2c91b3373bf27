//! Several requests on one connection, and connections that end on one side.
