/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* kill, tkill, tgkill. */
#include "template/shapes.h"

#define signal__store_kill(call, ringbuf, program)                                         \
	do {                                                                               \
		/* Parameter 1 (2 of the exit event): pid (type: PT_PID) */                \
		ringbuf__store(ringbuf, program, pid, extract__int_argument(call, 0));     \
		/* Parameter 2 (3): sig (type: PT_SIGTYPE) */                              \
		ringbuf__store(ringbuf, program, sig, extract__syscall_argument(call, 1)); \
	} while (0)

#define signal__store_tkill(call, ringbuf, program)                                        \
	do {                                                                               \
		/* Parameter 1 (2 of the exit event): tid (type: PT_PID) */                \
		ringbuf__store(ringbuf, program, tid, extract__int_argument(call, 0));     \
		/* Parameter 2 (3): sig (type: PT_SIGTYPE) */                              \
		ringbuf__store(ringbuf, program, sig, extract__syscall_argument(call, 1)); \
	} while (0)

#define signal__store_tgkill(call, ringbuf, program)                                       \
	do {                                                                               \
		/* Parameter 1 (2 of the exit event): pid (type: PT_PID) */                \
		ringbuf__store(ringbuf, program, pid, extract__int_argument(call, 0));     \
		/* Parameter 2 (3): tid (type: PT_PID) */                                  \
		ringbuf__store(ringbuf, program, tid, extract__int_argument(call, 1));     \
		/* Parameter 3 (4): sig (type: PT_SIGTYPE) */                              \
		ringbuf__store(ringbuf, program, sig, extract__syscall_argument(call, 2)); \
	} while (0)

SYSCALL_PAIR_STORE(kill, signal__store_kill)
SYSCALL_PAIR_STORE(tkill, signal__store_tkill)
SYSCALL_PAIR_STORE(tgkill, signal__store_tgkill)
