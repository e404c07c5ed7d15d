/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * copy_file_range, splice, sendfile: data from one file to another, bypassing the caller's memory.
 *
 * An offset passed by pointer is recorded as read from there: the start of the transfer in the enter event, its end in
 * the exit event. It is 0 if the pointer is NULL and the call uses the file's position.
 */
#include "extract/file_flags.h"
#include "template/ringbuf.h"

/* Returns the offset that argument n points to, of 64 bits if `wide`, else of 32. */
static __always_inline u64 transfer__offset(const struct sc_call *call, int n, bool wide)
{
	const void *pointer = (const void *)extract__syscall_argument(call, n);
	u64 offset = 0;
	s32 narrow = 0;

	if (!pointer)
		return 0;
	if (wide)
		bpf_probe_read_user(&offset, sizeof(offset), pointer);
	else if (!bpf_probe_read_user(&narrow, sizeof(narrow), pointer))
		offset = (s64)narrow;
	return offset;
}

/* The last parameters of both events of copy_file_range: source and length. */
#define COPY_STORE_SOURCE(call, ringbuf, program)                                          \
	do {                                                                               \
		/* Parameter 1 or 4: fdin (type: PT_FD) */                                 \
		ringbuf__store(ringbuf, program, fdin, extract__int_argument(call, 0));    \
		/* Parameter 2 or 5: offin (type: PT_UINT64) */                            \
		ringbuf__store(ringbuf, program, offin, transfer__offset(call, 1, true));  \
		/* Parameter 3 or 6: len (type: PT_UINT64) */                              \
		ringbuf__store(ringbuf, program, len, extract__syscall_argument(call, 4)); \
	} while (0)

SYSCALL_ENTER(copy_file_range_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, copy_file_range_e))
		return;
	COPY_STORE_SOURCE(call, &ringbuf, copy_file_range_e);
	ringbuf__submit_event(call, &ringbuf, copy_file_range_e);
}

SYSCALL_EXIT(copy_file_range_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, copy_file_range_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, copy_file_range_x, res, call->ret);
	/* Parameter 2: fdout (type: PT_FD) */
	ringbuf__store(&ringbuf, copy_file_range_x, fdout, extract__int_argument(call, 2));
	/* Parameter 3: offout (type: PT_UINT64) */
	ringbuf__store(&ringbuf, copy_file_range_x, offout, transfer__offset(call, 3, true));
	COPY_STORE_SOURCE(call, &ringbuf, copy_file_range_x);
	ringbuf__submit_event(call, &ringbuf, copy_file_range_x);
}

/* The last parameters of both events of splice. */
#define SPLICE_STORE_ARGUMENTS(call, ringbuf, program)                                                             \
	do {                                                                                                       \
		/* Parameter 1 or 2: fd_in (type: PT_FD) */                                                        \
		ringbuf__store(ringbuf, program, fd_in, extract__int_argument(call, 0));                           \
		/* Parameter 2 or 3: fd_out (type: PT_FD) */                                                       \
		ringbuf__store(ringbuf, program, fd_out, extract__int_argument(call, 2));                          \
		/* Parameter 3 or 4: size (type: PT_UINT64) */                                                     \
		ringbuf__store(ringbuf, program, size, extract__syscall_argument(call, 4));                        \
		/* Parameter 4 or 5: flags (type: PT_FLAGS32) */                                                   \
		ringbuf__store(ringbuf, program, flags, splice_flags_to_scap(extract__syscall_argument(call, 5))); \
	} while (0)

SYSCALL_ENTER(splice_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, splice_e))
		return;
	SPLICE_STORE_ARGUMENTS(call, &ringbuf, splice_e);
	ringbuf__submit_event(call, &ringbuf, splice_e);
}

SYSCALL_EXIT(splice_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, splice_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, splice_x, res, call->ret);
	SPLICE_STORE_ARGUMENTS(call, &ringbuf, splice_x);
	ringbuf__submit_event(call, &ringbuf, splice_x);
}

#if defined(__TARGET_ARCH_x86)
#define SC_NR_I386_SENDFILE64 239
#else
#define SC_NR_I386_SENDFILE64 -1
#endif

/* Returns sendfile's offset: 32 bits wide for 32-bit callers, except in their sendfile64. */
static __always_inline u64 sendfile__offset(const struct sc_call *call)
{
	bool wide = !call->compat || extract__number(call->regs) == (u32)SC_NR_I386_SENDFILE64;

	return transfer__offset(call, 2, wide);
}

SYSCALL_ENTER(sendfile_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, sendfile_e))
		return;
	/* Parameter 1: out_fd (type: PT_FD) */
	ringbuf__store(&ringbuf, sendfile_e, out_fd, extract__int_argument(call, 0));
	/* Parameter 2: in_fd (type: PT_FD) */
	ringbuf__store(&ringbuf, sendfile_e, in_fd, extract__int_argument(call, 1));
	/* Parameter 3: offset (type: PT_UINT64) */
	ringbuf__store(&ringbuf, sendfile_e, offset, sendfile__offset(call));
	/* Parameter 4: size (type: PT_UINT64) */
	ringbuf__store(&ringbuf, sendfile_e, size, extract__syscall_argument(call, 3));
	ringbuf__submit_event(call, &ringbuf, sendfile_e);
}

SYSCALL_EXIT(sendfile_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, sendfile_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, sendfile_x, res, call->ret);
	/* Parameter 2: offset (type: PT_UINT64) */
	ringbuf__store(&ringbuf, sendfile_x, offset, sendfile__offset(call));
	/* Parameter 3: out_fd (type: PT_FD) */
	ringbuf__store(&ringbuf, sendfile_x, out_fd, extract__int_argument(call, 0));
	/* Parameter 4: in_fd (type: PT_FD) */
	ringbuf__store(&ringbuf, sendfile_x, in_fd, extract__int_argument(call, 1));
	/* Parameter 5: size (type: PT_UINT64) */
	ringbuf__store(&ringbuf, sendfile_x, size, extract__syscall_argument(call, 3));
	ringbuf__submit_event(call, &ringbuf, sendfile_x);
}

#undef COPY_STORE_SOURCE
#undef SPLICE_STORE_ARGUMENTS
