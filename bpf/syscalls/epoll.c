/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* epoll_create, epoll_create1, epoll_wait. */
#include "extract/file_flags.h"
#include "extract/structs.h"
#include "template/extension.h"
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

enum {
	SC_MAX_READY = 256, /* ready descriptors to keep in an event */
#if defined(__TARGET_ARCH_x86)
	SC_EPOLL_EVENT_LEN = 12, /* also that of 32-bit callers */
#else
	SC_EPOLL_EVENT_LEN = 16,
#endif
};

static __always_inline void epoll_wait__record_plain(struct sc_call *call)
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

/* Writes the ready descriptors at the tail: the caller's ABI (see layouts.def), then its structures. Returns their length. */
static __always_inline u16 epoll_wait__write_ready(const struct sc_call *call, struct auxmap *auxmap)
{
	u8 *tail = auxmap__tail(auxmap);
	u64 count = call->ret > 0 ? call->ret : 0;
	u64 size = SC_BOUND((count < SC_MAX_READY ? count : SC_MAX_READY) * SC_EPOLL_EVENT_LEN, SC_SCRATCH_HALF);

	if (!size || bpf_probe_read_user(tail + 1, size, (const void *)extract__syscall_argument(call, 1)))
		return 0;
	*tail = structs__abi(call);
	return 1 + size;
}

SYSCALL_EXIT(epoll_wait_x)
{
	struct auxmap auxmap;

	if (!sc_settings.extensions) {
		epoll_wait__record_plain(call);
		return;
	}
	if (!auxmap__begin(call, &auxmap, epoll_wait_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, epoll_wait_x, res, call->ret);
	/* Parameter 2: maxevents (type: PT_ERRNO) */
	auxmap__store(&auxmap, epoll_wait_x, maxevents, extract__int_argument(call, 2));
	if (!auxmap__extend(call, &auxmap, epoll_wait_x))
		return;
	/* Parameter 1: epfd (type: PT_FD) */
	auxmap__store(&auxmap, epoll_wait_x__extension, epfd, extract__int_argument(call, 0));
	/* Parameter 2: timeout (type: PT_INT32) */
	auxmap__store(&auxmap, epoll_wait_x__extension, timeout, extract__int_argument(call, 3));
	/* Parameter 3: events (type: PT_STRUCTS) */
	auxmap__push(&auxmap, SC_INDEX(epoll_wait_x__extension, events), epoll_wait__write_ready(call, &auxmap));
	auxmap__submit_extended(call, &auxmap, epoll_wait_x);
}
