/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls on open files and directories: entries, locks, positions; and opening by handle. */
#include "extract/data.h"
#include "extract/opened.h"
#include "template/shapes.h"

/* An exit event with the result, the descriptor and, as its extension, the entries up to the snaplen. */
#define GETDENTS_EXIT(program)                                                                             \
	SYSCALL_EXIT(program)                                                                              \
	{                                                                                                  \
		struct auxmap auxmap;                                                                      \
                                                                                                           \
		if (call->ret <= 0 || !sc_settings.extensions) {                                           \
			SYSCALL_RECORD_FD(call, program);                                                  \
			return;                                                                            \
		}                                                                                          \
		if (!auxmap__begin(call, &auxmap, program))                                                \
			return;                                                                            \
		/* Parameter 1: res (type: PT_ERRNO) */                                                    \
		auxmap__store(&auxmap, program, res, call->ret);                                           \
		/* Parameter 2: fd (type: PT_FD) */                                                        \
		auxmap__store(&auxmap, program, fd, extract__int_argument(call, 0));                       \
		if (!auxmap__extend(call, &auxmap, program))                                               \
			return;                                                                            \
		/* Parameter 1: entries (type: PT_DIRENTS, PT_BYTEBUF) */                                  \
		auxmap__push(&auxmap, SC_INDEX(program##__extension, entries),                             \
			     auxmap__read_bytes(&auxmap, (const void *)extract__syscall_argument(call, 1), \
						data__kept(call->ret), SC_USER));                          \
		auxmap__submit_extended(call, &auxmap, program);                                           \
	}

SYSCALL_ENTER_FD(getdents_e)
GETDENTS_EXIT(getdents_x)
SYSCALL_ENTER_FD(getdents64_e)
GETDENTS_EXIT(getdents64_x)

SYSCALL_ENTER(flock_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, flock_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, flock_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: operation (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, flock_e, operation, flock_flags_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, flock_e);
}

SYSCALL_EXIT(flock_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, flock_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, flock_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, flock_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: operation (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, flock_x, operation, flock_flags_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, flock_x);
}

/* Returns the offset of llseek, a 32-bit call only: the high half comes first. */
static __always_inline u64 llseek__offset(const struct sc_call *call)
{
	return extract__syscall_argument(call, 1) << 32 | (u32)extract__syscall_argument(call, 2);
}

SYSCALL_ENTER(llseek_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, llseek_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, llseek_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: offset (type: PT_UINT64) */
	ringbuf__store(&ringbuf, llseek_e, offset, llseek__offset(call));
	/* Parameter 3: whence (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, llseek_e, whence, lseek_whence_to_scap(extract__syscall_argument(call, 4)));
	ringbuf__submit_event(call, &ringbuf, llseek_e);
}

SYSCALL_EXIT(llseek_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, llseek_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, llseek_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, llseek_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: offset (type: PT_UINT64) */
	ringbuf__store(&ringbuf, llseek_x, offset, llseek__offset(call));
	/* Parameter 4: whence (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, llseek_x, whence, lseek_whence_to_scap(extract__syscall_argument(call, 4)));
	ringbuf__submit_event(call, &ringbuf, llseek_x);
}

SYSCALL_ENTER_EMPTY(open_by_handle_at_e)

SYSCALL_EXIT(open_by_handle_at_x)
{
	struct auxmap auxmap;
	struct sc_opened opened = extract__opened(call->ret);
	u32 flags = extract__syscall_argument(call, 2);

	if (!auxmap__begin(call, &auxmap, open_by_handle_at_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, open_by_handle_at_x, fd, call->ret);
	/* Parameter 2: mountfd (type: PT_FD) */
	auxmap__store(&auxmap, open_by_handle_at_x, mountfd, extract__int_argument(call, 0));
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, open_by_handle_at_x, flags, open_flags_to_scap(flags) | opened_flags_to_scap(&opened));
	/* Parameter 4: path (type: PT_FSPATH): the opened file's, as the call has no path argument */
	auxmap__store_path(&auxmap, open_by_handle_at_x, path, opened.file);
	/* Parameter 5: dev (type: PT_UINT32) */
	auxmap__store(&auxmap, open_by_handle_at_x, dev, opened.dev);
	/* Parameter 6: ino (type: PT_UINT64) */
	auxmap__store(&auxmap, open_by_handle_at_x, ino, opened.ino);
	opened__submit(call, &auxmap, open_by_handle_at_x, path, flags, opened);
}
