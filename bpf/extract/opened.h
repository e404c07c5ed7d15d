/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The extension of calls that open a file: the caller's flags, and the path that the kernel resolved. */
#pragma once

#include "extract/file_flags.h"
#include "extract/paths.h"
#include "template/extension.h"

/* Returns whether an event's extension says what the event does not: the path of a file, or flags without a name there. */
static __always_inline bool opened__says_more(const struct sc_opened *opened, u64 flags)
{
	return opened->file || flags & ~(u64)SC_OPEN_SAID || (flags & O_ACCMODE) == O_ACCMODE;
}

/* Stores the path of an opened file; no value if there is none. */
#define opened__store_path(auxmap, extension, opened)                                                    \
	do {                                                                                             \
		struct file *file_ = (opened).file;                                                      \
                                                                                                         \
		/* Parameters resolved (type: PT_FSPATH) and resolved_flags (type: PT_FLAGS8) */         \
		auxmap__store_resolved(auxmap, extension, resolved, BPF_CORE_READ(file_, f_path.dentry), \
				       BPF_CORE_READ(file_, f_path.mnt));                                \
	} while (0)

/* Submits an event, with an extension if that says more. `caller_flags` are the call's. */
#define opened__submit(call, auxmap, program, caller_flags, opened)                                          \
	do {                                                                                                 \
		u64 flags_ = (caller_flags);                                                                 \
                                                                                                             \
		if (!opened__says_more(&(opened), flags_)) {                                                 \
			auxmap__submit_event(call, auxmap, program);                                         \
			return;                                                                              \
		}                                                                                            \
		if (!auxmap__extend(call, auxmap, program))                                                  \
			return;                                                                              \
		/* Parameter 1: raw_flags (type: PT_FLAGS32; openat2: PT_FLAGS64) */                         \
		auxmap__store(auxmap, program##__extension, raw_flags, open_flags_to_raw(flags_));           \
		/* Parameter 2: resolved (type: PT_FSPATH), parameter 3: resolved_flags (type: PT_FLAGS8) */ \
		opened__store_path(auxmap, program##__extension, opened);                                    \
		auxmap__submit_extended(call, auxmap, program);                                              \
	} while (0)
