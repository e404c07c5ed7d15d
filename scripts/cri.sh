#!/bin/bash
# Makes a request of Kubernetes' CRI to containerd, as crictl does, which Debian does not have: reads the fields of the message from
# stdin, and prints those of the answer, both in protobuf's text form.
#
#   cri.sh METHOD        e.g. echo 'pod_sandbox_id: "3f2a"' | cri.sh StopPodSandbox
#
# Needs curl, protoc, and the messages in /usr/share/cri/api.proto.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

[ $# = 1 ] || die "usage: cri.sh METHOD"
messages=(protoc -I /usr/share/cri api.proto)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"${messages[@]}" --encode="runtime.v1.$1Request" >"$tmp/message"
# gRPC puts a byte and the length before a message.
{
	printf '%010X' "$(stat -c %s "$tmp/message")" | basenc --base16 -d
	cat "$tmp/message"
} >"$tmp/request"
curl -sS --max-time 120 --http2-prior-knowledge --unix-socket /run/containerd/containerd.sock -H 'te: trailers' \
	-H 'content-type: application/grpc' --data-binary "@$tmp/request" -D "$tmp/headers" -o "$tmp/answer" \
	"http://localhost/runtime.v1.RuntimeService/$1"
grep -q '^grpc-status: 0' "$tmp/headers" || die "$1: $(sed -n 's/^grpc-message: //p' "$tmp/headers")"
tail -c +6 "$tmp/answer" | "${messages[@]}" --decode="runtime.v1.$1Response"
