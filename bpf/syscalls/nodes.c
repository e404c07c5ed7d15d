/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* mknod and mknodat: device nodes, FIFOs, sockets and regular files. */
#include "extract/file_flags.h"
#include "template/shapes.h"

/* The last parameters of both: the call's arguments n and n + 1. The device is encoded as stat's st_dev. */
#define MKNOD_STORE_NODE(call, auxmap, program, n)                                                            \
	do {                                                                                                  \
		/* Parameter 3 or 4: mode (type: PT_MODE) */                                                  \
		auxmap__store(auxmap, program, mode, mknod_mode_to_scap(extract__syscall_argument(call, n))); \
		/* Parameter 4 or 5: dev (type: PT_UINT32) */                                                 \
		auxmap__store(auxmap, program, dev, extract__syscall_argument(call, (n) + 1));                \
	} while (0)

SYSCALL_ENTER_EMPTY(mknod_e)
SYSCALL_ENTER_EMPTY(mknodat_e)

SYSCALL_EXIT(mknod_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, mknod_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, mknod_x, res, call->ret);
	/* Parameter 2: path (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, mknod_x, path, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	MKNOD_STORE_NODE(call, &auxmap, mknod_x, 1);
	auxmap__submit_event(call, &auxmap, mknod_x);
}

SYSCALL_EXIT(mknodat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, mknodat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, mknodat_x, res, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, mknodat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: path (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, mknodat_x, path, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	MKNOD_STORE_NODE(call, &auxmap, mknodat_x, 2);
	auxmap__submit_event(call, &auxmap, mknodat_x);
}

#undef MKNOD_STORE_NODE
