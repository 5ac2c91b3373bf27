//! Reads an identity of kind `partner`.

use crate::auth::identity::Kind;
use crate::config::reader::Table;

pub(super) fn read(table: &mut Table<'_>) -> Option<Kind> {
    table.fault("is of kind \"partner\", which is not yet supported in this version");
    for key in ["client_id", "credential", "customers"] {
        table.take(key);
    }
    None
}
