//! Frames of clients that RFC 9113 §4 to §6 forbids, and header blocks that are none (RFC 7541).

use crate::{
    frame_clients::{
        Attacked,
        Outcome::{Connection, Status, Stream},
        fields, get, post,
    },
    frames::*,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn frames_that_break_the_rules_end_no_more_than_their_connection() {
    let mut attacked = Attacked::start().await;
    let broken = [Connection(PROTOCOL_ERROR)];
    // `h2` says PROTOCOL_ERROR where RFC 9113 has a code of its own; the connection ends all the same.
    let size = [Connection(PROTOCOL_ERROR), Connection(FRAME_SIZE_ERROR)];
    let compression = [Connection(PROTOCOL_ERROR), Connection(COMPRESSION_ERROR)];
    let closed = [
        Connection(PROTOCOL_ERROR),
        Connection(STREAM_CLOSED),
        Stream(STREAM_CLOSED),
    ];
    let flow = [Connection(PROTOCOL_ERROR), Connection(FLOW_CONTROL_ERROR)];
    let malformed = [Stream(PROTOCOL_ERROR), Connection(PROTOCOL_ERROR)];
    let attack = block(&fields(&[]));
    let request = get(1, &fields(&[]));
    let open = post(1, &[(":path", "/nowhere")]);
    let raw = |fields: &[u8]| frame(HEADERS, WHOLE, 1, fields);
    for (what, bytes, expected) in [
        ("DATA on stream 0", frame(DATA, 0, 0, "x"), &broken[..]),
        ("DATA on an idle stream", frame(DATA, 0, 1, "x"), &broken),
        ("DATA on an even stream", frame(DATA, 0, 2, "x"), &broken),
        (
            "HEADERS on stream 0",
            frame(HEADERS, WHOLE, 0, &attack),
            &broken,
        ),
        (
            "HEADERS on an even stream",
            frame(HEADERS, WHOLE, 2, &attack),
            &broken,
        ),
        (
            "HEADERS on a lower stream",
            [
                get(5, &fields(&[(":path", "/nowhere")])),
                get(3, &fields(&[])),
            ]
            .concat(),
            &broken,
        ),
        (
            "HEADERS that depend on themselves",
            frame(
                HEADERS,
                WHOLE | PRIORITIZED,
                1,
                [&[0, 0, 0, 1, 9], &*attack].concat(),
            ),
            &malformed,
        ),
        (
            "PRIORITY on itself",
            [frame(PRIORITY, 0, 1, [0, 0, 0, 1, 9]), request.clone()].concat(),
            &malformed,
        ),
        (
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, [0; 5]),
            &broken,
        ),
        ("PRIORITY too short", frame(PRIORITY, 0, 1, [0; 4]), &size),
        (
            "PUSH_PROMISE",
            frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                [&[0, 0, 0, 2], &*attack].concat(),
            ),
            &broken,
        ),
        (
            "PUSH_PROMISE on an open stream",
            [
                open.clone(),
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    [&[0, 0, 0, 2], &*attack].concat(),
                ),
            ]
            .concat(),
            &broken,
        ),
        (
            "a CONTINUATION alone",
            frame(CONTINUATION, END_HEADERS, 1, &attack),
            &broken,
        ),
        (
            "a CONTINUATION after the end",
            [open.clone(), frame(CONTINUATION, END_HEADERS, 1, &attack)].concat(),
            &broken,
        ),
        (
            "a CONTINUATION on another stream",
            [
                frame(HEADERS, END_STREAM, 1, &attack),
                frame(CONTINUATION, END_HEADERS, 3, ""),
            ]
            .concat(),
            &broken,
        ),
        (
            "a CONTINUATION on stream 0",
            [
                frame(HEADERS, END_STREAM, 1, &attack),
                frame(CONTINUATION, END_HEADERS, 0, ""),
            ]
            .concat(),
            &broken,
        ),
        (
            "a head with a PING in it",
            [
                frame(HEADERS, END_STREAM, 1, &attack),
                frame(PING, 0, 0, [0; 8]),
            ]
            .concat(),
            &broken,
        ),
        (
            "a head with DATA in it",
            [
                frame(HEADERS, 0, 1, &attack),
                frame(DATA, END_STREAM, 1, "x"),
            ]
            .concat(),
            &broken,
        ),
        (
            "a head with another in it",
            [frame(HEADERS, END_STREAM, 1, &attack), get(3, &fields(&[]))].concat(),
            &broken,
        ),
        (
            "a head with an unknown frame in it",
            [
                frame(HEADERS, END_STREAM, 1, &attack),
                frame(0xbb, 0, 0, ""),
            ]
            .concat(),
            &broken,
        ),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, ""), &broken),
        (
            "SETTINGS of five bytes",
            frame(SETTINGS, 0, 0, [0; 5]),
            &size,
        ),
        (
            "an acknowledgement with settings",
            frame(SETTINGS, ACK, 0, [0; 6]),
            &size,
        ),
        (
            "two acknowledgements",
            [frame(SETTINGS, ACK, 0, ""), frame(SETTINGS, ACK, 0, "")].concat(),
            &broken,
        ),
        ("ENABLE_PUSH of 2", settings(&[(2, 2)]), &broken),
        ("a window beyond 2^31", settings(&[(4, 1 << 31)]), &flow),
        (
            "MAX_FRAME_SIZE too small",
            settings(&[(5, 16_383)]),
            &broken,
        ),
        (
            "MAX_FRAME_SIZE too large",
            settings(&[(5, 1 << 24)]),
            &broken,
        ),
        ("ENABLE_CONNECT of 2", settings(&[(8, 2)]), &broken),
        ("a short PING", frame(PING, 0, 0, [0; 6]), &size),
        ("a long PING", frame(PING, 0, 0, [0; 9]), &size),
        ("a PING on a stream", frame(PING, 0, 1, [0; 8]), &broken),
        ("a GOAWAY on a stream", frame(GOAWAY, 0, 1, [0; 8]), &broken),
        ("a short GOAWAY", frame(GOAWAY, 0, 0, [0; 7]), &size),
        ("a reset of an idle stream", reset(1, CANCEL), &broken),
        ("a reset of stream 0", reset(0, CANCEL), &broken),
        (
            "a short reset",
            [open.clone(), frame(RST_STREAM, 0, 1, [0; 3])].concat(),
            &size,
        ),
        ("a window update of 0", window_update(0, 0), &broken),
        (
            "a window update of 0 on a stream",
            [open.clone(), window_update(1, 0)].concat(),
            &malformed,
        ),
        (
            "a window update of an idle stream",
            window_update(1, 1),
            &broken,
        ),
        (
            "a short window update",
            frame(WINDOW_UPDATE, 0, 0, [0; 3]),
            &size,
        ),
        (
            "a window beyond all bounds",
            [window_update(0, (1 << 31) - 1), window_update(0, 1)].concat(),
            &flow,
        ),
        (
            "settings that widen a window beyond all bounds",
            [
                open.clone(),
                window_update(1, (1 << 31) - 65_536),
                settings(&[(4, (1 << 31) - 1)]),
            ]
            .concat(),
            &flow,
        ),
        (
            "a stream's window beyond all bounds",
            [open.clone(), window_update(1, (1 << 31) - 1)].concat(),
            &[Stream(FLOW_CONTROL_ERROR)],
        ),
        (
            "a frame too large",
            frame(DATA, 0, 1, vec![0; 16_385]),
            &size,
        ),
        (
            "a head too large for a frame",
            frame(HEADERS, WHOLE, 1, vec![0; 16_385]),
            &size,
        ),
        (
            "SETTINGS too large",
            settings(&vec![(0xff, 0); 3_000]),
            &size,
        ),
        (
            "a padding as long as its frame",
            [open.clone(), frame(DATA, PADDED, 1, [3, 0, 0])].concat(),
            &broken,
        ),
        (
            "a padding longer than its head",
            frame(HEADERS, WHOLE | PADDED, 1, [&[255], &*attack].concat()),
            &broken,
        ),
        (
            "a padded frame without a length",
            [open.clone(), frame(DATA, PADDED, 1, "")].concat(),
            &[broken[0], size[1]],
        ),
        (
            "a field of an index that is none",
            raw(&[0xff, 0xff, 0x7f]),
            &compression,
        ),
        ("a field of index 0", raw(&[0x80]), &compression),
        (
            "an integer that never ends",
            raw(&[[0xff; 20].as_slice(), &[1]].concat()),
            &compression,
        ),
        (
            "a string longer than its head",
            raw(&[0, 0x7f, 0xff, 0xff, 0x7f, b'x']),
            &compression,
        ),
        (
            "a table larger than allowed",
            raw(&[&[0x3f, 0xe2, 0x1f], &*attack].concat()),
            &compression,
        ),
        (
            "a table size after a field",
            raw(&[&*attack, &[0x20]].concat()),
            &compression,
        ),
        (
            "Huffman's end of string",
            raw(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'x']),
            &compression,
        ),
        (
            "Huffman with a wrong padding",
            raw(&[0, 0x81, 0x18, 1, b'x']),
            &compression,
        ),
        (
            "a head cut short",
            raw(&attack[..attack.len() - 1]),
            &compression,
        ),
        (
            "DATA after the end of the request",
            [
                get(1, &fields(&[(":path", "/nowhere")])),
                frame(DATA, END_STREAM, 1, "x"),
            ]
            .concat(),
            &closed,
        ),
        (
            "HEADERS after the end of the request",
            [get(1, &fields(&[(":path", "/nowhere")])), request.clone()].concat(),
            &closed,
        ),
        ("the preface twice", [PREFACE, &*request].concat(), &size),
        (
            "HTTP/1.1 inside",
            b"GET /attack HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            &size,
        ),
        (
            "trailers that go on",
            [
                open.clone(),
                frame(HEADERS, END_HEADERS, 1, block(&[("x-a", "1")])),
            ]
            .concat(),
            &malformed,
        ),
        (
            "a pseudo-field in trailers",
            [
                open.clone(),
                frame(HEADERS, WHOLE, 1, block(&[(":path", "/attack")])),
            ]
            .concat(),
            // `h2` drops it without a word, and the proxy the trailers.
            &[malformed[0], malformed[1], Status(404)],
        ),
    ] {
        attacked.case(what, 1, &bytes, expected).await;
    }
    attacked.end("frames against the rules").await;
}
