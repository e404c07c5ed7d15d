/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls that create descriptors of other things than files: memory, counters, signals, timers, watches, processes. */
#include "extract/entries.h"
#include "template/shapes.h"

/* An exit event with the result and the call's first argument, flags. */
#define DESCRIPTOR_EXIT_FLAGS(program)                                                              \
	SYSCALL_EXIT(program)                                                                       \
	{                                                                                           \
		struct ringbuf_struct ringbuf;                                                      \
		const s32 flags_argument = extract__int_argument(call, 0);                          \
                                                                                                    \
		if (!ringbuf__reserve_space(call, &ringbuf, program))                               \
			return;                                                                     \
		/* Parameter 1: res (type: PT_FD, PT_ERRNO) */                                      \
		ringbuf__store(&ringbuf, program, res, call->ret);                                  \
		/* Parameter 2: flags (type: PT_FLAGS16, PT_FLAGS32) */                             \
		ringbuf__store(&ringbuf, program, flags, descriptor_flags_to_scap(flags_argument)); \
		ringbuf__submit_event(call, &ringbuf, program);                                     \
	}

SYSCALL_ENTER_EMPTY(userfaultfd_e)
DESCRIPTOR_EXIT_FLAGS(userfaultfd_x)

/* --------------------------------------------------------------- inotify */

/* inotify_init has no flags. */
SYSCALL_ENTER(inotify_init_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, inotify_init_e))
		return;
	/* Parameter 1: flags (type: PT_UINT8) */
	ringbuf__store(&ringbuf, inotify_init_e, flags, 0);
	ringbuf__submit_event(call, &ringbuf, inotify_init_e);
}

SYSCALL_EXIT(inotify_init_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, inotify_init_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, inotify_init_x, res, call->ret);
	/* Parameter 2: flags (type: PT_UINT8) */
	ringbuf__store(&ringbuf, inotify_init_x, flags, 0);
	ringbuf__submit_event(call, &ringbuf, inotify_init_x);
}

SYSCALL_ENTER_EMPTY(inotify_init1_e)
DESCRIPTOR_EXIT_FLAGS(inotify_init1_x)

/* --------------------------------------------------------------- eventfd */

/* eventfd has no flags. */
SYSCALL_ENTER(eventfd_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, eventfd_e))
		return;
	/* Parameter 1: initval (type: PT_UINT64) */
	ringbuf__store(&ringbuf, eventfd_e, initval, (u32)extract__syscall_argument(call, 0));
	/* Parameter 2: flags (type: PT_UINT32) */
	ringbuf__store(&ringbuf, eventfd_e, flags, 0);
	ringbuf__submit_event(call, &ringbuf, eventfd_e);
}

SYSCALL_EXIT(eventfd_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, eventfd_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, eventfd_x, res, call->ret);
	/* Parameter 2: initval (type: PT_UINT64) */
	ringbuf__store(&ringbuf, eventfd_x, initval, (u32)extract__syscall_argument(call, 0));
	/* Parameter 3: flags (type: PT_UINT32) */
	ringbuf__store(&ringbuf, eventfd_x, flags, 0);
	ringbuf__submit_event(call, &ringbuf, eventfd_x);
}

SYSCALL_ENTER(eventfd2_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, eventfd2_e))
		return;
	/* Parameter 1: initval (type: PT_UINT64) */
	ringbuf__store(&ringbuf, eventfd2_e, initval, (u32)extract__syscall_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, eventfd2_e);
}

SYSCALL_EXIT(eventfd2_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, eventfd2_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, eventfd2_x, res, call->ret);
	/* Parameter 2: flags (type: PT_FLAGS16) */
	ringbuf__store(&ringbuf, eventfd2_x, flags, descriptor_flags_to_scap(extract__int_argument(call, 1)));
	/* Parameter 3: initval (type: PT_UINT64) */
	ringbuf__store(&ringbuf, eventfd2_x, initval, (u32)extract__syscall_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, eventfd2_x);
}

/* -------------------------------------------------------------- signalfd */

/* Returns the first 32 signals of the set: the parameter has 32 bits. The set is the same for 32-bit callers. */
static __always_inline u32 signalfd__mask(const struct sc_call *call)
{
	u32 mask = 0;

	bpf_probe_read_user(&mask, sizeof(mask), (const void *)extract__syscall_argument(call, 1));
	return mask;
}

/* signalfd has no flags. */
SYSCALL_ENTER(signalfd_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, signalfd_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, signalfd_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: mask (type: PT_UINT32) */
	ringbuf__store(&ringbuf, signalfd_e, mask, signalfd__mask(call));
	/* Parameter 3: flags (type: PT_UINT8) */
	ringbuf__store(&ringbuf, signalfd_e, flags, 0);
	ringbuf__submit_event(call, &ringbuf, signalfd_e);
}

SYSCALL_EXIT(signalfd_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, signalfd_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, signalfd_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, signalfd_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: mask (type: PT_UINT32) */
	ringbuf__store(&ringbuf, signalfd_x, mask, signalfd__mask(call));
	/* Parameter 4: flags (type: PT_UINT8) */
	ringbuf__store(&ringbuf, signalfd_x, flags, 0);
	ringbuf__submit_event(call, &ringbuf, signalfd_x);
}

