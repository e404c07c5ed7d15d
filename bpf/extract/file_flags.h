/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Flags of file calls in the .scap format's encoding (flags.def). */
#pragma once

#include "extract/files.h"
#include "extract/flags.h"

#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

/*
 * The kernel's O_SYNC and O_TMPFILE include the bits of O_DSYNC and O_DIRECTORY: __O_SYNC and __O_TMPFILE tell them
 * apart.
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
	       SC_FLAG(flags, O_LARGEFILE, file_flags, O_LARGEFILE) | SC_FLAG(flags, O_CLOEXEC, file_flags, O_CLOEXEC) |
	       SC_FLAG(flags, __O_TMPFILE, file_flags, O_TMPFILE);
}

/* The bits of open's flags that open_flags_to_scap can say. */
#define SC_OPEN_SAID                                                                                      \
	(O_ACCMODE | O_CREAT | O_APPEND | O_DSYNC | O_EXCL | O_NONBLOCK | __O_SYNC | O_TRUNC | O_DIRECT | \
	 O_DIRECTORY | O_LARGEFILE | O_CLOEXEC | __O_TMPFILE)

/* Returns open's flags as the caller gave them, in the encoding of the table open_flags, which is that of x86-64. */
static __always_inline u64 open_flags_to_raw(u64 flags)
{
	const u64 differ = O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW;

	return (flags & ~differ) | SC_FLAG(flags, O_DIRECT, open_flags, O_DIRECT) |
	       SC_FLAG(flags, O_LARGEFILE, open_flags, O_LARGEFILE) |
	       SC_FLAG(flags, O_DIRECTORY, open_flags, O_DIRECTORY) |
	       SC_FLAG(flags, O_NOFOLLOW, open_flags, O_NOFOLLOW);
}

/* Returns the permission bits; 0 if the call cannot create a file and so ignores the argument. */
static __always_inline u32 open_mode_to_scap(u32 flags, u32 mode)
{
	return flags & (O_CREAT | __O_TMPFILE) ? mode & 07777 : 0;
}

/* Returns the flags that describe the opened file, to be added to the requested ones. */
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

static __always_inline u32 dup3_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, O_CLOEXEC, file_flags, O_CLOEXEC);
}

/* A negative number has nearly every bit set and is no set of flags. */
static __always_inline u32 pipe2_flags_to_scap(s32 flags)
{
	if (flags < 0)
		return 0;
	return SC_FLAG(flags, O_CLOEXEC, file_flags, O_CLOEXEC) | SC_FLAG(flags, O_DIRECT, file_flags, O_DIRECT) |
	       SC_FLAG(flags, O_NONBLOCK, file_flags, O_NONBLOCK);
}

/* Flags of calls that create a descriptor of something other than a file. A negative number is no set of flags. */
static __always_inline u16 descriptor_flags_to_scap(s32 flags)
{
	if (flags < 0)
		return 0;
	return SC_FLAG(flags, O_CLOEXEC, file_flags, O_CLOEXEC) | SC_FLAG(flags, O_NONBLOCK, file_flags, O_NONBLOCK);
}

static __always_inline u32 epoll_create1_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, O_CLOEXEC, epoll_create1_flags, EPOLL_CLOEXEC);
}

static __always_inline u32 pidfd_open_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, O_NONBLOCK, pidfd_open_flags, PIDFD_NONBLOCK);
}

/* The kernel's numbers are the format's; bits that the format does not name are dropped. */
static __always_inline u32 memfd_create_flags_to_scap(u32 flags)
{
	return flags & (PPM_memfd_create_flags__MFD_CLOEXEC | PPM_memfd_create_flags__MFD_ALLOW_SEALING |
			PPM_memfd_create_flags__MFD_HUGETLB);
}

static __always_inline u32 close_range_flags_to_scap(u32 flags)
{
	return flags & (PPM_close_range_flags__CLOSE_RANGE_UNSHARE | PPM_close_range_flags__CLOSE_RANGE_CLOEXEC);
}

static __always_inline u32 unlinkat_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, AT_REMOVEDIR, unlinkat_flags, AT_REMOVEDIR);
}

/* The permission bits: the kernel's numbers are the format's. */
static __always_inline u32 chmod_mode_to_scap(u32 mode)
{
	return mode & 07777;
}

/* A mode without a file type means a regular file. */
static __always_inline u32 mknod_mode_to_scap(u32 mode)
{
	u32 permissions = chmod_mode_to_scap(mode);

	switch (mode & S_IFMT) {
	case S_IFSOCK:
		return permissions | PPM_mknod_mode__S_IFSOCK;
	case 0:
	case S_IFREG:
		return permissions | PPM_mknod_mode__S_IFREG;
	case S_IFBLK:
		return permissions | PPM_mknod_mode__S_IFBLK;
	case S_IFCHR:
		return permissions | PPM_mknod_mode__S_IFCHR;
	case S_IFIFO:
		return permissions | PPM_mknod_mode__S_IFIFO;
	default:
		return permissions;
	}
}

