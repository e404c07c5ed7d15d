/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The event pair of every system call without a program of its own. */
#include "template/ringbuf.h"

/* Returns the stable code of the current system call, 0 for one that the tables do not know. */
static __always_inline u16 generic__code(const struct sc_call *call, u32 number)
{
	return sc_routes.code[extract__slot(call->ctx, number, call->compat)];
}

/* Returns the call's number in 16 bits. Without a code, it must not look like another call's (enum sc_native). */
static __always_inline u16 generic__native(const struct sc_call *call, u32 number, u16 code)
{
	u32 flag = 0;

	if (code)
		return number;
	if (call->compat) {
		flag = SC_NATIVE_32BIT;
	} else if (number & SC_X32_BIT) {
		flag = SC_NATIVE_X32;
		number &= ~SC_X32_BIT;
	}
	return number <= SC_NATIVE_NUMBER ? flag | number : SC_NATIVE_BEYOND;
}

#define generic__store(call, ringbuf, program, number)                                            \
	do {                                                                                      \
		u16 code_ = generic__code(call, number);                                          \
                                                                                                  \
		/* Parameter 1: ID (type: PT_SYSCALLID) */                                        \
		ringbuf__store(ringbuf, program, ID, code_);                                      \
		/* Parameter 2: nativeID (type: PT_UINT16) */                                     \
		ringbuf__store(ringbuf, program, nativeID, generic__native(call, number, code_)); \
	} while (0)

SYSCALL_ENTER(generic_e)
{
	struct ringbuf_struct ringbuf;
	u32 number = extract__number(call->regs);

	if (!ringbuf__reserve_space(call, &ringbuf, generic_e))
		return;
	generic__store(call, &ringbuf, generic_e, number);
	ringbuf__submit_event(call, &ringbuf, generic_e);
}

SYSCALL_EXIT(generic_x)
{
	struct ringbuf_struct ringbuf;
	u32 number = extract__number_at_exit(extract__number(call->regs), call->ret);

	if (!ringbuf__reserve_space(call, &ringbuf, generic_x))
		return;
	generic__store(call, &ringbuf, generic_x, number);
	ringbuf__submit_event(call, &ringbuf, generic_x);
}
