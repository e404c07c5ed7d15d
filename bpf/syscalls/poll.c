/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * poll, ppoll. An fd list (FDLIST) is the number of entries (u16), then for each entry the descriptor (s64) and the
 * events (u16): the requested ones in an enter event, the returned ones in an exit event.
 */
#include "extract/times.h"
#include "template/shapes.h"

enum {
	SC_MAX_POLLED = 64, /* descriptors to keep in an event */
	SC_POLLED_LEN = sizeof(s64) + sizeof(u16),

	/* Offset of the buffer for struct pollfd, far beyond the end of an event with this list. */
	SC_POLLED = SC_SCRATCH_HALF,
};

enum poll_direction {
	POLL_REQUESTED,
	POLL_RETURNED,
};

/* No branches: each one would double the verifier's paths through the loop below. */
static __always_inline u16 poll_events_to_scap(u32 events)
{
	const u32 same = PPM_poll_flags__POLLIN | PPM_poll_flags__POLLPRI | PPM_poll_flags__POLLOUT;
	const u32 one_higher = 0x3f8;                         /* POLLERR to POLLWRBAND */
	const u32 rdhup = PPM_poll_flags__POLLRDHUP, by = 10; /* POLLRDHUP: 0x2000 */

	return (events & same) | (events & one_higher) << 1 | (events >> by & rdhup);
}

/* Writes an fd list at the tail. Returns its length. An unreadable list is empty. */
static __always_inline u16 poll__write(struct auxmap *auxmap, u64 pointer, u32 nfds, enum poll_direction direction)
{
	u8 *read = auxmap->data + SC_POLLED;
	u8 *tail = auxmap__tail(auxmap);
	u32 count = SC_BOUND(nfds < SC_MAX_POLLED ? nfds : SC_MAX_POLLED, 2 * SC_MAX_POLLED);

	if (bpf_probe_read_user(read, count * sizeof(struct sc_pollfd), (const void *)pointer))
		count = 0;
	*(u16 *)tail = count;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_MAX_POLLED; i++) {
		const struct sc_pollfd *polled = (const struct sc_pollfd *)(read + i * sizeof(*polled));
		u8 *to = tail + sizeof(u16) + i * SC_POLLED_LEN;

		/* The mask hides the comparison's result from the verifier: see vector__has. */
		if (i >= SC_BOUND(count, 2 * SC_MAX_POLLED))
			break;
		*(s64 *)to = polled->fd;
		*(u16 *)(to + sizeof(s64)) =
			poll_events_to_scap(direction == POLL_REQUESTED ? polled->events : polled->revents);
	}
	return sizeof(u16) + count * SC_POLLED_LEN;
}

#define poll__store_list(call, auxmap, program, direction)                                                \
	do {                                                                                              \
		SC_REQUIRE(SC_HAS_TYPE(program, fds, FDLIST), "not an fd list in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, fds),                                              \
			     poll__write(auxmap, extract__syscall_argument(call, 0),                      \
					 extract__syscall_argument(call, 1), direction));                 \
	} while (0)

/* Parameters 1 and 2 (2 and 3 of the exit event). */
#define poll__store(call, auxmap, program, direction)                                    \
	do {                                                                             \
		/* fds (type: PT_FDLIST) */                                              \
		poll__store_list(call, auxmap, program, direction);                      \
		/* timeout (type: PT_INT64): in ms */                                    \
		auxmap__store(auxmap, program, timeout, extract__int_argument(call, 2)); \
	} while (0)

SYSCALL_ENTER(poll_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, poll_e))
		return;
	poll__store(call, &auxmap, poll_e, POLL_REQUESTED);
	auxmap__submit_event(call, &auxmap, poll_e);
}

SYSCALL_EXIT(poll_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, poll_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, poll_x, res, call->ret);
	poll__store(call, &auxmap, poll_x, POLL_RETURNED);
	auxmap__submit_event(call, &auxmap, poll_x);
}

/* Returns whether the call is the 32-bit one with 32-bit times. */
static __always_inline bool ppoll__is_time32(const struct sc_call *call)
{
	const u32 ppoll_time32 = 309;

	return call->compat && extract__number(call->regs) == ppoll_time32;
}

/* Returns the first 32 signals of a set in user memory; none if it cannot be read. */
static __always_inline u32 ppoll__signals(u64 pointer)
{
	u32 signals = 0;

	if (pointer)
		bpf_probe_read_user(&signals, sizeof(signals), (const void *)pointer);
	return signals;
}

/* Parameters 1 to 3 (2 to 4 of the exit event). */
#define ppoll__store(call, auxmap, program, direction)                                                        \
	do {                                                                                                  \
		/* fds (type: PT_FDLIST) */                                                                   \
		poll__store_list(call, auxmap, program, direction);                                           \
		/* timeout (type: PT_RELTIME) */                                                              \
		auxmap__store(auxmap, program, timeout,                                                       \
			      extract__timespec(extract__syscall_argument(call, 2), ppoll__is_time32(call))); \
		/* sigmask (type: PT_SIGSET) */                                                               \
		auxmap__store(auxmap, program, sigmask, ppoll__signals(extract__syscall_argument(call, 3)));  \
	} while (0)

SYSCALL_ENTER(ppoll_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, ppoll_e))
		return;
	ppoll__store(call, &auxmap, ppoll_e, POLL_REQUESTED);
	auxmap__submit_event(call, &auxmap, ppoll_e);
}

SYSCALL_EXIT(ppoll_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, ppoll_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, ppoll_x, res, call->ret);
	ppoll__store(call, &auxmap, ppoll_x, POLL_RETURNED);
	auxmap__submit_event(call, &auxmap, ppoll_x);
}
