#!/bin/bash
# Runs a command as root: as it is when we are root, with sudo otherwise.  as-root.sh COMMAND [ARG...]

set -euo pipefail
source "$(dirname "$0")/lib.sh"
as_root "$@"
