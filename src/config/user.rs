//! Reads an identity of kind `user`.

use crate::auth::identity::Kind;
use crate::config::reader::Table;

pub(super) fn read(table: &mut Table<'_>) -> Option<Kind> {
    table.fault("is of kind \"user\", which is not yet supported in this version");
    for key in [
        "tenant",
        "client_id",
        "sign_in",
        "username",
        "password",
        "store",
    ] {
        table.take(key);
    }
    None
}
