#!/bin/sh
# Steps the clock of a running proxy by an hour, and lets it sleep for a night: the first request after it works.
#
#   tests/clients/clock.sh [PROGRAM]        target/debug/defender-proxy by default
#
# Needs libfaketime (Debian: libfaketime, or faketime), curl and python3.
set -eu

program=$(realpath "${1:-target/debug/defender-proxy}")
library=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 | head -n 1)
folder=$(mktemp -d)
trap 'kill ${sandbox:-} ${proxy:-} ${silent:-} 2> /dev/null || true; rm -rf "$folder"' EXIT

fail() {
    echo "$1" >&2
    cat "$folder"/*.log >&2 || true
    exit 1
}

# Waits until a line of a file begins like this, and prints the rest of it.
line() {
    tries=0
    until sed -n "s|^$2||p" "$1" | grep . ; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "no line '$2' in $1"
        sleep 0.1
    done | head -n 1
}

# Replaced whole, as the proxy reads it at any time.
clock() {
    echo "$1" > "$folder/clock.new"
    mv "$folder/clock.new" "$folder/clock"
}

ask() {
    status=$(curl --silent --max-time 20 --output "$folder/answer.log" --write-out '%{http_code}' "$url$2") ||
        fail "$1: $2: no answer"
    [ "$status" = 200 ] || fail "$1: $2: $status"
    echo "$1: $2: $status"
}

# An upstream that answers the first request of each connection, and then neither answers nor closes: what is left of a
# connection after a night.
cat > "$folder/silent.py" <<'PYTHON'
import socket, sys, threading

def serve(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    while connection.recv(4096):
        pass

listener = socket.create_server(("127.0.0.1", 0))
print("port ", listener.getsockname()[1], sep="", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
PYTHON
python3 "$folder/silent.py" > "$folder/silent.out" 2> "$folder/silent.log" &
silent=$!

"$program" sandbox --upstreams-only > "$folder/proxy.toml" 2> "$folder/sandbox.log" &
sandbox=$!
line "$folder/proxy.toml" 'ca = ' > /dev/null
cat >> "$folder/proxy.toml" <<TOML
[[route]]
prefix = "/api/silent"
upstream = "http://127.0.0.1:$(line "$folder/silent.out" 'port ')"
audience = "https://api.securitycenter.microsoft.com"
TOML

clock '+0'
LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE=$folder/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
    "$program" serve --listen 127.0.0.1:0 --config "$folder/proxy.toml" > "$folder/serve.out" 2> "$folder/serve.log" &
proxy=$!
url=$(line "$folder/serve.out" 'listening on ')

ask 'at first' /api/incidents
ask 'at first' /api/silent
# No two alike, as each worker compares with its own last request.
for step in 'an hour forth:+3600' 'back again:+60' 'an hour back:-3600' 'and forth:+120' 'after a night:+36000' 'after another:+72000'; do
    clock "${step##*:}"
    ask "${step%:*}" /api/silent
    ask "${step%:*}" /api/incidents
    ask "${step%:*}" /api/machines
done
echo "the proxy outlives steps of the clock, and nights"
