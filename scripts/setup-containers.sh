#!/bin/bash
# Fetches podman of Debian trixie, for test-containers.sh, into the cache (see lib.sh); nothing is installed. Remove the directory
# to get a newer version.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

lock_cache
# Not only what podman depends on: without maintainer scripts, there is no base system.
[ -d "$cache/podman-trixie" ] || debian_root trixie "$cache/podman-trixie" podman crun busybox-static bash coreutils tar
