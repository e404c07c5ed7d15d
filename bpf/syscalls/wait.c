/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* futex, nanosleep, select. */
#include "extract/flags.h"
#include "extract/times.h"
#include "template/extension.h"
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

enum {
	SC_MAX_FD_SET = 1024, /* bytes of a set to keep */
};

/* Writes a set of `nfds` descriptors at the tail, in the words of the caller. Returns its length. */
static __always_inline u16 select__write(const struct sc_call *call, struct auxmap *auxmap, s64 nfds, u64 pointer)
{
	const u64 bits = call->compat ? 32 : 64;
	u64 length = nfds > 0 ? (nfds + bits - 1) / bits * (bits / 8) : 0;

	length = length < SC_MAX_FD_SET ? length : SC_MAX_FD_SET;
	return auxmap__read_bytes(auxmap, (const void *)pointer, length, SC_USER);
}

static __always_inline void select__record_plain(struct sc_call *call)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, select_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, select_x, res, call->ret);
	ringbuf__submit_event(call, &ringbuf, select_x);
}

/* The sets are those that the call returned: of the ready descriptors. */
SYSCALL_EXIT(select_x)
{
	struct auxmap auxmap;
	s64 nfds = extract__int_argument(call, 0);

	if (call->ret < 0 || !sc_settings.extensions) {
		select__record_plain(call);
		return;
	}
	if (!auxmap__begin(call, &auxmap, select_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, select_x, res, call->ret);
	if (!auxmap__extend(call, &auxmap, select_x))
		return;
	/* Parameter 1: nfds (type: PT_INT32) */
	auxmap__store(&auxmap, select_x__extension, nfds, nfds);
	/* Parameter 2: readfds (type: PT_BITSET) */
	auxmap__push(&auxmap, SC_INDEX(select_x__extension, readfds),
		     select__write(call, &auxmap, nfds, extract__syscall_argument(call, 1)));
	/* Parameter 3: writefds (type: PT_BITSET) */
	auxmap__push(&auxmap, SC_INDEX(select_x__extension, writefds),
		     select__write(call, &auxmap, nfds, extract__syscall_argument(call, 2)));
	/* Parameter 4: exceptfds (type: PT_BITSET) */
	auxmap__push(&auxmap, SC_INDEX(select_x__extension, exceptfds),
		     select__write(call, &auxmap, nfds, extract__syscall_argument(call, 3)));
	auxmap__submit_extended(call, &auxmap, select_x);
}
