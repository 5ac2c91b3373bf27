#!/bin/sh
# Signs in, serves and signs out with the keyring of a desktop: a D-Bus session and GNOME Keyring of their own. The password stands
# in the keyring as well.
#
#   tests/clients/keyring.sh [PROGRAM]        target/debug/defender-proxy by default
#
# Needs dbus-run-session (Debian: dbus), gnome-keyring-daemon (gnome-keyring), secret-tool (libsecret-tools) and curl.
set -eu

if [ -z "${KEYRING_INSIDE:-}" ]; then
    program=$(realpath "${1:-target/debug/defender-proxy}")
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # A home of its own: nothing of the real keyring is touched.
    env -u DEFENDER_PROXY_CONFIG -u http_proxy -u HTTP_PROXY -u https_proxy -u HTTPS_PROXY -u all_proxy -u ALL_PROXY \
        KEYRING_INSIDE=1 PROGRAM="$program" FOLDER="$folder" HOME="$folder" XDG_RUNTIME_DIR="$folder" \
        XDG_DATA_HOME="$folder/data" XDG_STATE_HOME="$folder/state" \
        dbus-run-session -- "$0" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
    exit 0
fi

fail() {
    echo "$1" >&2
    cat "$FOLDER"/*.log >&2 || true
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

chmod 700 "$FOLDER"
printf 'keyring-password' | gnome-keyring-daemon --unlock --components=secrets > "$FOLDER/keyring.log"

"$PROGRAM" sandbox --upstreams-only > "$FOLDER/sandbox.toml" 2> "$FOLDER/sandbox.log" &
sandbox=$!
trap 'kill $sandbox ${proxy:-} 2> /dev/null || true' EXIT
line "$FOLDER/sandbox.toml" 'ca = ' > /dev/null

# The application of the sandbox becomes a user.
awk '
    /^\[identity\./ {
        print "[identity.alice]\nkind = \"user\"\ntenant = \"5a9db0c5-0000-4000-8000-000000000001\""
        print "client_id = \"5a9db0c5-0000-4000-8000-0000000000cc\"\nsign_in = \"password\""
        print "username = \"alice@contoso.example\"\npassword = { keyring = \"alice-password\" }\nstore = \"keyring\""
        skipping = 1
        next
    }
    /^\[/ { skipping = 0 }
    !skipping
' "$FOLDER/sandbox.toml" > "$FOLDER/proxy.toml"

cd "$FOLDER"
if "$PROGRAM" login 2> missing.log; then fail "login found a password where none is"; fi
grep 'the keyring has no entry with the service defender-proxy and the user name alice-password' missing.log > /dev/null ||
    fail "login doesn't say what is missing"
printf 'sandbox-password-do-not-use' |
    secret-tool store --label='password of alice' service defender-proxy username alice-password
"$PROGRAM" login 2>> login.log | grep 'signed in as alice@contoso.example' || fail "login failed"
"$PROGRAM" check --offline 2>> login.log | grep 'alice@contoso.example has been signed in since' || fail "check failed"
# From here on the sign-in alone is enough.
secret-tool clear service defender-proxy username alice-password
"$PROGRAM" serve --listen 127.0.0.1:0 > serve.out 2> serve.log &
proxy=$!
url=$(line serve.out 'listening on ')
for path in /api/incidents /api/machines /v1.0/security/incidents; do
    status=$(curl --silent --output answer.log --write-out '%{http_code}' "$url$path")
    [ "$status" = 200 ] || fail "$path: $status"
    echo "$path: $status"
done
"$PROGRAM" logout 2>> login.log | grep 'signed out' || fail "logout failed"
"$PROGRAM" check --offline 2>> login.log | grep 'nobody is signed in' || fail "something is left"
echo "the keyring keeps a sign-in, and forgets it"
