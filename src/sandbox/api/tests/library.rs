//! The live response library.

use super::*;

#[test]
fn an_upload_is_listed_by_its_name() {
    let api = api();
    let body = "--b\r\nContent-Disposition: form-data; name=\"File\"; filename=\"mine.ps1\"\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(
        send(&api, &Method::POST, "/api/libraryfiles", body).1["fileName"],
        "mine.ps1"
    );
    assert_eq!(values(&get(&api, "/api/libraryfiles").1).len(), 4);
    assert_eq!(
        send(&api, &Method::DELETE, "/api/libraryfiles/MINE.ps1", "").0,
        204
    );
}
