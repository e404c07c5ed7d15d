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
	/* The steps of one function. The verifier follows these, and not all of them. */
	SC_NAMES_SOME = 8,
};

/* The names so far, and where the walk is: in the temporary room of the scratch area. */
struct names {
	u32 hidden;  /* see auxmap__forget */
	u32 remarks; /* on the path: path_flags of flags.def */
	u32 count;
	u32 complete; /* whether they reach the root */
	const void *name[SC_NAMES_MAX];
	const void *at; /* a dentry, or a node of kernfs */
	struct mount *mount;
	struct dentry *root; /* of the mount */
};

_Static_assert(SC_SCRATCH_ROOM + sizeof(struct names) <= SC_SCRATCH_SIZE, "the names do not fit into the room");

static __always_inline struct names *names__of(const struct auxmap *auxmap)
{
	return (struct names *)(auxmap->data + SC_SCRATCH_ROOM);
}

static __always_inline void names__begin(struct names *names, const void *at)
{
	names->count = 0;
	names->complete = 0;
	names->remarks = 0;
	names->at = at;
}

/* Adds the name that precedes those added so far. Returns false if there is no room. */
static __always_inline bool names__add(struct names *names, const void *name)
{
	u32 count = names->count;

	if (count >= SC_NAMES_MAX)
		return false;
	names->name[SC_BOUND(count, SC_NAMES_MAX)] = name;
	names->count = count + 1;
	return true;
}

/* The bit that is added to an offset if no name is to be written any more. */
#define SC_LAST_NAME (1u << 31)

/*
 * Writes up to SC_NAMES_SOME names from `first` on, each after a slash, at this offset of a way's scratch area. Returns the offset
 * after them; with SC_LAST_NAME if the last one or an unreadable one is among them.
 */
__noinline u32 names__write_some(u32 way, u32 at, u32 first)
{
	struct auxmap auxmap = {};
	struct names *names;

	if (!auxmap__find(&auxmap, way))
		return at | SC_LAST_NAME;
	names = names__of(&auxmap);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_SOME; i++) {
		u32 left = names->count - first - i;
		u8 *tail = auxmap__at(&auxmap, at);
		long n;

		if (!left || left > SC_NAMES_MAX)
			return at | SC_LAST_NAME;
		*tail = '/';
		n = bpf_probe_read_kernel_str(tail + 1, SC_NAME_LEN, names->name[SC_BOUND(left - 1, SC_NAMES_MAX)]);
		if (n <= 0)
			return at | SC_LAST_NAME;
		at = auxmap__forget(&auxmap, at + n); /* counts the slash, not the NUL */
	}
	return at;
}

/* Writes "..." if names are missing at the start. Returns the offset after it. */
static __always_inline u32 names__write_start(struct auxmap *auxmap, u32 start)
{
	const u32 dots = 3;

	if (names__of(auxmap)->complete)
		return start;
	__builtin_memcpy(auxmap__at(auxmap, start), "...", dots);
	return start + dots;
}

/* Writes the names as a path with its NUL at `start`. Returns the offset after it. */
static __always_inline u32 names__write(struct auxmap *auxmap, u32 start)
{
	u32 at = auxmap__forget(auxmap, names__write_start(auxmap, start));

#pragma clang loop unroll(disable)
	for (u32 first = 0; first < SC_NAMES_MAX; first += SC_NAMES_SOME) {
		at = names__write_some(auxmap->way, at, first);
		if (at & SC_LAST_NAME)
			break;
	}
	at = auxmap__forget(auxmap, at & ~SC_LAST_NAME);
	if (at == start) {
		*auxmap__at(auxmap, at) = '/';
		at++;
	}
	*auxmap__at(auxmap, at) = 0;
	return auxmap__forget(auxmap, at + 1);
}
