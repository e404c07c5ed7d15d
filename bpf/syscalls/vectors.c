/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* readv, writev, preadv, pwritev: data in several buffers, recorded as one parameter. */
#include "extract/data.h"
#include "template/shapes.h"

/* Returns how many of `length` bytes the call's event keeps. */
static __always_inline u64 vectors__kept(const struct sc_call *call, u64 length)
{
	return data__kept_of(length, extract__int_argument(call, 0), 0, 0);
}

/* The first parameters of both read calls' exit events. */
#define vectors__store_read(call, auxmap, program)                                                    \
	do {                                                                                          \
		/* Parameter 1: res (type: PT_ERRNO) */                                               \
		auxmap__store(auxmap, program, res, (call)->ret);                                     \
		/* Parameter 2: size (type: PT_UINT32) */                                             \
		auxmap__store(auxmap, program, size, data__received((call)->ret));                    \
		/* Parameter 3: data (type: PT_BYTEBUF) */                                            \
		auxmap__store_vector(call, auxmap, program, data, extract__syscall_argument(call, 1), \
				     extract__syscall_argument(call, 2),                              \
				     vectors__kept(call, data__received((call)->ret)));               \
		/* Parameter 4: fd (type: PT_FD) */                                                   \
		auxmap__store(auxmap, program, fd, extract__int_argument(call, 0));                   \
	} while (0)

/* The first parameters of both write calls' exit events. */
#define vectors__store_written(call, auxmap, program)                                                 \
	do {                                                                                          \
		u32 size_ = vectors__size(call);                                                      \
                                                                                                      \
		/* Parameter 1: res (type: PT_ERRNO) */                                               \
		auxmap__store(auxmap, program, res, (call)->ret);                                     \
		/* Parameter 2: data (type: PT_BYTEBUF) */                                            \
		auxmap__store_vector(call, auxmap, program, data, extract__syscall_argument(call, 1), \
				     extract__syscall_argument(call, 2),                              \
				     vectors__kept(call, data__sent((call)->ret, size_)));            \
		/* Parameter 3: fd (type: PT_FD) */                                                   \
		auxmap__store(auxmap, program, fd, extract__int_argument(call, 0));                   \
		/* Parameter 4: size (type: PT_UINT32) */                                             \
		auxmap__store(auxmap, program, size, size_);                                          \
	} while (0)

/* Returns the total size of the call's iovecs. */
static __always_inline u32 vectors__size(const struct sc_call *call)
{
	return vector__size(call, extract__syscall_argument(call, 1), extract__syscall_argument(call, 2));
}

SYSCALL_ENTER_FD(readv_e)

SYSCALL_EXIT(readv_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, readv_x))
		return;
	vectors__store_read(call, &auxmap, readv_x);
	auxmap__submit_event(call, &auxmap, readv_x);
}

SYSCALL_ENTER(preadv_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, preadv_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, preadv_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: pos (type: PT_UINT64) */
	ringbuf__store(&ringbuf, preadv_e, pos, extract__offset(call, 3));
	ringbuf__submit_event(call, &ringbuf, preadv_e);
}

SYSCALL_EXIT(preadv_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, preadv_x))
		return;
	vectors__store_read(call, &auxmap, preadv_x);
	/* Parameter 5: pos (type: PT_UINT64) */
	auxmap__store(&auxmap, preadv_x, pos, extract__offset(call, 3));
	auxmap__submit_event(call, &auxmap, preadv_x);
}

SYSCALL_ENTER(writev_e)
{
	struct ringbuf_struct ringbuf;
	u32 size = vectors__size(call);

	if (!ringbuf__reserve_space(call, &ringbuf, writev_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, writev_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	ringbuf__store(&ringbuf, writev_e, size, size);
	ringbuf__submit_event(call, &ringbuf, writev_e);
}

SYSCALL_EXIT(writev_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, writev_x))
		return;
	vectors__store_written(call, &auxmap, writev_x);
	auxmap__submit_event(call, &auxmap, writev_x);
}

SYSCALL_ENTER(pwritev_e)
{
	struct ringbuf_struct ringbuf;
	u32 size = vectors__size(call);

	if (!ringbuf__reserve_space(call, &ringbuf, pwritev_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, pwritev_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	ringbuf__store(&ringbuf, pwritev_e, size, size);
	/* Parameter 3: pos (type: PT_UINT64) */
	ringbuf__store(&ringbuf, pwritev_e, pos, extract__offset(call, 3));
	ringbuf__submit_event(call, &ringbuf, pwritev_e);
}

SYSCALL_EXIT(pwritev_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, pwritev_x))
		return;
	vectors__store_written(call, &auxmap, pwritev_x);
	/* Parameter 5: pos (type: PT_UINT64) */
	auxmap__store(&auxmap, pwritev_x, pos, extract__offset(call, 3));
	auxmap__submit_event(call, &auxmap, pwritev_x);
}
