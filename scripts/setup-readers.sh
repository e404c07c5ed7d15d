#!/bin/bash
# Fetches the programs that captures are tried with: sysdig, strato and tshark of Debian sid, and bookworm's sysdig, which
# is of 2022. Each release has a folder of its own in the cache (see lib.sh); nothing is installed. To get newer ones,
# remove the folder.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

need flock
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
# Strato comes with a graphical program: without what only that needs.
[ -d "$cache/readers-sid" ] || debian_root sid "$cache/readers-sid" sysdig tshark jq -- stratoshark
[ -d "$cache/readers-bookworm" ] || debian_root bookworm "$cache/readers-bookworm" sysdig
