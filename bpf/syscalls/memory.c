/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls that map memory. All exit events but mprotect's record the size of the process after the call. */
#include "extract/flags.h"
#include "extract/process.h"
#include "template/ringbuf.h"

/* Parameters 2 to 4 of an exit event, in KiB. */
#define MEMORY_STORE_SIZES(ringbuf, program)                                      \
	do {                                                                      \
		struct mm_struct *mm_ = BPF_CORE_READ(extract__current(), mm);    \
		/* Parameter 2: vm_size (type: PT_UINT32) */                      \
		ringbuf__store(ringbuf, program, vm_size, extract__vm_size(mm_)); \
		/* Parameter 3: vm_rss (type: PT_UINT32) */                       \
		ringbuf__store(ringbuf, program, vm_rss, extract__vm_rss(mm_));   \
		/* Parameter 4: vm_swap (type: PT_UINT32) */                      \
		ringbuf__store(ringbuf, program, vm_swap, extract__vm_swap(mm_)); \
	} while (0)

SYSCALL_ENTER(brk_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, brk_e))
		return;
	/* Parameter 1: addr (type: PT_UINT64) */
	ringbuf__store(&ringbuf, brk_e, addr, extract__syscall_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, brk_e);
}

SYSCALL_EXIT(brk_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, brk_x))
		return;
	/* Parameter 1: res (type: PT_UINT64): an address */
	ringbuf__store(&ringbuf, brk_x, res, call->ret);
	MEMORY_STORE_SIZES(&ringbuf, brk_x);
	/* Parameter 5: addr (type: PT_UINT64) */
	ringbuf__store(&ringbuf, brk_x, addr, extract__syscall_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, brk_x);
}

/* Returns an argument of mmap. The 32-bit call has one argument, a pointer to the six. */
static __always_inline u64 mmap__argument(const struct sc_call *call, int n)
{
	return call->compat ? extract__argument_in_memory(call, 0, n) : extract__syscall_argument(call, n);
}

/*
 * The arguments of mmap and mmap2, in both events. The calls differ in how they pass them and in the offset's unit:
 * bytes for mmap, 4,096 bytes for mmap2.
 */
#define MMAP_STORE_ARGUMENTS(call, ringbuf, program, argument, offset)                          \
	do {                                                                                    \
		/* Parameter 1 or 5: addr (type: PT_UINT64) */                                  \
		ringbuf__store(ringbuf, program, addr, argument(call, 0));                      \
		/* Parameter 2 or 6: length (type: PT_UINT64) */                                \
		ringbuf__store(ringbuf, program, length, argument(call, 1));                    \
		/* Parameter 3 or 7: prot (type: PT_FLAGS32) */                                 \
		ringbuf__store(ringbuf, program, prot, prot_flags_to_scap(argument(call, 2)));  \
		/* Parameter 4 or 8: flags (type: PT_FLAGS32) */                                \
		ringbuf__store(ringbuf, program, flags, mmap_flags_to_scap(argument(call, 3))); \
		/* Parameter 5 or 9: fd (type: PT_FD) */                                        \
		ringbuf__store(ringbuf, program, fd, (s32)argument(call, 4));                   \
		/* Parameter 6 or 10: offset or pgoffset (type: PT_UINT64) */                   \
		ringbuf__store(ringbuf, program, offset, argument(call, 5));                    \
	} while (0)

#define MMAP_ENTER(program, argument, offset)                                    \
	SYSCALL_ENTER(program)                                                   \
	{                                                                        \
		struct ringbuf_struct ringbuf;                                   \
                                                                                 \
		if (!ringbuf__reserve_space(call, &ringbuf, program))            \
			return;                                                  \
		MMAP_STORE_ARGUMENTS(call, &ringbuf, program, argument, offset); \
		ringbuf__submit_event(call, &ringbuf, program);                  \
	}

#define MMAP_EXIT(program, argument, offset)                                     \
	SYSCALL_EXIT(program)                                                    \
	{                                                                        \
		struct ringbuf_struct ringbuf;                                   \
                                                                                 \
		if (!ringbuf__reserve_space(call, &ringbuf, program))            \
			return;                                                  \
		/* Parameter 1: res (type: PT_ERRNO): or an address */           \
		ringbuf__store(&ringbuf, program, res, call->ret);               \
		MEMORY_STORE_SIZES(&ringbuf, program);                           \
		MMAP_STORE_ARGUMENTS(call, &ringbuf, program, argument, offset); \
		ringbuf__submit_event(call, &ringbuf, program);                  \
	}

MMAP_ENTER(mmap_e, mmap__argument, offset)
MMAP_EXIT(mmap_x, mmap__argument, offset)
MMAP_ENTER(mmap2_e, extract__syscall_argument, pgoffset)
MMAP_EXIT(mmap2_x, extract__syscall_argument, pgoffset)

SYSCALL_ENTER(munmap_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, munmap_e))
		return;
	/* Parameter 1: addr (type: PT_UINT64) */
	ringbuf__store(&ringbuf, munmap_e, addr, extract__syscall_argument(call, 0));
	/* Parameter 2: length (type: PT_UINT64) */
	ringbuf__store(&ringbuf, munmap_e, length, extract__syscall_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, munmap_e);
}

SYSCALL_EXIT(munmap_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, munmap_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, munmap_x, res, call->ret);
	MEMORY_STORE_SIZES(&ringbuf, munmap_x);
	/* Parameter 5: addr (type: PT_UINT64) */
	ringbuf__store(&ringbuf, munmap_x, addr, extract__syscall_argument(call, 0));
	/* Parameter 6: length (type: PT_UINT64) */
	ringbuf__store(&ringbuf, munmap_x, length, extract__syscall_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, munmap_x);
}

/* The last parameters of both events of mprotect. */
#define MPROTECT_STORE_ARGUMENTS(call, ringbuf, program)                                                        \
	do {                                                                                                    \
		/* Parameter 1 or 2: addr (type: PT_UINT64) */                                                  \
		ringbuf__store(ringbuf, program, addr, extract__syscall_argument(call, 0));                     \
		/* Parameter 2 or 3: length (type: PT_UINT64) */                                                \
		ringbuf__store(ringbuf, program, length, extract__syscall_argument(call, 1));                   \
		/* Parameter 3 or 4: prot (type: PT_FLAGS32) */                                                 \
		ringbuf__store(ringbuf, program, prot, prot_flags_to_scap(extract__syscall_argument(call, 2))); \
	} while (0)

SYSCALL_ENTER(mprotect_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mprotect_e))
		return;
	MPROTECT_STORE_ARGUMENTS(call, &ringbuf, mprotect_e);
	ringbuf__submit_event(call, &ringbuf, mprotect_e);
}

SYSCALL_EXIT(mprotect_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mprotect_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, mprotect_x, res, call->ret);
	MPROTECT_STORE_ARGUMENTS(call, &ringbuf, mprotect_x);
	ringbuf__submit_event(call, &ringbuf, mprotect_x);
}

#undef MEMORY_STORE_SIZES
#undef MMAP_STORE_ARGUMENTS
#undef MMAP_ENTER
#undef MMAP_EXIT
#undef MPROTECT_STORE_ARGUMENTS
