/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the calls of the stat family return in user memory, in the layouts of their callers. */
#pragma once

#include "extract/exe.h"
#include "template/extension.h"

/* What events record of a file's attributes. */
struct sc_stat {
	u64 ino;
	u64 size;
	u64 mtime; /* ns since the epoch */
	u32 dev;
	u32 rdev;
	u32 mode;
	u32 nlink;
	u32 uid;
	u32 gid;
};

/* The start of struct stat. */
#if defined(__TARGET_ARCH_x86)
struct sc_stat_native {
	u64 dev;
	u64 ino;
	u64 nlink;
	u32 mode;
	u32 uid;
	u32 gid;
	u32 padding;
	u64 rdev;
	s64 size;
	u64 blksize, blocks;
	u64 atime, atime_ns;
	s64 mtime;
	u64 mtime_ns;
};
#else
struct sc_stat_native {
	u64 dev;
	u64 ino;
	u32 mode;
	u32 nlink;
	u32 uid;
	u32 gid;
	u64 rdev;
	u64 padding;
	s64 size;
	u32 blksize, padding_2;
	u64 blocks;
	u64 atime, atime_ns;
	s64 mtime;
	u64 mtime_ns;
};
#endif

/* 32-bit callers of stat, lstat and fstat on x86-64. */
struct sc_stat32 {
	u32 dev;
	u32 ino;
	u16 mode;
	u16 nlink;
	u16 uid;
	u16 gid;
	u32 rdev;
	u32 size;
	u32 blksize, blocks;
	u32 atime, atime_ns;
	u32 mtime;
	u32 mtime_ns;
};

/* Those of stat64, lstat64, fstat64 and fstatat64. */
struct sc_stat64 {
	u64 dev;
	u32 padding, low_ino;
	u32 mode;
	u32 nlink;
	u32 uid;
	u32 gid;
	u64 rdev;
	u32 padding_2;
	s64 size;
	u32 blksize;
	u64 blocks;
	u32 atime, atime_ns;
	u32 mtime;
	u32 mtime_ns;
	u32 ctime, ctime_ns;
	u64 ino;
} __attribute__((packed));

_Static_assert(__builtin_offsetof(struct sc_stat_native, mtime) == 88, "not the layout of struct stat");
_Static_assert(sizeof(struct sc_stat32) == 48, "not the layout of a 32-bit struct stat");
_Static_assert(sizeof(struct sc_stat64) == 96, "not the layout of struct stat64");

#define stat__from(from)                                                         \
	((struct sc_stat){ .ino = (from).ino,                                    \
			   .size = (from).size,                                  \
			   .mtime = exe__ns((s64)(from).mtime, (from).mtime_ns), \
			   .dev = (from).dev,                                    \
			   .rdev = (from).rdev,                                  \
			   .mode = (from).mode,                                  \
			   .nlink = (from).nlink,                                \
			   .uid = (from).uid,                                    \
			   .gid = (from).gid })

/* Reads the structure of a 32-bit caller. Returns false if it cannot be read. */
static __always_inline bool stat__read_32bit(const struct sc_call *call, const void *pointer, struct sc_stat *stat)
{
	const u32 i386_stat = 106, i386_fstat = 108;
	u32 number = extract__number(call->regs);
	struct sc_stat64 stat64;
	struct sc_stat32 stat32;

	if (number >= i386_stat && number <= i386_fstat) {
		if (bpf_probe_read_user(&stat32, sizeof(stat32), pointer))
			return false;
		*stat = stat__from(stat32);
		return true;
	}
	if (bpf_probe_read_user(&stat64, sizeof(stat64), pointer))
		return false;
	*stat = stat__from(stat64);
	return true;
}

/* Reads the structure that a call of the stat family has filled in. Returns false if it cannot be read. */
static __always_inline bool stat__read(const struct sc_call *call, u64 pointer, struct sc_stat *stat)
{
	struct sc_stat_native native;

	if (call->compat)
		return stat__read_32bit(call, (const void *)pointer, stat);
	if (bpf_probe_read_user(&native, sizeof(native), (const void *)pointer))
		return false;
	*stat = stat__from(native);
	return true;
}

/* The same for argument n of a call. Returns false if the event gets no extension: that of a failed call has nothing to add. */
static __always_inline bool stat__returned(const struct sc_call *call, int n, struct sc_stat *stat)
{
	return sc_settings.extensions && !call->ret && stat__read(call, extract__syscall_argument(call, n), stat);
}

/* Submits an event, with the attributes as its extension if they are known. */
#define stat__submit(call, auxmap, program, is_known, stat)                             \
	do {                                                                            \
		if (!(is_known)) {                                                      \
			auxmap__submit_event(call, auxmap, program);                    \
			return;                                                         \
		}                                                                       \
		if (!auxmap__extend(call, auxmap, program))                             \
			return;                                                         \
		/* Parameter 1: dev (type: PT_UINT32) */                                \
		auxmap__store_short(auxmap, program##__extension, dev, (stat).dev);     \
		/* Parameter 2: ino (type: PT_UINT64) */                                \
		auxmap__store_short(auxmap, program##__extension, ino, (stat).ino);     \
		/* Parameter 3: mode (type: PT_MODE) */                                 \
		auxmap__store_short(auxmap, program##__extension, mode, (stat).mode);   \
		/* Parameter 4: nlink (type: PT_UINT32) */                              \
		auxmap__store_short(auxmap, program##__extension, nlink, (stat).nlink); \
		/* Parameter 5: uid (type: PT_UID) */                                   \
		auxmap__store_short(auxmap, program##__extension, uid, (stat).uid);     \
		/* Parameter 6: gid (type: PT_GID) */                                   \
		auxmap__store_short(auxmap, program##__extension, gid, (stat).gid);     \
		/* Parameter 7: rdev (type: PT_UINT32) */                               \
		auxmap__store_short(auxmap, program##__extension, rdev, (stat).rdev);   \
		/* Parameter 8: size (type: PT_UINT64) */                               \
		auxmap__store_short(auxmap, program##__extension, size, (stat).size);   \
		/* Parameter 9: mtime (type: PT_ABSTIME) */                             \
		auxmap__store(auxmap, program##__extension, mtime, (stat).mtime);       \
		auxmap__submit_extended(call, auxmap, program);                         \
	} while (0)
