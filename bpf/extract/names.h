/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Paths are found from their last name to their first, and stored the other way round: the names are gathered as
 * pointers, in the room at the end of the scratch area.
 */
#pragma once

#include "template/auxmap.h"

enum {
	SC_NAMES_MAX = 64, /* a power of two. Of a longer path, the last names are kept, behind "..." */
	SC_NAME_LEN = 256, /* NAME_MAX and the NUL */
	/* How many steps lead from the last name to the root, at most: that to another mount is one without a name. */
	SC_NAMES_STEPS = SC_NAMES_MAX + 16,
	SC_NAMES_ROOM = SC_SCRATCH_ROOM + 16,
};

_Static_assert(SC_NAMES_ROOM + SC_NAMES_MAX * sizeof(u64) <= SC_SCRATCH_SIZE, "the names fit into the room");

static __always_inline volatile u32 *names__count(struct auxmap *auxmap)
{
	return (volatile u32 *)(auxmap->data + SC_SCRATCH_ROOM + sizeof(u64));
}

/* Whether the names go back to the root. */
static __always_inline volatile u32 *names__complete(struct auxmap *auxmap)
{
	return names__count(auxmap) + 1;
}

static __always_inline const void **names__slot(struct auxmap *auxmap, u32 n)
{
	return (const void **)(auxmap->data + SC_NAMES_ROOM + SC_BOUND(n, SC_NAMES_MAX) * sizeof(u64));
}

static __always_inline void names__begin(struct auxmap *auxmap)
{
	*names__count(auxmap) = 0;
	*names__complete(auxmap) = 0;
}

/* There is no name before those added so far. */
static __always_inline void names__reach_root(struct auxmap *auxmap)
{
	*names__complete(auxmap) = 1;
}

/* Adds the name before those added so far; false if there is no room for it. */
static __always_inline bool names__add(struct auxmap *auxmap, const void *name)
{
	u32 count = *names__count(auxmap);

	if (count >= SC_NAMES_MAX)
		return false;
	*names__slot(auxmap, count) = name;
	*names__count(auxmap) = count + 1;
	return true;
}

/* Writes what stands for the names that are left out, if there are any: returns where it ends. */
static __always_inline u32 names__write_start(struct auxmap *auxmap, u32 start)
{
	const u32 dots = 3;

	if (*names__complete(auxmap))
		return start;
	__builtin_memcpy(auxmap__at(auxmap, start), "...", dots);
	return auxmap__forget(auxmap, start + dots);
}

/* Writes the names as a path with its NUL at `start`: returns where it ends. */
static __always_inline u32 names__write(struct auxmap *auxmap, u32 start)
{
	u32 count = *names__count(auxmap), at = auxmap__forget(auxmap, names__write_start(auxmap, start));

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
