/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* epoll_create, epoll_create1, epoll_wait. */
#include "extract/file_flags.h"
#include "template/ringbuf.h"

SYSCALL_ENTER(epoll_create_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, epoll_create_e))
		return;
	/* Parameter 1: size (type: PT_INT32) */
	ringbuf__store(&ringbuf, epoll_create_e, size, extract__int_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, epoll_create_e);
}

SYSCALL_EXIT(epoll_create_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, epoll_create_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, epoll_create_x, res, call->ret);
	/* Parameter 2: size (type: PT_INT32) */
	ringbuf__store(&ringbuf, epoll_create_x, size, extract__int_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, epoll_create_x);
}

SYSCALL_ENTER(epoll_create1_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, epoll_create1_e))
		return;
	/* Parameter 1: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, epoll_create1_e, flags, epoll_create1_flags_to_scap(extract__int_argument(call, 0)));
	ringbuf__submit_event(call, &ringbuf, epoll_create1_e);
}

SYSCALL_EXIT(epoll_create1_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, epoll_create1_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, epoll_create1_x, res, call->ret);
	/* Parameter 2: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, epoll_create1_x, flags, epoll_create1_flags_to_scap(extract__int_argument(call, 0)));
	ringbuf__submit_event(call, &ringbuf, epoll_create1_x);
}

SYSCALL_ENTER(epoll_wait_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, epoll_wait_e))
		return;
	/* Parameter 1: maxevents (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, epoll_wait_e, maxevents, extract__int_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, epoll_wait_e);
}

SYSCALL_EXIT(epoll_wait_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, epoll_wait_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, epoll_wait_x, res, call->ret);
	/* Parameter 2: maxevents (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, epoll_wait_x, maxevents, extract__int_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, epoll_wait_x);
}