SYSCALL_ENTER(signalfd4_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, signalfd4_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, signalfd4_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: mask (type: PT_UINT32) */
	ringbuf__store(&ringbuf, signalfd4_e, mask, signalfd__mask(call));
	ringbuf__submit_event(call, &ringbuf, signalfd4_e);
}

SYSCALL_EXIT(signalfd4_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, signalfd4_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, signalfd4_x, res, call->ret);
	/* Parameter 2: flags (type: PT_FLAGS16) */
	ringbuf__store(&ringbuf, signalfd4_x, flags, descriptor_flags_to_scap(extract__int_argument(call, 3)));
	/* Parameter 3: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, signalfd4_x, fd, extract__int_argument(call, 0));
	/* Parameter 4: mask (type: PT_UINT32) */
	ringbuf__store(&ringbuf, signalfd4_x, mask, signalfd__mask(call));
	ringbuf__submit_event(call, &ringbuf, signalfd4_x);
}

/* --------------------------------------------------------------- timerfd */

/* The last parameters of both events of timerfd_create. O_CLOEXEC does not fit into the flags. */
#define TIMERFD_STORE_ARGUMENTS(call, ringbuf, program)                                                            \
	do {                                                                                                       \
		/* Parameter 1 or 2: clockid (type: PT_UINT8) */                                                   \
		ringbuf__store(ringbuf, program, clockid, extract__int_argument(call, 0));                         \
		/* Parameter 2 or 3: flags (type: PT_UINT8) */                                                     \
		ringbuf__store(ringbuf, program, flags, descriptor_flags_to_scap(extract__int_argument(call, 1))); \
	} while (0)

SYSCALL_ENTER(timerfd_create_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, timerfd_create_e))
		return;
	TIMERFD_STORE_ARGUMENTS(call, &ringbuf, timerfd_create_e);
	ringbuf__submit_event(call, &ringbuf, timerfd_create_e);
}

SYSCALL_EXIT(timerfd_create_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, timerfd_create_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, timerfd_create_x, res, call->ret);
	TIMERFD_STORE_ARGUMENTS(call, &ringbuf, timerfd_create_x);
	ringbuf__submit_event(call, &ringbuf, timerfd_create_x);
}

/* ---------------------------------------------------------- memfd, pidfd */

SYSCALL_ENTER_EMPTY(memfd_create_e)

SYSCALL_EXIT(memfd_create_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, memfd_create_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, memfd_create_x, fd, call->ret);
	/* Parameter 2: name (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, memfd_create_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, memfd_create_x, flags, memfd_create_flags_to_scap(extract__syscall_argument(call, 1)));
	auxmap__submit_event(call, &auxmap, memfd_create_x);
}

SYSCALL_ENTER_EMPTY(pidfd_open_e)

SYSCALL_EXIT(pidfd_open_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, pidfd_open_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, pidfd_open_x, fd, call->ret);
	/* Parameter 2: pid (type: PT_PID) */
	ringbuf__store(&ringbuf, pidfd_open_x, pid, extract__int_argument(call, 0));
	/* Parameter 3: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, pidfd_open_x, flags, pidfd_open_flags_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, pidfd_open_x);
}

SYSCALL_ENTER_EMPTY(pidfd_getfd_e)

static __always_inline void pidfd_getfd__submit_plain(struct sc_call *call)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, pidfd_getfd_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, pidfd_getfd_x, fd, call->ret);
	/* Parameter 2: pid_fd (type: PT_FD) */
	ringbuf__store(&ringbuf, pidfd_getfd_x, pid_fd, extract__int_argument(call, 0));
	/* Parameter 3: target_fd (type: PT_FD) */
	ringbuf__store(&ringbuf, pidfd_getfd_x, target_fd, extract__int_argument(call, 1));
	/* Parameter 4: flags (type: PT_UINT32) */
	ringbuf__store(&ringbuf, pidfd_getfd_x, flags, extract__syscall_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, pidfd_getfd_x);
}

SYSCALL_EXIT(pidfd_getfd_x)
{
	struct auxmap auxmap;

	if (call->ret < 0 || !sc_settings.extensions) {
		pidfd_getfd__submit_plain(call);
		return;
	}
	if (!auxmap__begin(call, &auxmap, pidfd_getfd_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, pidfd_getfd_x, fd, call->ret);
	/* Parameter 2: pid_fd (type: PT_FD) */
	auxmap__store(&auxmap, pidfd_getfd_x, pid_fd, extract__int_argument(call, 0));
	/* Parameter 3: target_fd (type: PT_FD) */
	auxmap__store(&auxmap, pidfd_getfd_x, target_fd, extract__int_argument(call, 1));
	/* Parameter 4: flags (type: PT_UINT32) */
	auxmap__store(&auxmap, pidfd_getfd_x, flags, extract__syscall_argument(call, 2));
	if (!auxmap__extend(call, &auxmap, pidfd_getfd_x))
		return;
	/* Parameter 1: received (type: PT_FDENTRIES) */
	auxmap__store_entry(&auxmap, pidfd_getfd_x__extension, received, call->ret);
	auxmap__submit_extended(call, &auxmap, pidfd_getfd_x);
}

#undef DESCRIPTOR_EXIT_FLAGS
#undef TIMERFD_STORE_ARGUMENTS
