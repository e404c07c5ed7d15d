/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls on paths: stat, the root and working directory, creating, removing, renaming. */
#include "extract/base.h"
#include "extract/file_flags.h"
#include "extract/paths.h"
#include "extract/stat.h"
#include "template/shapes.h"

/* -------------------------------------------------------------------- stat */

#define STAT_EXIT_PATH(program)                                                                                \
	SYSCALL_EXIT(program)                                                                                  \
	{                                                                                                      \
		struct auxmap auxmap;                                                                          \
		struct sc_stat stat = {};                                                                      \
		bool is_known = stat__returned(call, 1, &stat);                                                \
                                                                                                               \
		if (!auxmap__begin(call, &auxmap, program))                                                    \
			return;                                                                                \
		/* Parameter 1: res (type: PT_ERRNO) */                                                        \
		auxmap__store(&auxmap, program, res, call->ret);                                               \
		/* Parameter 2: path (type: PT_FSPATH) */                                                      \
		auxmap__store_charbuf(&auxmap, program, path, extract__syscall_argument(call, 0), SC_MAX_PATH, \
				      SC_USER);                                                                \
		stat__submit(call, &auxmap, program, is_known, stat);                                          \
	}

SYSCALL_ENTER_EMPTY(stat_e)
STAT_EXIT_PATH(stat_x)

SYSCALL_ENTER_EMPTY(lstat_e)
STAT_EXIT_PATH(lstat_x)

SYSCALL_ENTER_FD(fstat_e)

