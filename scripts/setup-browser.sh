#!/bin/bash
# Fetches Debian's chromium, its driver and Selenium, with which pages of `scapd report` are tested, into the cache (see
# lib.sh); nothing is installed. Remove the directory to get newer versions.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

lock_cache
root=$cache/readers-browser
[ -d "$root" ] || debian_root bookworm "$root" chromium chromium-driver python3-selenium fonts-dejavu-core
# The driver is reached by name.
echo '127.0.0.1 localhost' >"$root/etc/hosts"
