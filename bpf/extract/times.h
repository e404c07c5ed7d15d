/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Times in user memory, in nanoseconds. */
#pragma once

#include "extract/registers.h"
#include "user_types.h"

/*
 * Returns a struct timespec in ns, 0 if it cannot be read; `is_32` says that it is a 32-bit caller's. Checks for the
 * frequent NULL first: reading it would cost a page fault.
 */
static __always_inline u64 extract__timespec(u64 pointer, bool is_32)
{
	struct sc_timespec time = {};
	struct sc_timespec32 time32;

	if (!pointer)
		return 0;
	if (!is_32) {
		bpf_probe_read_user(&time, sizeof(time), (const void *)pointer);
	} else if (!bpf_probe_read_user(&time32, sizeof(time32), (const void *)pointer)) {
		time.sec = time32.sec;
		time.nsec = time32.nsec;
	}
	return (u64)time.sec * 1000000000 + (u64)time.nsec;
}
