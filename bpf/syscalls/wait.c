/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* futex, nanosleep, select. */
#include "extract/flags.h"
#include "extract/times.h"
#include "template/shapes.h"

static __always_inline u16 futex_op_to_scap(u32 op)
{
	const u32 command_mask = 0x7f;
	u32 command = op & command_mask;

	/* The kernel's numbers are the format's. */
	if (command > PPM_futex_operations__FUTEX_CMP_REQUEUE_PI)
		command = 0;
	return command | SC_FLAG(op, 0x80, futex_operations, FUTEX_PRIVATE_FLAG) |
	       SC_FLAG(op, 0x100, futex_operations, FUTEX_CLOCK_REALTIME);
}

#define wait__store_futex(call, ringbuf, program)                                                           \
	do {                                                                                                \
		/* Parameter 1 (2 of the exit event): addr (type: PT_UINT64) */                             \
		ringbuf__store(ringbuf, program, addr, extract__syscall_argument(call, 0));                 \
		/* Parameter 2 (3): op (type: PT_FLAGS16) */                                                \
		ringbuf__store(ringbuf, program, op, futex_op_to_scap(extract__syscall_argument(call, 1))); \
		/* Parameter 3 (4): val (type: PT_UINT64) */                                                \
		ringbuf__store(ringbuf, program, val, (u32)extract__syscall_argument(call, 2));             \
	} while (0)

SYSCALL_PAIR_STORE(futex, wait__store_futex)

#define wait__store_interval(call, ringbuf, program)                         \
	/* Parameter 1 (2 of the exit event): interval (type: PT_RELTIME) */ \
	ringbuf__store(ringbuf, program, interval,                           \
		       extract__timespec(extract__syscall_argument(call, 0), (call)->compat))

SYSCALL_PAIR_STORE(nanosleep, wait__store_interval)

SYSCALL_ENTER_EMPTY(select_e)
SYSCALL_EXIT_RESULT(select_x, res)
