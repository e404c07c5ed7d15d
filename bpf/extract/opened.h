/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The extension of calls that open a file: the caller's flags, and the path that the kernel resolved, unless it is the very
 * name that the event has.
 */
#pragma once

#include "extract/file_flags.h"
#include "extract/paths.h"
#include "template/extension.h"

/* Maximum length of a path, in bytes, that is compared with the event's name. */
#define SC_MAX_COMPARED 256

/* Returns whether the flags of open have some that the event has no name for. */
static __always_inline bool opened__has_more_flags(u64 flags)
{
	return flags & ~(u64)SC_OPEN_SAID || (flags & O_ACCMODE) == O_ACCMODE;
}

/*
 * Returns whether the same `length` bytes are at two offsets of the scratch area of exit programs. A global function, so that the
 * verifier checks the loop once.
 */
__noinline u32 opened__same(u32 one, u32 other, u32 length)
{
	const u32 word = sizeof(u64);
	struct auxmap auxmap = {};
	u32 last = length < word ? 0 : length - word;
	u64 differing;

	if (length > SC_MAX_COMPARED || !auxmap__find(&auxmap, SC_WAY_EXIT))
		return false;
	differing = *(u64 *)auxmap__at(&auxmap, one + last) ^ *(u64 *)auxmap__at(&auxmap, other + last);
	if (length < word)
		return !(differing << (8 * (word - length) & 63));
	if (differing)
		return false;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_MAX_COMPARED - word; i += word) {
		if (i >= last)
			break;
		if (*(u64 *)auxmap__at(&auxmap, one + i) != *(u64 *)auxmap__at(&auxmap, other + i))
			return false;
	}
	return true;
}

/* Returns whether the path at the tail, of `length` bytes, is the parameter at `index` of the event in front of it. */
static __always_inline bool opened__is_named(struct auxmap *auxmap, u32 nparams, u32 index, u32 length)
{
	return *(u16 *)(auxmap->data + SC_LENGTH_OFFSET(index)) == length &&
	       opened__same(extension__offset_of(auxmap, nparams, index), auxmap->pos, length);
}

/*
 * Stores the path of an opened file: no value if there is none, or if it is the event's parameter `name`. Without
 * `more`, other parameters to store, the event is then submitted without the extension; `end` is where it ends.
 */
#define opened__store_path(call, auxmap, program, name, opened, more, end)                               \
	do {                                                                                             \
		struct file *file_ = (opened).file;                                                      \
		struct dentry *dentry_ = BPF_CORE_READ(file_, f_path.dentry);                            \
		u16 length_ = path__write(auxmap, dentry_, BPF_CORE_READ(file_, f_path.mnt));            \
		u8 remarks_ = path__remarks(auxmap, dentry_);                                            \
                                                                                                         \
		if (length_ && !remarks_ &&                                                              \
		    opened__is_named(auxmap, program##__recorded(), SC_INDEX(program, name), length_)) { \
			if (!(more)) {                                                                   \
				auxmap__take_back(auxmap, end);                                          \
				auxmap__output(call, auxmap, program##__type, program##__state);         \
				return;                                                                  \
			}                                                                                \
			length_ = 0;                                                                     \
		}                                                                                        \
		/* Parameters resolved (type: PT_FSPATH) and resolved_flags (type: PT_FLAGS8) */         \
		auxmap__push(auxmap, SC_INDEX(program##__extension, resolved), length_);                 \
		auxmap__settle(auxmap);                                                                  \
		auxmap__store(auxmap, program##__extension, resolved_flags, remarks_);                   \
	} while (0)

/*
 * Submits an event, with an extension if that says more: the path of a file, or flags. `caller_flags` are the call's,
 * `name` is the event's parameter with the path.
 */
#define opened__submit(call, auxmap, program, name, caller_flags, opened)                                    \
	do {                                                                                                 \
		u64 flags_ = (caller_flags);                                                                 \
		bool more_ = opened__has_more_flags(flags_);                                                 \
		u32 end_ = (auxmap)->pos;                                                                    \
                                                                                                             \
		if (!(opened).file && !more_) {                                                              \
			auxmap__submit_event(call, auxmap, program);                                         \
			return;                                                                              \
		}                                                                                            \
		if (!auxmap__extend(call, auxmap, program))                                                  \
			return;                                                                              \
		/* Parameter 1: raw_flags (type: PT_FLAGS32; openat2: PT_FLAGS64) */                         \
		auxmap__store(auxmap, program##__extension, raw_flags, open_flags_to_raw(flags_));           \
		/* Parameter 2: resolved (type: PT_FSPATH), parameter 3: resolved_flags (type: PT_FLAGS8) */ \
		opened__store_path(call, auxmap, program, name, opened, more_, end_);                        \
		auxmap__submit_extended(call, auxmap, program);                                              \
	} while (0)
