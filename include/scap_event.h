/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The event as the capture file holds it. The programs build it in this form; nothing re-encodes it.
 *
 *   0        8        16    20    22       26
 *   +--------+--------+-----+-----+--------+-----+-----+-- --+---------+---------+-- --+
 *   | ts     | tid    | len | type| nparams| len0| len1| ... | param 0 | param 1 | ... |
 *   +--------+--------+-----+-----+--------+-----+-----+-- --+---------+---------+-- --+
 *   u64      u64      u32   u16   u32      u16 each          unaligned, in the row's order
 *
 * All in host byte order. ts is in nanoseconds since the epoch; len is the size of the whole event in bytes. A ring
 * record is the body of the event's block: the CPU (u16), then the event; behind it, in the same form, the event that
 * extends it (extensions.def), if any, which gets a block of its own.
 */
#pragma once

#include "kernel_types.h"

struct sc_event_header {
	u64 ts;
	u64 tid;
	u32 len;
	u16 type;
	u32 nparams;
} __attribute__((packed));

enum {
	SC_CPU_LEN = sizeof(u16), /* before the event */
	SC_HEADER_LEN = sizeof(struct sc_event_header),
	SC_LENGTH_LEN = sizeof(u16), /* an entry of the lengths array */
	/* An event block (frame 12, CPU 2, padding up to 3 bytes) may not exceed 65,536 bytes. */
	SC_MAX_EVENT = 65536 - 12 - SC_CPU_LEN - 3,
};

_Static_assert(sizeof(struct sc_event_header) == 26, "the event header must have 26 bytes");
