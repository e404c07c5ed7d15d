/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* capset, seccomp. */
#include "extract/process.h"
#include "template/shapes.h"

/* The task's capabilities after the call, even a failed one. */
#define privileges__store_capabilities(call, ringbuf, program)                                                    \
	do {                                                                                                      \
		struct task_struct *task_ = extract__current();                                                   \
                                                                                                                  \
		/* Parameter 2: cap_inheritable (type: PT_UINT64) */                                              \
		ringbuf__store(ringbuf, program, cap_inheritable, extract__capabilities(task_, cap_inheritable)); \
		/* Parameter 3: cap_permitted (type: PT_UINT64) */                                                \
		ringbuf__store(ringbuf, program, cap_permitted, extract__capabilities(task_, cap_permitted));     \
		/* Parameter 4: cap_effective (type: PT_UINT64) */                                                \
		ringbuf__store(ringbuf, program, cap_effective, extract__capabilities(task_, cap_effective));     \
	} while (0)

SYSCALL_ENTER_EMPTY(capset_e)
SYSCALL_EXIT_STORE(capset_x, privileges__store_capabilities)

#define privileges__store_seccomp(call, ringbuf, program)                                         \
	do {                                                                                      \
		/* Parameter 1 (2 of the exit event): op (type: PT_UINT64) */                     \
		ringbuf__store(ringbuf, program, op, (u32)extract__syscall_argument(call, 0));    \
		/* Parameter 2 (3): flags (type: PT_UINT64) */                                    \
		ringbuf__store(ringbuf, program, flags, (u32)extract__syscall_argument(call, 1)); \
	} while (0)

SYSCALL_PAIR_STORE(seccomp, privileges__store_seccomp)
