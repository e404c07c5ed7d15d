/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* kill. */
#include "template/ringbuf.h"

SYSCALL_ENTER(kill_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, kill_e))
		return;
	/* Parameter 1: pid (type: PT_PID) */
	ringbuf__store(&ringbuf, kill_e, pid, extract__int_argument(call, 0));
	/* Parameter 2: sig (type: PT_SIGTYPE) */
	ringbuf__store(&ringbuf, kill_e, sig, extract__syscall_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, kill_e);
}

SYSCALL_EXIT(kill_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, kill_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, kill_x, res, call->ret);
	/* Parameter 2: pid (type: PT_PID) */
	ringbuf__store(&ringbuf, kill_x, pid, extract__int_argument(call, 0));
	/* Parameter 3: sig (type: PT_SIGTYPE) */
	ringbuf__store(&ringbuf, kill_x, sig, extract__syscall_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, kill_x);
}
