//! Requests whose end two readers could see in two places.
