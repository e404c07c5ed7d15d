/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Paths are found from their last name to their first, and stored the other way round: the names are gathered as
 * pointers, in the room at the end of the scratch area.
 */
#pragma once

#include "template/auxmap.h"

enum {
	SC_NAMES_MAX = 64, /* a power of two. Of a longer path, the last names are kept */
	SC_NAME_LEN = 256, /* NAME_MAX and the NUL */
	SC_NAMES_ROOM = SC_SCRATCH_ROOM + 16,
};

_Static_assert(SC_NAMES_ROOM + SC_NAMES_MAX * sizeof(u64) <= SC_SCRATCH_SIZE, "the names fit into the room");

static __always_inline volatile u32 *names__count(struct auxmap *auxmap)
{
	return (volatile u32 *)(auxmap->data + SC_SCRATCH_ROOM + sizeof(u64));
}

static __always_inline const void **names__slot(struct auxmap *auxmap, u32 n)
{
	return (const void **)(auxmap->data + SC_NAMES_ROOM + SC_BOUND(n, SC_NAMES_MAX) * sizeof(u64));
}

static __always_inline void names__begin(struct auxmap *auxmap)
{
	*names__count(auxmap) = 0;
}

/* Adds the name before those added so far; at most SC_NAMES_MAX. */
static __always_inline void names__add(struct auxmap *auxmap, const void *name)
{
	u32 count = *names__count(auxmap);

	*names__slot(auxmap, count) = name;
	*names__count(auxmap) = count + 1;
}

/* Writes the names as an absolute path with its NUL at `start`: returns where it ends. */
static __always_inline u32 names__write(struct auxmap *auxmap, u32 start)
{
	u32 count = *names__count(auxmap), at = start;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_MAX; i++) {
		u8 *tail = auxmap__at(auxmap, at);
		long n;

		if (i >= count)
			break;
		*tail = '/';
		n = bpf_probe_read_kernel_str(tail + 1, SC_NAME_LEN, *names__slot(auxmap, count - 1 - i));
		if (n <= 0)
			break;
		at = auxmap__forget(auxmap, at + n); /* the slash is counted, the NUL is not */
	}
	at = auxmap__forget(auxmap, at);
	if (at == start) {
		*auxmap__at(auxmap, at) = '/';
		at++;
	}
	*auxmap__at(auxmap, at) = 0;
	return auxmap__forget(auxmap, at + 1);
}
