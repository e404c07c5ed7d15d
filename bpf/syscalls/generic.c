/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The event pair of every system call that has no program of its own. */
#include "template/ringbuf.h"

/* The stable code of the current system call, 0 for one that the tables do not know. */
static __always_inline u16 generic__code(const struct sc_call *call, u32 number)
{
	return sc_routes.code[extract__slot(call->ctx, number, call->compat)];
}

SYSCALL_ENTER(generic_e)
{
	struct ringbuf_struct ringbuf;
	u32 number = extract__number(call->regs);

	if (!ringbuf__reserve_space(call, &ringbuf, generic_e))
		return;
	/* Parameter 1: ID (type: PT_SYSCALLID) */
	ringbuf__store(&ringbuf, generic_e, ID, generic__code(call, number));
	/* Parameter 2: nativeID (type: PT_UINT16) */
	ringbuf__store(&ringbuf, generic_e, nativeID, number);
	ringbuf__submit_event(call, &ringbuf, generic_e);
}

SYSCALL_EXIT(generic_x)
{
	struct ringbuf_struct ringbuf;
	u32 number = extract__number_at_exit(extract__number(call->regs));

	if (!ringbuf__reserve_space(call, &ringbuf, generic_x))
		return;
	/* Parameter 1: ID (type: PT_SYSCALLID) */
	ringbuf__store(&ringbuf, generic_x, ID, generic__code(call, number));
	/* Parameter 2: nativeID (type: PT_UINT16) */
	ringbuf__store(&ringbuf, generic_x, nativeID, number);
	ringbuf__submit_event(call, &ringbuf, generic_x);
}
