/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ownership and permissions of files: the chown and chmod families. */
#include "extract/file_flags.h"
#include "template/shapes.h"

SYSCALL_ENTER_EMPTY(chmod_e)
SYSCALL_ENTER_EMPTY(fchmod_e)
SYSCALL_ENTER_EMPTY(fchmodat_e)

SYSCALL_EXIT(chmod_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, chmod_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, chmod_x, res, call->ret);
	/* Parameter 2: filename (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, chmod_x, filename, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: mode (type: PT_MODE) */
	auxmap__store(&auxmap, chmod_x, mode, chmod_mode_to_scap(extract__syscall_argument(call, 1)));
	auxmap__submit_event(call, &auxmap, chmod_x);
}

SYSCALL_EXIT(fchmod_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, fchmod_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, fchmod_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, fchmod_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: mode (type: PT_MODE) */
	ringbuf__store(&ringbuf, fchmod_x, mode, chmod_mode_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, fchmod_x);
}

SYSCALL_EXIT(fchmodat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, fchmodat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, fchmodat_x, res, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, fchmodat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: filename (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, fchmodat_x, filename, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: mode (type: PT_MODE) */
	auxmap__store(&auxmap, fchmodat_x, mode, chmod_mode_to_scap(extract__syscall_argument(call, 2)));
	auxmap__submit_event(call, &auxmap, fchmodat_x);
}

/* An exit event with the result, a path, a uid and a gid. */
#define CHOWN_EXIT(program)                                                                        \
	SYSCALL_EXIT(program)                                                                      \
	{                                                                                          \
		struct auxmap auxmap;                                                              \
		const u64 path_pointer = extract__syscall_argument(call, 0);                       \
                                                                                                   \
		if (!auxmap__begin(call, &auxmap, program))                                        \
			return;                                                                    \
		/* Parameter 1: res (type: PT_ERRNO) */                                            \
		auxmap__store(&auxmap, program, res, call->ret);                                   \
		/* Parameter 2: path (type: PT_FSPATH) */                                          \
		auxmap__store_charbuf(&auxmap, program, path, path_pointer, SC_MAX_PATH, SC_USER); \
		/* Parameter 3: uid (type: PT_UINT32) */                                           \
		auxmap__store(&auxmap, program, uid, extract__syscall_argument(call, 1));          \
		/* Parameter 4: gid (type: PT_UINT32) */                                           \
		auxmap__store(&auxmap, program, gid, extract__syscall_argument(call, 2));          \
		auxmap__submit_event(call, &auxmap, program);                                      \
	}

SYSCALL_ENTER_EMPTY(chown_e)
CHOWN_EXIT(chown_x)
SYSCALL_ENTER_EMPTY(lchown_e)
CHOWN_EXIT(lchown_x)
SYSCALL_ENTER_EMPTY(fchown_e)
SYSCALL_ENTER_EMPTY(fchownat_e)

SYSCALL_EXIT(fchown_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, fchown_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, fchown_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, fchown_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: uid (type: PT_UINT32) */
	ringbuf__store(&ringbuf, fchown_x, uid, extract__syscall_argument(call, 1));
	/* Parameter 4: gid (type: PT_UINT32) */
	ringbuf__store(&ringbuf, fchown_x, gid, extract__syscall_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, fchown_x);
}

SYSCALL_EXIT(fchownat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, fchownat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, fchownat_x, res, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, fchownat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: pathname (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, fchownat_x, pathname, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: uid (type: PT_UINT32) */
	auxmap__store(&auxmap, fchownat_x, uid, extract__syscall_argument(call, 2));
	/* Parameter 5: gid (type: PT_UINT32) */
	auxmap__store(&auxmap, fchownat_x, gid, extract__syscall_argument(call, 3));
	/* Parameter 6: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, fchownat_x, flags, fchownat_flags_to_scap(extract__syscall_argument(call, 4)));
	auxmap__submit_event(call, &auxmap, fchownat_x);
}

#undef CHOWN_EXIT
