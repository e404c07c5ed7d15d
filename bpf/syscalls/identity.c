/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* setuid, setgid and prctl: what a process says of itself. */
#include "template/shapes.h"

#define IDENTITY_ENTER(program, id)                                                        \
	SYSCALL_ENTER(program)                                                             \
	{                                                                                  \
		struct ringbuf_struct ringbuf;                                             \
                                                                                           \
		if (!ringbuf__reserve_space(call, &ringbuf, program))                      \
			return;                                                            \
		/* Parameter 1: uid (type: PT_UID) or gid (type: PT_GID) */                \
		ringbuf__store(&ringbuf, program, id, extract__syscall_argument(call, 0)); \
		ringbuf__submit_event(call, &ringbuf, program);                            \
	}

#define IDENTITY_EXIT(program, id)                                                         \
	SYSCALL_EXIT(program)                                                              \
	{                                                                                  \
		struct ringbuf_struct ringbuf;                                             \
                                                                                           \
		if (!ringbuf__reserve_space(call, &ringbuf, program))                      \
			return;                                                            \
		/* Parameter 1: res (type: PT_ERRNO) */                                    \
		ringbuf__store(&ringbuf, program, res, call->ret);                         \
		/* Parameter 2: uid (type: PT_UID) or gid (type: PT_GID) */                \
		ringbuf__store(&ringbuf, program, id, extract__syscall_argument(call, 0)); \
		ringbuf__submit_event(call, &ringbuf, program);                            \
	}

IDENTITY_ENTER(setuid_e, uid)
IDENTITY_EXIT(setuid_x, uid)
IDENTITY_ENTER(setgid_e, gid)
IDENTITY_EXIT(setgid_x, gid)

SYSCALL_ENTER_EMPTY(prctl_e)

/* The second argument as a number: what an option that answers in memory has written there. */
static __always_inline s64 prctl__number(u32 option, u64 argument)
{
	s32 answer = 0;

	if (option == PPM_prctl_options__PR_GET_NAME || option == PPM_prctl_options__PR_SET_NAME)
		return 0;
	if (option != PPM_prctl_options__PR_GET_CHILD_SUBREAPER)
		return argument;
	bpf_probe_read_user(&answer, sizeof(answer), (const void *)argument);
	return answer;
}

/* The second argument as a string, for the options that take or give a name. */
static __always_inline const void *prctl__string(u32 option, u64 argument)
{
	if (option == PPM_prctl_options__PR_GET_NAME || option == PPM_prctl_options__PR_SET_NAME)
		return (const void *)argument;
	return NULL;
}

SYSCALL_EXIT(prctl_x)
{
	u32 option = extract__syscall_argument(call, 0);
	u64 argument = extract__syscall_argument(call, 1);
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, prctl_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, prctl_x, res, call->ret);
	/* Parameter 2: option (type: PT_ENUMFLAGS32): the kernel's values */
	auxmap__store(&auxmap, prctl_x, option, option);
	/* Parameter 3: arg2_str (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, prctl_x, arg2_str, prctl__string(option, argument), SC_MAX_PATH, SC_USER);
	/* Parameter 4: arg2_int (type: PT_INT64) */
	auxmap__store(&auxmap, prctl_x, arg2_int, prctl__number(option, argument));
	auxmap__submit_event(call, &auxmap, prctl_x);
}
