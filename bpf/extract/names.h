/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel links path components from last to first; a path is written the other way round. So pointers to the
 * names are gathered first, at the end of the scratch area.
 */
#pragma once

#include "template/auxmap.h"

enum {
	SC_NAMES_MAX = 64, /* a power of two; a longer path keeps its last names, after "..." */
	SC_NAME_LEN = 256, /* NAME_MAX and the NUL */
	/* Maximum steps from the last name to the root: crossing a mount is a step without a name. */
	SC_NAMES_STEPS = SC_NAMES_MAX + 16,
	SC_NAMES_ROOM = SC_SCRATCH_ROOM + 16,
};

_Static_assert(SC_NAMES_ROOM + SC_NAMES_MAX * sizeof(u64) <= SC_SCRATCH_SIZE, "the names do not fit into the room");

static __always_inline volatile u32 *names__count(struct auxmap *auxmap)
{
	return (volatile u32 *)(auxmap->data + SC_SCRATCH_ROOM + sizeof(u64));
}

/* Returns the flag that says whether the names reach the root. */
static __always_inline volatile u32 *names__complete(struct auxmap *auxmap)
{
	return names__count(auxmap) + 1;
}

/* Returns the remarks on the path (path_flags of flags.def). */
static __always_inline volatile u32 *names__remarks(struct auxmap *auxmap)
{
	return names__count(auxmap) - 1;
}

static __always_inline const void **names__slot(struct auxmap *auxmap, u32 n)
{
	return (const void **)(auxmap->data + SC_NAMES_ROOM + SC_BOUND(n, SC_NAMES_MAX) * sizeof(u64));
}

static __always_inline void names__begin(struct auxmap *auxmap)
{
	*names__count(auxmap) = 0;
	*names__complete(auxmap) = 0;
	*names__remarks(auxmap) = 0;
}

/* Notes that no name precedes those added so far. */
static __always_inline void names__reach_root(struct auxmap *auxmap)
{
	*names__complete(auxmap) = 1;
}

static __always_inline void names__remark(struct auxmap *auxmap, u32 remark)
{
	*names__remarks(auxmap) |= remark;
}

/* Adds the name that precedes those added so far. Returns false if there is no room. */
static __always_inline bool names__add(struct auxmap *auxmap, const void *name)
{
	u32 count = *names__count(auxmap);

	if (count >= SC_NAMES_MAX)
		return false;
	*names__slot(auxmap, count) = name;
	*names__count(auxmap) = count + 1;
	return true;
}

/* Writes "..." if names are missing at the start. Returns the offset after it. */
static __always_inline u32 names__write_start(struct auxmap *auxmap, u32 start)
{
	const u32 dots = 3;

	if (*names__complete(auxmap))
		return start;
	__builtin_memcpy(auxmap__at(auxmap, start), "...", dots);
	return auxmap__forget(auxmap, start + dots);
}

/* Writes the names as a path with its NUL at `start`. Returns the offset after it. */
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
		at = auxmap__forget(auxmap, at + n); /* counts the slash, not the NUL */
	}
	at = auxmap__forget(auxmap, at);
	if (at == start) {
		*auxmap__at(auxmap, at) = '/';
		at++;
	}
	*auxmap__at(auxmap, at) = 0;
	return auxmap__forget(auxmap, at + 1);
}
