/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The flags of calls on files in the .scap format's own encoding (flags.def). */
#pragma once

#include "extract/files.h"
#include "extract/flags.h"

#include <linux/fcntl.h>
#include <linux/openat2.h>

/*
 * The kernel's O_SYNC and O_TMPFILE hold the bits of O_DSYNC and O_DIRECTORY as well: they are told apart by the bit
 * that is their own.
 */
static __always_inline u32 open_flags_to_scap(u32 flags)
{
	u32 access = flags & O_ACCMODE;
	u32 scap = access == O_WRONLY ? PPM_file_flags__O_WRONLY :
		   access == O_RDWR   ? PPM_file_flags__O_RDWR :
					PPM_file_flags__O_RDONLY;

	return scap | SC_FLAG(flags, O_CREAT, file_flags, O_CREAT) | SC_FLAG(flags, O_APPEND, file_flags, O_APPEND) |
	       SC_FLAG(flags, O_DSYNC, file_flags, O_DSYNC) | SC_FLAG(flags, O_EXCL, file_flags, O_EXCL) |
	       SC_FLAG(flags, O_NONBLOCK, file_flags, O_NONBLOCK) | SC_FLAG(flags, __O_SYNC, file_flags, O_SYNC) |
	       SC_FLAG(flags, O_TRUNC, file_flags, O_TRUNC) | SC_FLAG(flags, O_DIRECT, file_flags, O_DIRECT) |
	       SC_FLAG(flags, O_DIRECTORY, file_flags, O_DIRECTORY) |
	       SC_FLAG(flags, O_LARGEFILE, file_flags, O_LARGEFILE) |
	       SC_FLAG(flags, O_CLOEXEC, file_flags, O_CLOEXEC) | SC_FLAG(flags, __O_TMPFILE, file_flags, O_TMPFILE);
}

/* The permission bits; 0 where the call ignores its argument, as it cannot create a file. */
static __always_inline u32 open_mode_to_scap(u32 flags, u32 mode)
{
	return flags & (O_CREAT | __O_TMPFILE) ? mode & 07777 : 0;
}

/* What the result adds to the flags that were asked for. */
static __always_inline u32 opened_flags_to_scap(const struct sc_opened *opened)
{
	u32 layer = opened->overlay == SC_OVERLAY_UPPER ? PPM_file_flags__FD_UPPER_LAYER :
		    opened->overlay == SC_OVERLAY_LOWER ? PPM_file_flags__FD_LOWER_LAYER :
							  0;

	return layer | SC_FLAG(opened->mode, SC_FMODE_CREATED, file_flags, O_F_CREATED);
}

static __always_inline u16 creat_flags_to_scap(const struct sc_opened *opened)
{
	return opened->overlay == SC_OVERLAY_UPPER ? PPM_creat_flags__FD_UPPER_LAYER_CREAT :
	       opened->overlay == SC_OVERLAY_LOWER ? PPM_creat_flags__FD_LOWER_LAYER_CREAT :
						     0;
}

static __always_inline u32 resolve_flags_to_scap(u64 resolve)
{
	return SC_FLAG(resolve, RESOLVE_BENEATH, openat2_flags, RESOLVE_BENEATH) |
	       SC_FLAG(resolve, RESOLVE_IN_ROOT, openat2_flags, RESOLVE_IN_ROOT) |
	       SC_FLAG(resolve, RESOLVE_NO_MAGICLINKS, openat2_flags, RESOLVE_NO_MAGICLINKS) |
	       SC_FLAG(resolve, RESOLVE_NO_SYMLINKS, openat2_flags, RESOLVE_NO_SYMLINKS) |
	       SC_FLAG(resolve, RESOLVE_NO_XDEV, openat2_flags, RESOLVE_NO_XDEV) |
	       SC_FLAG(resolve, RESOLVE_CACHED, openat2_flags, RESOLVE_CACHED);
}
