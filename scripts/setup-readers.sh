#!/bin/bash
# Fetches the readers that captures are tested with: sysdig, strato and tshark of Debian sid, and bookworm's sysdig of
# 2022. Each release has its own directory in the cache (see lib.sh); nothing is installed. Remove the directory to get
# newer versions.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

lock_cache
# strato comes in the package of a graphical program: omit the dependencies that only that needs.
[ -d "$cache/readers-sid" ] || debian_root sid "$cache/readers-sid" sysdig tshark jq -- stratoshark
[ -d "$cache/readers-bookworm" ] || debian_root bookworm "$cache/readers-bookworm" sysdig
