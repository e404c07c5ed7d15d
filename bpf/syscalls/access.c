/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* access: the worked example of CONTRIBUTING.md. */
#include "extract/flags.h"
#include "template/auxmap.h"
#include "template/ringbuf.h"

SYSCALL_ENTER(access_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, access_e))
		return;
	/* Parameter 1: mode (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, access_e, mode, access_flags_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, access_e);
}

SYSCALL_EXIT(access_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, access_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, access_x, res, call->ret);
	/* Parameter 2: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, access_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: mode (type: PT_FLAGS32) */
	auxmap__store(&auxmap, access_x, mode, access_flags_to_scap(extract__syscall_argument(call, 1)));
	auxmap__submit_event(call, &auxmap, access_x);
}
