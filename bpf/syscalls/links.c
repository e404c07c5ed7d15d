/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* link, symlink, linkat, symlinkat. */
#include "extract/base.h"
#include "extract/file_flags.h"
#include "template/shapes.h"

SYSCALL_ENTER_EMPTY(link_e)
SYSCALL_EXIT_TWO_BASED_PATHS(link_x)

SYSCALL_ENTER_EMPTY(symlink_e)
SYSCALL_EXIT_TWO_PATHS(symlink_x, target, linkpath, auxmap__submit_event)

SYSCALL_ENTER_EMPTY(linkat_e)

SYSCALL_EXIT(linkat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, linkat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, linkat_x, res, call->ret);
	/* Parameter 2: olddir (type: PT_FD) */
	auxmap__store(&auxmap, linkat_x, olddir, extract__int_argument(call, 0));
	/* Parameter 3: oldpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, linkat_x, oldpath, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: newdir (type: PT_FD) */
	auxmap__store(&auxmap, linkat_x, newdir, extract__int_argument(call, 2));
	/* Parameter 5: newpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, linkat_x, newpath, extract__syscall_argument(call, 3), SC_MAX_PATH, SC_USER);
	/* Parameter 6: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, linkat_x, flags, linkat_flags_to_scap(extract__syscall_argument(call, 4)));
	base__submit_two(call, &auxmap, linkat_x, oldpath, extract__int_argument(call, 0), newpath,
			 extract__int_argument(call, 2));
}

SYSCALL_ENTER_EMPTY(symlinkat_e)

SYSCALL_EXIT(symlinkat_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, symlinkat_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, symlinkat_x, res, call->ret);
	/* Parameter 2: target (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, symlinkat_x, target, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: linkdirfd (type: PT_FD) */
	auxmap__store(&auxmap, symlinkat_x, linkdirfd, extract__int_argument(call, 1));
	/* Parameter 4: linkpath (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, symlinkat_x, linkpath, extract__syscall_argument(call, 2), SC_MAX_PATH, SC_USER);
	auxmap__submit_event(call, &auxmap, symlinkat_x);
}
