/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Message headers in user memory. */
#pragma once

#include "extract/registers.h"
#include "user_types.h"

/* Returns a 32-bit value in user memory; 0 if it cannot be read. */
static __always_inline u32 message__u32(u64 pointer)
{
	u32 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)pointer);
	return value;
}

/* Reads a message header in user memory. Returns false and an empty header if it cannot be read. */
static __always_inline bool message__read_header(const struct sc_call *call, u64 pointer, struct sc_msghdr *header)
{
	struct sc_msghdr32 header32;

	__builtin_memset(header, 0, sizeof(*header));
	if (!call->compat)
		return !bpf_probe_read_user(header, sizeof(*header), (const void *)pointer);
	if (bpf_probe_read_user(&header32, sizeof(header32), (const void *)pointer))
		return false;
	header->name = header32.name;
	header->namelen = header32.namelen;
	header->iov = header32.iov;
	header->iovlen = header32.iovlen;
	header->control = header32.control;
	header->controllen = header32.controllen;
	return true;
}
