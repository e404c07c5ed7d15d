/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A process's users, groups, session, process group; prctl. */
#include "template/shapes.h"

/* ------------------------------------------------------------ users, groups */

enum {
	/* lchown32: 32-bit calls with a lower number use 16-bit ids. */
	IDENTITY_NR_32_BITS = 198,
};

static __always_inline bool identity__is_16_bit(const struct sc_call *call)
{
	return call->compat && extract__number(call->regs) < IDENTITY_NR_32_BITS;
}

/* Returns the id in argument n; -1 leaves the old one. */
static __always_inline u32 identity__argument(const struct sc_call *call, int n)
{
	u32 id = extract__syscall_argument(call, n);

	if (!identity__is_16_bit(call))
		return id;
	return (u16)id == (u16)-1 ? -1 : (u16)id;
}

/* Returns the id that argument n points to; 0 if it cannot be read. */
static __always_inline u32 identity__pointed(const struct sc_call *call, int n)
{
	const void *pointer = (const void *)extract__syscall_argument(call, n);
	u32 id = 0;
	u16 id16 = 0;

	if (identity__is_16_bit(call)) {
		bpf_probe_read_user(&id16, sizeof(id16), pointer);
		return id16;
	}
	bpf_probe_read_user(&id, sizeof(id), pointer);
	return id;
}

#define identity__store_uid(call, ringbuf, program)                 \
	/* Parameter 1 (2 of the exit event): uid (type: PT_UID) */ \
	ringbuf__store(ringbuf, program, uid, identity__argument(call, 0))

#define identity__store_gid(call, ringbuf, program)                 \
	/* Parameter 1 (2 of the exit event): gid (type: PT_GID) */ \
	ringbuf__store(ringbuf, program, gid, identity__argument(call, 0))

/* `take` is identity__argument or identity__pointed. */
#define identity__store_two(call, ringbuf, program, real, effective, take)  \
	do {                                                                \
		/* Parameter 2: ruid or rgid (type: PT_UID) */              \
		ringbuf__store(ringbuf, program, real, take(call, 0));      \
		/* Parameter 3: euid or egid (type: PT_UID) */              \
		ringbuf__store(ringbuf, program, effective, take(call, 1)); \
	} while (0)

#define identity__store_three(call, ringbuf, program, real, effective, saved, take)                 \
	do {                                                                                        \
		/* Parameter 1 (2 of the exit event): ruid (type: PT_UID) or rgid (type: PT_GID) */ \
		ringbuf__store(ringbuf, program, real, take(call, 0));                              \
		/* Parameter 2 (3): euid (type: PT_UID) or egid (type: PT_GID) */                   \
		ringbuf__store(ringbuf, program, effective, take(call, 1));                         \
		/* Parameter 3 (4): suid (type: PT_UID) or sgid (type: PT_GID) */                   \
		ringbuf__store(ringbuf, program, saved, take(call, 2));                             \
	} while (0)

#define identity__store_reuid(call, ringbuf, program) \
	identity__store_two(call, ringbuf, program, ruid, euid, identity__argument)
#define identity__store_regid(call, ringbuf, program) \
	identity__store_two(call, ringbuf, program, rgid, egid, identity__argument)
#define identity__store_resuid(call, ringbuf, program) \
	identity__store_three(call, ringbuf, program, ruid, euid, suid, identity__argument)
#define identity__store_resgid(call, ringbuf, program) \
	identity__store_three(call, ringbuf, program, rgid, egid, sgid, identity__argument)
#define identity__store_pointed_uids(call, ringbuf, program) \
	identity__store_three(call, ringbuf, program, ruid, euid, suid, identity__pointed)
#define identity__store_pointed_gids(call, ringbuf, program) \
	identity__store_three(call, ringbuf, program, rgid, egid, sgid, identity__pointed)

SYSCALL_ENTER_EMPTY(getuid_e)
SYSCALL_EXIT_RESULT(getuid_x, uid)
SYSCALL_ENTER_EMPTY(geteuid_e)
SYSCALL_EXIT_RESULT(geteuid_x, euid)
SYSCALL_ENTER_EMPTY(getgid_e)
SYSCALL_EXIT_RESULT(getgid_x, gid)
SYSCALL_ENTER_EMPTY(getegid_e)
SYSCALL_EXIT_RESULT(getegid_x, egid)
SYSCALL_ENTER_EMPTY(getresuid_e)
SYSCALL_EXIT_STORE(getresuid_x, identity__store_pointed_uids)
SYSCALL_ENTER_EMPTY(getresgid_e)
SYSCALL_EXIT_STORE(getresgid_x, identity__store_pointed_gids)

SYSCALL_PAIR_STORE(setuid, identity__store_uid)
SYSCALL_PAIR_STORE(setgid, identity__store_gid)
SYSCALL_ENTER_EMPTY(setreuid_e)
SYSCALL_EXIT_STORE(setreuid_x, identity__store_reuid)
SYSCALL_ENTER_EMPTY(setregid_e)
SYSCALL_EXIT_STORE(setregid_x, identity__store_regid)
SYSCALL_PAIR_STORE(setresuid, identity__store_resuid)
SYSCALL_PAIR_STORE(setresgid, identity__store_resgid)

/* ----------------------------------------------------- sessions and groups */

#define identity__store_pgid(call, ringbuf, program)                                    \
	do {                                                                            \
		/* Parameter 1 (2 of the exit event): pid (type: PT_PID) */             \
		ringbuf__store(ringbuf, program, pid, extract__int_argument(call, 0));  \
		/* Parameter 2 (3): pgid (type: PT_PID) */                              \
		ringbuf__store(ringbuf, program, pgid, extract__int_argument(call, 1)); \
	} while (0)

SYSCALL_ENTER_EMPTY(setsid_e)
SYSCALL_EXIT_RESULT(setsid_x, res)
SYSCALL_PAIR_STORE(setpgid, identity__store_pgid)

/* ------------------------------------------------------------------ prctl */

SYSCALL_ENTER_EMPTY(prctl_e)

/* Returns the second argument as a number or, for an option that writes its answer to memory, the answer. */
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

/* Returns the second argument if it is a string, for the options on names; else NULL. */
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
