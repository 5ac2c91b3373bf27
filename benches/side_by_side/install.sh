#!/bin/sh
# Installs what the side-by-side benchmark runs, from Debian: the peers (nginx is the origin as well), and the load generators.
# Debian starts nginx and haproxy as services; the benchmark doesn't need those, it starts its own on free ports.
set -eu
root=
[ "$(id -u)" -eq 0 ] || root=sudo
$root apt-get update -q
$root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends nginx haproxy wrk curl nghttp2-client
