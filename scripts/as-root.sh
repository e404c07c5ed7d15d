#!/bin/bash
# Runs a command as root, with sudo if necessary.  as-root.sh COMMAND [ARG...]

set -euo pipefail
source "$(dirname "$0")/lib.sh"
as_root "$@"
