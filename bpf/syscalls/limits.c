/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* getrlimit, setrlimit, prlimit64: resource limits. */
#include "events_dimensions.h"
#include "template/shapes.h"
#include "user_types.h"

/* The kernel's numbers are the format's. */
static __always_inline u8 rlimit_resource_to_scap(u32 resource)
{
	return resource <= PPM_rlimit_resources__RLIMIT_RTTIME ? resource : (u8)PPM_rlimit_resources__RLIMIT_UNKNOWN;
}

/* Widens a 32-bit caller's limit: its 'no limit' has 32 bits. */
static __always_inline u64 limits__widen(u32 limit)
{
	return limit == (u32)-1 ? -1ull : limit;
}

/* Reads a pair of limits in user memory; `is_32` says that it is a 32-bit caller's. Returns 0 if it cannot be read. */
static __always_inline struct sc_rlimit limits__read(u64 pointer, bool is_32)
{
	struct sc_rlimit limit = {};
	struct sc_rlimit32 limit32;

	if (!pointer)
		return limit;
	if (!is_32) {
		bpf_probe_read_user(&limit, sizeof(limit), (const void *)pointer);
	} else if (!bpf_probe_read_user(&limit32, sizeof(limit32), (const void *)pointer)) {
		limit.cur = limits__widen(limit32.cur);
		limit.max = limits__widen(limit32.max);
	}
	return limit;
}

/* Returns the limits that a call returned; -1 if it failed. */
static __always_inline struct sc_rlimit limits__answer(const struct sc_call *call, u64 pointer, bool is_32)
{
	struct sc_rlimit none = { .cur = -1ull, .max = -1ull };

	return call->ret == 0 ? limits__read(pointer, is_32) : none;
}

#define limits__store_resource(call, ringbuf, program)                          \
	/* Parameter 1 (4 of the exit event): resource (type: PT_ENUMFLAGS8) */ \
	ringbuf__store(ringbuf, program, resource, rlimit_resource_to_scap(extract__syscall_argument(call, 0)))

/* `read` is an expression that yields the limits. */
#define limits__store_pair(call, ringbuf, program, read)           \
	do {                                                       \
		struct sc_rlimit limit_ = (read);                  \
                                                                   \
		/* Parameter 2: cur (type: PT_INT64) */            \
		ringbuf__store(ringbuf, program, cur, limit_.cur); \
		/* Parameter 3: max (type: PT_INT64) */            \
		ringbuf__store(ringbuf, program, max, limit_.max); \
		limits__store_resource(call, ringbuf, program);    \
	} while (0)

#define limits__store_got(call, ringbuf, program)  \
	limits__store_pair(call, ringbuf, program, \
			   limits__answer(call, extract__syscall_argument(call, 1), (call)->compat))

#define limits__store_set(call, ringbuf, program) \
	limits__store_pair(call, ringbuf, program, limits__read(extract__syscall_argument(call, 1), (call)->compat))

SYSCALL_ENTER_STORE(getrlimit_e, limits__store_resource)
SYSCALL_EXIT_STORE(getrlimit_x, limits__store_got)
SYSCALL_ENTER_STORE(setrlimit_e, limits__store_resource)
SYSCALL_EXIT_STORE(setrlimit_x, limits__store_set)

#define limits__store_process(call, ringbuf, program)                                        \
	do {                                                                                 \
		/* Parameter 1 (6 of the exit event): pid (type: PT_PID, PT_INT64) */        \
		ringbuf__store(ringbuf, program, pid, extract__int_argument(call, 0));       \
		/* Parameter 2 (7): resource (type: PT_ENUMFLAGS8) */                        \
		ringbuf__store(ringbuf, program, resource,                                   \
			       rlimit_resource_to_scap(extract__syscall_argument(call, 1))); \
	} while (0)

/* prlimit64's limits are the same for 32-bit callers. */
#define limits__store_changed(call, ringbuf, program)                                                    \
	do {                                                                                             \
		struct sc_rlimit new_ = limits__read(extract__syscall_argument(call, 2), false);         \
		struct sc_rlimit old_ = limits__answer(call, extract__syscall_argument(call, 3), false); \
                                                                                                         \
		/* Parameter 2: newcur (type: PT_INT64) */                                               \
		ringbuf__store(ringbuf, program, newcur, new_.cur);                                      \
		/* Parameter 3: newmax (type: PT_INT64) */                                               \
		ringbuf__store(ringbuf, program, newmax, new_.max);                                      \
		/* Parameter 4: oldcur (type: PT_INT64) */                                               \
		ringbuf__store(ringbuf, program, oldcur, old_.cur);                                      \
		/* Parameter 5: oldmax (type: PT_INT64) */                                               \
		ringbuf__store(ringbuf, program, oldmax, old_.max);                                      \
		limits__store_process(call, ringbuf, program);                                           \
	} while (0)

SYSCALL_ENTER_STORE(prlimit64_e, limits__store_process)
SYSCALL_EXIT_STORE(prlimit64_x, limits__store_changed)
