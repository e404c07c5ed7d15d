/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* io_uring_setup, io_uring_enter, io_uring_register. Their structures are the same for 32-bit callers. */
#include "extract/flags.h"
#include "template/shapes.h"
#include "user_types.h"

static __always_inline u32 io_uring_setup_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, 0x1, io_uring_setup_flags, IORING_SETUP_IOPOLL) |
	       SC_FLAG(flags, 0x2, io_uring_setup_flags, IORING_SETUP_SQPOLL) |
	       SC_FLAG(flags, 0x4, io_uring_setup_flags, IORING_SETUP_SQ_AFF) |
	       SC_FLAG(flags, 0x8, io_uring_setup_flags, IORING_SETUP_CQSIZE) |
	       SC_FLAG(flags, 0x10, io_uring_setup_flags, IORING_SETUP_CLAMP) |
	       SC_FLAG(flags, 0x20, io_uring_setup_flags, IORING_SETUP_ATTACH_RW) |
	       SC_FLAG(flags, 0x40, io_uring_setup_flags, IORING_SETUP_R_DISABLED);
}

/* The kernel's bits are the format's, up to the last one that it names. */
static __always_inline u32 io_uring_feats_to_scap(u32 features)
{
	return features & (2 * PPM_io_uring_setup_feats__IORING_FEAT_RSRC_TAGS - 1);
}

static __always_inline u32 io_uring_enter_flags_to_scap(u32 flags)
{
	return flags & (2 * PPM_io_uring_enter_flags__IORING_ENTER_EXT_ARG - 1);
}

/* Returns the requested and resulting parameters of a ring; all 0 if they cannot be read. */
static __always_inline struct sc_io_uring_params io_uring__params(const struct sc_call *call)
{
	struct sc_io_uring_params params = {};

	bpf_probe_read_user(&params, sizeof(params), (const void *)extract__syscall_argument(call, 1));
	return params;
}

#define io_uring__store_setup(call, ringbuf, program)                                                 \
	do {                                                                                          \
		struct sc_io_uring_params params_ = io_uring__params(call);                           \
                                                                                                      \
		/* Parameter 2: entries (type: PT_UINT32) */                                          \
		ringbuf__store(ringbuf, program, entries, extract__syscall_argument(call, 0));        \
		/* Parameter 3: sq_entries (type: PT_UINT32) */                                       \
		ringbuf__store(ringbuf, program, sq_entries, params_.sq_entries);                     \
		/* Parameter 4: cq_entries (type: PT_UINT32) */                                       \
		ringbuf__store(ringbuf, program, cq_entries, params_.cq_entries);                     \
		/* Parameter 5: flags (type: PT_FLAGS32) */                                           \
		ringbuf__store(ringbuf, program, flags, io_uring_setup_flags_to_scap(params_.flags)); \
		/* Parameter 6: sq_thread_cpu (type: PT_UINT32) */                                    \
		ringbuf__store(ringbuf, program, sq_thread_cpu, params_.sq_thread_cpu);               \
		/* Parameter 7: sq_thread_idle (type: PT_UINT32) */                                   \
		ringbuf__store(ringbuf, program, sq_thread_idle, params_.sq_thread_idle);             \
		/* Parameter 8: features (type: PT_FLAGS32) */                                        \
		ringbuf__store(ringbuf, program, features, io_uring_feats_to_scap(params_.features)); \
	} while (0)

SYSCALL_ENTER_EMPTY(io_uring_setup_e)
SYSCALL_EXIT_STORE(io_uring_setup_x, io_uring__store_setup)

#define io_uring__store_enter(call, ringbuf, program)                                               \
	do {                                                                                        \
		/* Parameter 2: fd (type: PT_FD) */                                                 \
		ringbuf__store(ringbuf, program, fd, extract__int_argument(call, 0));               \
		/* Parameter 3: to_submit (type: PT_UINT32) */                                      \
		ringbuf__store(ringbuf, program, to_submit, extract__syscall_argument(call, 1));    \
		/* Parameter 4: min_complete (type: PT_UINT32) */                                   \
		ringbuf__store(ringbuf, program, min_complete, extract__syscall_argument(call, 2)); \
		/* Parameter 5: flags (type: PT_FLAGS32) */                                         \
		ringbuf__store(ringbuf, program, flags,                                             \
			       io_uring_enter_flags_to_scap(extract__syscall_argument(call, 3)));   \
		/* Parameter 6: sig (type: PT_SIGSET): the low half of the set's address */         \
		ringbuf__store(ringbuf, program, sig, extract__syscall_argument(call, 4));          \
	} while (0)

SYSCALL_ENTER_EMPTY(io_uring_enter_e)
SYSCALL_EXIT_STORE(io_uring_enter_x, io_uring__store_enter)

#define io_uring__store_register(call, ringbuf, program)                                       \
	do {                                                                                   \
		/* Parameter 2: fd (type: PT_FD) */                                            \
		ringbuf__store(ringbuf, program, fd, extract__int_argument(call, 0));          \
		/* Parameter 3: opcode (type: PT_ENUMFLAGS16): the kernel's values */          \
		ringbuf__store(ringbuf, program, opcode, extract__syscall_argument(call, 1));  \
		/* Parameter 4: arg (type: PT_UINT64) */                                       \
		ringbuf__store(ringbuf, program, arg, extract__syscall_argument(call, 2));     \
		/* Parameter 5: nr_args (type: PT_UINT32) */                                   \
		ringbuf__store(ringbuf, program, nr_args, extract__syscall_argument(call, 3)); \
	} while (0)

SYSCALL_ENTER_EMPTY(io_uring_register_e)
SYSCALL_EXIT_STORE(io_uring_register_x, io_uring__store_register)
