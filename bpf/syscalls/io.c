/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* read, write, pread64, pwrite64: one buffer of data. */
#include "extract/data.h"
#include "template/ringbuf.h"

/* The first parameters of all enter events. */
#define io__store_enter(call, ringbuf, program)                                             \
	do {                                                                                \
		/* Parameter 1: fd (type: PT_FD) */                                         \
		ringbuf__store(ringbuf, program, fd, extract__int_argument(call, 0));       \
		/* Parameter 2: size (type: PT_UINT32) */                                   \
		ringbuf__store(ringbuf, program, size, extract__syscall_argument(call, 2)); \
	} while (0)

/* The first parameters of all exit events; `length` is the data's, in bytes. */
#define io__store_exit(call, auxmap, program, length)                                                                 \
	do {                                                                                                          \
		/* Parameter 1: res (type: PT_ERRNO) */                                                               \
		auxmap__store(auxmap, program, res, (call)->ret);                                                     \
		/* Parameter 2: data (type: PT_BYTEBUF) */                                                            \
		auxmap__store_bytebuf(                                                                                \
			auxmap, program, data, extract__syscall_argument(call, 1),                                    \
			data__kept_of(length, extract__int_argument(call, 0), 0, extract__syscall_argument(call, 1)), \
			SC_USER);                                                                                     \
		/* Parameter 3: fd (type: PT_FD) */                                                                   \
		auxmap__store(auxmap, program, fd, extract__int_argument(call, 0));                                   \
		/* Parameter 4: size (type: PT_UINT32) */                                                             \
		auxmap__store(auxmap, program, size, extract__syscall_argument(call, 2));                             \
	} while (0)

#define IO_ENTER(program)                                             \
	SYSCALL_ENTER(program)                                        \
	{                                                             \
		struct ringbuf_struct ringbuf;                        \
                                                                      \
		if (!ringbuf__reserve_space(call, &ringbuf, program)) \
			return;                                       \
		io__store_enter(call, &ringbuf, program);             \
		ringbuf__submit_event(call, &ringbuf, program);       \
	}

#define IO_EXIT(program, length)                                \
	SYSCALL_EXIT(program)                                   \
	{                                                       \
		struct auxmap auxmap;                           \
                                                                \
		if (!auxmap__begin(call, &auxmap, program))     \
			return;                                 \
		io__store_exit(call, &auxmap, program, length); \
		auxmap__submit_event(call, &auxmap, program);   \
	}

/* The same with a file offset. */
#define IO_ENTER_AT(program)                                                      \
	SYSCALL_ENTER(program)                                                    \
	{                                                                         \
		struct ringbuf_struct ringbuf;                                    \
                                                                                  \
		if (!ringbuf__reserve_space(call, &ringbuf, program))             \
			return;                                                   \
		io__store_enter(call, &ringbuf, program);                         \
		/* Parameter 3: pos (type: PT_UINT64) */                          \
		ringbuf__store(&ringbuf, program, pos, extract__offset(call, 3)); \
		ringbuf__submit_event(call, &ringbuf, program);                   \
	}

#define IO_EXIT_AT(program, length)                                             \
	SYSCALL_EXIT(program)                                                   \
	{                                                                       \
		struct auxmap auxmap;                                           \
                                                                                \
		if (!auxmap__begin(call, &auxmap, program))                     \
			return;                                                 \
		io__store_exit(call, &auxmap, program, length);                 \
		/* Parameter 5: pos (type: PT_UINT64) */                        \
		auxmap__store(&auxmap, program, pos, extract__offset(call, 3)); \
		auxmap__submit_event(call, &auxmap, program);                   \
	}

#define IO_SENT data__sent(call->ret, extract__syscall_argument(call, 2))
#define IO_RECEIVED data__received(call->ret)

IO_ENTER(read_e)
IO_EXIT(read_x, IO_RECEIVED)
IO_ENTER(write_e)
IO_EXIT(write_x, IO_SENT)
IO_ENTER_AT(pread64_e)
IO_EXIT_AT(pread64_x, IO_RECEIVED)
IO_ENTER_AT(pwrite64_e)
IO_EXIT_AT(pwrite64_x, IO_SENT)

#undef IO_ENTER
#undef IO_EXIT
#undef IO_ENTER_AT
#undef IO_EXIT_AT
#undef IO_SENT
#undef IO_RECEIVED