static __always_inline u32 flock_flags_to_scap(u32 operation)
{
	return SC_FLAG(operation, LOCK_SH, flock_flags, LOCK_SH) | SC_FLAG(operation, LOCK_EX, flock_flags, LOCK_EX) |
	       SC_FLAG(operation, LOCK_NB, flock_flags, LOCK_NB) | SC_FLAG(operation, LOCK_UN, flock_flags, LOCK_UN);
}

/* The kernel's numbers are the format's; bits that the format does not name are dropped. */
static __always_inline u32 splice_flags_to_scap(u32 flags)
{
	return flags & (PPM_splice_flags__SPLICE_F_MOVE | PPM_splice_flags__SPLICE_F_NONBLOCK |
			PPM_splice_flags__SPLICE_F_MORE | PPM_splice_flags__SPLICE_F_GIFT);
}

static __always_inline u32 linkat_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, AT_SYMLINK_FOLLOW, linkat_flags, AT_SYMLINK_FOLLOW) |
	       SC_FLAG(flags, AT_EMPTY_PATH, linkat_flags, AT_EMPTY_PATH);
}

static __always_inline u32 newfstatat_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, AT_EMPTY_PATH, newfstatat_flags, AT_EMPTY_PATH) |
	       SC_FLAG(flags, AT_NO_AUTOMOUNT, newfstatat_flags, AT_NO_AUTOMOUNT) |
	       SC_FLAG(flags, AT_SYMLINK_NOFOLLOW, newfstatat_flags, AT_SYMLINK_NOFOLLOW);
}

static __always_inline u32 fchownat_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, AT_SYMLINK_NOFOLLOW, fchownat_flags, AT_SYMLINK_NOFOLLOW) |
	       SC_FLAG(flags, AT_EMPTY_PATH, fchownat_flags, AT_EMPTY_PATH);
}

/* The kernel's numbers are the format's; bits that the format does not name are kept. */
static __always_inline u32 renameat2_flags_to_scap(u32 flags)
{
	return flags;
}

/* The kernel's numbers are the format's, which does not name SEEK_DATA and SEEK_HOLE: they stay numbers. */
static __always_inline u8 lseek_whence_to_scap(u32 whence)
{
	return whence;
}

/* Commands of 32-bit callers for locks with 64-bit offsets. */
enum {
	SC_F_GETLK64 = 12,
	SC_F_SETLK64 = 13,
	SC_F_SETLKW64 = 14,
};

#define SC_FCNTL_COMMAND(name) \
	case name:             \
		return PPM_fcntl_commands__##name

static __always_inline u8 fcntl_command_to_scap(u32 command, bool compat)
{
	if (compat) {
		switch (command) {
		case SC_F_GETLK64:
			return PPM_fcntl_commands__F_GETLK64;
		case SC_F_SETLK64:
			return PPM_fcntl_commands__F_SETLK64;
		case SC_F_SETLKW64:
			return PPM_fcntl_commands__F_SETLKW64;
		}
	}
	switch (command) {
		SC_FCNTL_COMMAND(F_DUPFD);
		SC_FCNTL_COMMAND(F_GETFD);
		SC_FCNTL_COMMAND(F_SETFD);
		SC_FCNTL_COMMAND(F_GETFL);
		SC_FCNTL_COMMAND(F_SETFL);
		SC_FCNTL_COMMAND(F_GETLK);
		SC_FCNTL_COMMAND(F_SETLK);
		SC_FCNTL_COMMAND(F_SETLKW);
		SC_FCNTL_COMMAND(F_SETOWN);
		SC_FCNTL_COMMAND(F_GETOWN);
		SC_FCNTL_COMMAND(F_SETSIG);
		SC_FCNTL_COMMAND(F_GETSIG);
		SC_FCNTL_COMMAND(F_SETOWN_EX);
		SC_FCNTL_COMMAND(F_GETOWN_EX);
		SC_FCNTL_COMMAND(F_SETLEASE);
		SC_FCNTL_COMMAND(F_GETLEASE);
		SC_FCNTL_COMMAND(F_CANCELLK);
		SC_FCNTL_COMMAND(F_DUPFD_CLOEXEC);
		SC_FCNTL_COMMAND(F_NOTIFY);
		SC_FCNTL_COMMAND(F_SETPIPE_SZ);
		SC_FCNTL_COMMAND(F_GETPIPE_SZ);
		SC_FCNTL_COMMAND(F_OFD_GETLK);
		SC_FCNTL_COMMAND(F_OFD_SETLK);
		SC_FCNTL_COMMAND(F_OFD_SETLKW);
	default:
		return PPM_fcntl_commands__UNKNOWN;
	}
}
