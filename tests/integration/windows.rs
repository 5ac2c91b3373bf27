//! Clients share upstream connections, and must not feel each other.

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{load, support};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_reading_hold_up_no_other() {
    let (_upstreams, proxy) = support::start().await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut client = proxy.connect().await;
        client
            .write_all(
                b"GET /api/sandbox/download?bytes=100000000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            )
            .await
            .unwrap();
        // The head has come; nothing is read from here on.
        client.read_u8().await.unwrap();
        stalled.push(client);
    }
    for _ in 0..300 {
        let answer = proxy.get(load::SMALL).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}
