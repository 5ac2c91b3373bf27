//! A request that may have been executed is not sent again.