SYSCALL_EXIT(fstat_x)
{
	struct auxmap auxmap;
	struct sc_stat stat = {};

	if (!stat__returned(call, 1, &stat)) {
		SYSCALL_RECORD_FD(call, fstat_x);
		return;
	}
	if (!auxmap__begin(call, &auxmap, fstat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, fstat_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	auxmap__store(&auxmap, fstat_x, fd, extract__int_argument(call, 0));
	stat__submit(call, &auxmap, fstat_x, true, stat);
}

SYSCALL_ENTER_EMPTY(newfstatat_e)

SYSCALL_EXIT(newfstatat_x)
{
	struct auxmap auxmap;
	struct sc_stat stat = {};
	bool is_known = stat__returned(call, 2, &stat);

	if (!auxmap__begin(call, &auxmap, newfstatat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, newfstatat_x, res, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, newfstatat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: path (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, newfstatat_x, path, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, newfstatat_x, flags, newfstatat_flags_to_scap(extract__syscall_argument(call, 3)));
	stat__submit(call, &auxmap, newfstatat_x, is_known, stat);
}

/* ------------------------------------------- the root and working directory */

/* An exit event with the result, the call's path and, after a success, the directory that the task now has as `member`. */
#define DIRECTORY_EXIT(program, member)                                                                           \
	SYSCALL_EXIT(program)                                                                                     \
	{                                                                                                         \
		struct auxmap auxmap;                                                                             \
		struct fs_struct *fs = BPF_CORE_READ(extract__current(), fs);                                     \
                                                                                                                  \
		if (!auxmap__begin(call, &auxmap, program))                                                       \
			return;                                                                                   \
		/* Parameter 1: res (type: PT_ERRNO) */                                                           \
		auxmap__store(&auxmap, program, res, call->ret);                                                  \
		/* Parameter 2: path (type: PT_FSPATH, PT_CHARBUF) */                                             \
		auxmap__store_charbuf(&auxmap, program, path, extract__syscall_argument(call, 0), SC_MAX_PATH,    \
				      SC_USER);                                                                   \
		if (call->ret) {                                                                                  \
			auxmap__submit_event(call, &auxmap, program);                                             \
			return;                                                                                   \
		}                                                                                                 \
		if (!auxmap__extend(call, &auxmap, program))                                                      \
			return;                                                                                   \
		/* Parameter 1: resolved (type: PT_FSPATH), parameter 2: resolved_flags (type: PT_FLAGS8) */      \
		auxmap__store_resolved(&auxmap, program##__extension, resolved, BPF_CORE_READ(fs, member.dentry), \
				       BPF_CORE_READ(fs, member.mnt));                                            \
		auxmap__submit_extended(call, &auxmap, program);                                                  \
	}

SYSCALL_ENTER_EMPTY(chroot_e)
DIRECTORY_EXIT(chroot_x, root)

SYSCALL_ENTER_EMPTY(chdir_e)
DIRECTORY_EXIT(chdir_x, pwd)

SYSCALL_ENTER_FD(fchdir_e)
SYSCALL_EXIT_FD(fchdir_x)

SYSCALL_ENTER_EMPTY(getcwd_e)

SYSCALL_EXIT(getcwd_x)
{
	struct auxmap auxmap;
	/* After a failure, the buffer's contents are not the call's. */
	u64 buffer = call->ret > 0 ? extract__syscall_argument(call, 0) : 0;

	if (!auxmap__begin(call, &auxmap, getcwd_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, getcwd_x, res, call->ret);
	/* Parameter 2: path (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, getcwd_x, path, buffer, SC_MAX_PATH, SC_USER);
	auxmap__submit_event(call, &auxmap, getcwd_x);
}

SYSCALL_ENTER(mkdir_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mkdir_e))
		return;
	/* Parameter 1: mode (type: PT_UINT32) */
	ringbuf__store(&ringbuf, mkdir_e, mode, extract__syscall_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, mkdir_e);
}

SYSCALL_EXIT(mkdir_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, mkdir_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, mkdir_x, res, call->ret);
	/* Parameter 2: path (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, mkdir_x, path, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, mkdir_x, mode, extract__syscall_argument(call, 1));
	auxmap__submit_event(call, &auxmap, mkdir_x);
}

SYSCALL_ENTER_EMPTY(mkdirat_e)

SYSCALL_EXIT(mkdirat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, mkdirat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, mkdirat_x, res, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, mkdirat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: path (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, mkdirat_x, path, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, mkdirat_x, mode, extract__syscall_argument(call, 2));
	auxmap__submit_event(call, &auxmap, mkdirat_x);
}

SYSCALL_ENTER_EMPTY(rmdir_e)
SYSCALL_EXIT_BASED_PATH(rmdir_x)

SYSCALL_ENTER_EMPTY(unlink_e)
SYSCALL_EXIT_BASED_PATH(unlink_x)

SYSCALL_ENTER_EMPTY(unlinkat_e)

SYSCALL_EXIT(unlinkat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, unlinkat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, unlinkat_x, res, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, unlinkat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: name (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, unlinkat_x, name, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, unlinkat_x, flags, unlinkat_flags_to_scap(extract__syscall_argument(call, 2)));
	base__submit(call, &auxmap, unlinkat_x, name, extract__int_argument(call, 0));
}

SYSCALL_ENTER_EMPTY(rename_e)
SYSCALL_EXIT_TWO_BASED_PATHS(rename_x)

SYSCALL_ENTER_EMPTY(renameat_e)

SYSCALL_EXIT(renameat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, renameat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, renameat_x, res, call->ret);
	/* Parameter 2: olddirfd (type: PT_FD) */
	auxmap__store(&auxmap, renameat_x, olddirfd, extract__int_argument(call, 0));
	/* Parameter 3: oldpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, renameat_x, oldpath, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: newdirfd (type: PT_FD) */
	auxmap__store(&auxmap, renameat_x, newdirfd, extract__int_argument(call, 2));
	/* Parameter 5: newpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, renameat_x, newpath, extract__syscall_argument(call, 3), SC_MAX_PATH, SC_USER);
	base__submit_two(call, &auxmap, renameat_x, oldpath, extract__int_argument(call, 0), newpath,
			 extract__int_argument(call, 2));
}

SYSCALL_ENTER_EMPTY(renameat2_e)

SYSCALL_EXIT(renameat2_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, renameat2_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, renameat2_x, res, call->ret);
	/* Parameter 2: olddirfd (type: PT_FD) */
	auxmap__store(&auxmap, renameat2_x, olddirfd, extract__int_argument(call, 0));
	/* Parameter 3: oldpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, renameat2_x, oldpath, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: newdirfd (type: PT_FD) */
	auxmap__store(&auxmap, renameat2_x, newdirfd, extract__int_argument(call, 2));
	/* Parameter 5: newpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, renameat2_x, newpath, extract__syscall_argument(call, 3), SC_MAX_PATH, SC_USER);
	/* Parameter 6: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, renameat2_x, flags, renameat2_flags_to_scap(extract__syscall_argument(call, 4)));
	base__submit_two(call, &auxmap, renameat2_x, oldpath, extract__int_argument(call, 0), newpath,
			 extract__int_argument(call, 2));
}
