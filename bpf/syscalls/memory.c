/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* brk, mmap and munmap: their exit events tell the size of the process afterwards. */
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

/* The mmap of 32-bit callers has one argument: where the six are. */
static __always_inline u64 mmap__argument(const struct sc_call *call, int n)
{
	u32 argument = 0;

	if (!call->compat)
		return extract__syscall_argument(call, n);
	bpf_probe_read_user(&argument, sizeof(argument),
			    (const void *)(extract__syscall_argument(call, 0) + n * sizeof(argument)));
	return argument;
}

/* The parameters that the arguments are. */
#define MMAP_STORE_ARGUMENTS(call, ringbuf, program)                                                  \
	do {                                                                                          \
		ringbuf__store(ringbuf, program, addr, mmap__argument(call, 0));                      \
		ringbuf__store(ringbuf, program, length, mmap__argument(call, 1));                    \
		ringbuf__store(ringbuf, program, prot, prot_flags_to_scap(mmap__argument(call, 2)));  \
		ringbuf__store(ringbuf, program, flags, mmap_flags_to_scap(mmap__argument(call, 3))); \
		ringbuf__store(ringbuf, program, fd, (s32)mmap__argument(call, 4));                   \
		ringbuf__store(ringbuf, program, offset, mmap__argument(call, 5));                    \
	} while (0)

SYSCALL_ENTER(mmap_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mmap_e))
		return;
	/*
	 * Parameter 1: addr (type: PT_UINT64), 2: length (type: PT_UINT64), 3: prot (type: PT_FLAGS32),
	 * 4: flags (type: PT_FLAGS32), 5: fd (type: PT_FD), 6: offset (type: PT_UINT64)
	 */
	MMAP_STORE_ARGUMENTS(call, &ringbuf, mmap_e);
	ringbuf__submit_event(call, &ringbuf, mmap_e);
}

SYSCALL_EXIT(mmap_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mmap_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO): an address, too */
	ringbuf__store(&ringbuf, mmap_x, res, call->ret);
	MEMORY_STORE_SIZES(&ringbuf, mmap_x);
	/*
	 * Parameter 5: addr (type: PT_UINT64), 6: length (type: PT_UINT64), 7: prot (type: PT_FLAGS32),
	 * 8: flags (type: PT_FLAGS32), 9: fd (type: PT_FD), 10: offset (type: PT_UINT64)
	 */
	MMAP_STORE_ARGUMENTS(call, &ringbuf, mmap_x);
	ringbuf__submit_event(call, &ringbuf, mmap_x);
}

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
