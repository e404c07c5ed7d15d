/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* send, recv: separate calls only through socketcall; elsewhere the C library uses sendto and recvfrom. */
#include "extract/data.h"
#include "extract/sockets.h"
#include "template/shapes.h"

#define socketcall__store_enter(call, ringbuf, program)                              \
	do {                                                                         \
		/* Parameter 1: fd (type: PT_FD) */                                  \
		ringbuf__store(ringbuf, program, fd, socket__int_argument(call, 0)); \
		/* Parameter 2: size (type: PT_UINT32) */                            \
		ringbuf__store(ringbuf, program, size, socket__argument(call, 2));   \
	} while (0)

/* `length` is the data's, in bytes. */
#define SOCKETCALL_EXIT(program, length, direction)                                                                   \
	SYSCALL_EXIT(program)                                                                                         \
	{                                                                                                             \
		u64 size = socket__argument(call, 2);                                                                 \
		struct auxmap auxmap;                                                                                 \
                                                                                                                      \
		if (!auxmap__begin(call, &auxmap, program))                                                           \
			return;                                                                                       \
		/* Parameter 1: res (type: PT_ERRNO) */                                                               \
		auxmap__store(&auxmap, program, res, call->ret);                                                      \
		/* Parameter 2: data (type: PT_BYTEBUF) */                                                            \
		auxmap__store_bytebuf(                                                                                \
			&auxmap, program, data, socket__argument(call, 1),                                            \
			data__kept_of(length, socket__int_argument(call, 0), 0, socket__argument(call, 1)), SC_USER); \
		/* Parameter 3: fd (type: PT_FD) */                                                                   \
		auxmap__store(&auxmap, program, fd, socket__int_argument(call, 0));                                   \
		/* Parameter 4: size (type: PT_UINT32) */                                                             \
		auxmap__store(&auxmap, program, size, size);                                                          \
		/* Parameter 5: tuple (type: PT_SOCKTUPLE) */                                                         \
		if (call->ret >= 0)                                                                                   \
			auxmap__store_socktuple(&auxmap, program, tuple, socket__int_argument(call, 0), direction,    \
						NULL, 0);                                                             \
		else                                                                                                  \
			auxmap__store_empty(&auxmap, program, tuple);                                                 \
		auxmap__submit_event(call, &auxmap, program);                                                         \
	}

SYSCALL_ENTER_STORE(send_e, socketcall__store_enter)
SOCKETCALL_EXIT(send_x, data__sent(call->ret, size), SC_OUTBOUND)
SYSCALL_ENTER_STORE(recv_e, socketcall__store_enter)
SOCKETCALL_EXIT(recv_x, data__received(call->ret), SC_INBOUND)
