/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Memory locks: mlock, mlock2, munlock, mlockall, munlockall. */
#include "extract/flags.h"
#include "template/shapes.h"

/* The first parameters of the exit events of calls on a range. */
#define LOCKS_STORE_RANGE(call, ringbuf, program)                                           \
	do {                                                                                \
		/* Parameter 1: res (type: PT_ERRNO) */                                     \
		ringbuf__store(ringbuf, program, res, (call)->ret);                         \
		/* Parameter 2: addr (type: PT_UINT64) */                                   \
		ringbuf__store(ringbuf, program, addr, extract__syscall_argument(call, 0)); \
		/* Parameter 3: len (type: PT_UINT64) */                                    \
		ringbuf__store(ringbuf, program, len, extract__syscall_argument(call, 1));  \
	} while (0)

#define LOCKS_EXIT_RANGE(program)                                     \
	SYSCALL_EXIT(program)                                         \
	{                                                             \
		struct ringbuf_struct ringbuf;                        \
                                                                      \
		if (!ringbuf__reserve_space(call, &ringbuf, program)) \
			return;                                       \
		LOCKS_STORE_RANGE(call, &ringbuf, program);           \
		ringbuf__submit_event(call, &ringbuf, program);       \
	}

SYSCALL_ENTER_EMPTY(mlock_e)
LOCKS_EXIT_RANGE(mlock_x)
SYSCALL_ENTER_EMPTY(munlock_e)
LOCKS_EXIT_RANGE(munlock_x)
SYSCALL_ENTER_EMPTY(mlock2_e)
SYSCALL_ENTER_EMPTY(mlockall_e)
SYSCALL_ENTER_EMPTY(munlockall_e)

SYSCALL_EXIT(mlock2_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mlock2_x))
		return;
	LOCKS_STORE_RANGE(call, &ringbuf, mlock2_x);
	/* Parameter 4: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, mlock2_x, flags, mlock2_flags_to_scap(extract__syscall_argument(call, 2)));
	ringbuf__submit_event(call, &ringbuf, mlock2_x);
}

SYSCALL_EXIT(mlockall_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mlockall_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, mlockall_x, res, call->ret);
	/* Parameter 2: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, mlockall_x, flags, mlockall_flags_to_scap(extract__syscall_argument(call, 0)));
	ringbuf__submit_event(call, &ringbuf, mlockall_x);
}

SYSCALL_EXIT(munlockall_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, munlockall_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, munlockall_x, res, call->ret);
	ringbuf__submit_event(call, &ringbuf, munlockall_x);
}

#undef LOCKS_STORE_RANGE
#undef LOCKS_EXIT_RANGE
