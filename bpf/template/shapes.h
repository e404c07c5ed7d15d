/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whole programs, for event shapes that many system calls share. */
#pragma once

#include "template/auxmap.h"
#include "template/ringbuf.h"

/* An enter or exit event without parameters. */
#define SYSCALL_ENTER_EMPTY(program) SYSCALL_EMPTY(SYSCALL_ENTER, program)
#define SYSCALL_EXIT_EMPTY(program) SYSCALL_EMPTY(SYSCALL_EXIT, program)
#define SYSCALL_EMPTY(SYSCALL_BODY, program)                          \
	SYSCALL_BODY(program)                                         \
	{                                                             \
		struct ringbuf_struct ringbuf;                        \
                                                                      \
		if (!ringbuf__reserve_space(call, &ringbuf, program)) \
			return;                                       \
		ringbuf__submit_event(call, &ringbuf, program);       \
	}

/* An exit event whose only parameter is the result. */
#define SYSCALL_EXIT_RESULT(program, param)                           \
	SYSCALL_EXIT(program)                                         \
	{                                                             \
		struct ringbuf_struct ringbuf;                        \
                                                                      \
		if (!ringbuf__reserve_space(call, &ringbuf, program)) \
			return;                                       \
		ringbuf__store(&ringbuf, program, param, call->ret);  \
		ringbuf__submit_event(call, &ringbuf, program);       \
	}

/*
 * An exit event of fixed size: the result, then what `store` stores, a macro of the family called as
 * store(call, ringbuf, program).
 */
#define SYSCALL_EXIT_STORE(program, store)                            \
	SYSCALL_EXIT(program)                                         \
	{                                                             \
		struct ringbuf_struct ringbuf;                        \
                                                                      \
		if (!ringbuf__reserve_space(call, &ringbuf, program)) \
			return;                                       \
		/* Parameter 1: res (type: PT_ERRNO) */               \
		ringbuf__store(&ringbuf, program, res, call->ret);    \
		store(call, &ringbuf, program);                       \
		ringbuf__submit_event(call, &ringbuf, program);       \
	}

/* An enter event of fixed size: what `store` stores. */
#define SYSCALL_ENTER_STORE(program, store)                           \
	SYSCALL_ENTER(program)                                        \
	{                                                             \
		struct ringbuf_struct ringbuf;                        \
                                                                      \
		if (!ringbuf__reserve_space(call, &ringbuf, program)) \
			return;                                       \
		store(call, &ringbuf, program);                       \
		ringbuf__submit_event(call, &ringbuf, program);       \
	}

/* Both events of a call whose exit event is the result followed by the enter event's parameters. */
#define SYSCALL_PAIR_STORE(call, store)      \
	SYSCALL_ENTER_STORE(call##_e, store) \
	SYSCALL_EXIT_STORE(call##_x, store)

/* An enter event with the call's first argument, a descriptor. */
#define SYSCALL_ENTER_FD(program)                                                      \
	SYSCALL_ENTER(program)                                                         \
	{                                                                              \
		struct ringbuf_struct ringbuf;                                         \
                                                                                       \
		if (!ringbuf__reserve_space(call, &ringbuf, program))                  \
			return;                                                        \
		/* Parameter 1: fd (type: PT_FD) */                                    \
		ringbuf__store(&ringbuf, program, fd, extract__int_argument(call, 0)); \
		ringbuf__submit_event(call, &ringbuf, program);                        \
	}

/* Records an exit event with the result and the call's first argument, a descriptor. */
#define SYSCALL_RECORD_FD(call, program)                                               \
	do {                                                                           \
		struct ringbuf_struct ringbuf;                                         \
                                                                                       \
		if (!ringbuf__reserve_space(call, &ringbuf, program))                  \
			return;                                                        \
		/* Parameter 1: res (type: PT_ERRNO) */                                \
		ringbuf__store(&ringbuf, program, res, call->ret);                     \
		/* Parameter 2: fd (type: PT_FD) */                                    \
		ringbuf__store(&ringbuf, program, fd, extract__int_argument(call, 0)); \
		ringbuf__submit_event(call, &ringbuf, program);                        \
	} while (0)

#define SYSCALL_EXIT_FD(program)                  \
	SYSCALL_EXIT(program)                     \
	{                                         \
		SYSCALL_RECORD_FD(call, program); \
	}

/* An exit event with the result and the call's first two arguments, both paths. `submit` takes call, auxmap and program. */
#define SYSCALL_EXIT_TWO_PATHS(program, first, second, submit)                                         \
	SYSCALL_EXIT(program)                                                                          \
	{                                                                                              \
		struct auxmap auxmap;                                                                  \
		const u64 first_pointer = extract__syscall_argument(call, 0);                          \
		const u64 second_pointer = extract__syscall_argument(call, 1);                         \
                                                                                                       \
		if (!auxmap__begin(call, &auxmap, program))                                            \
			return;                                                                        \
		/* Parameter 1: res (type: PT_ERRNO) */                                                \
		auxmap__store(&auxmap, program, res, call->ret);                                       \
		/* Parameter 2: (type: PT_FSPATH, PT_CHARBUF) */                                       \
		auxmap__store_charbuf(&auxmap, program, first, first_pointer, SC_MAX_PATH, SC_USER);   \
		/* Parameter 3: (type: PT_FSPATH) */                                                   \
		auxmap__store_charbuf(&auxmap, program, second, second_pointer, SC_MAX_PATH, SC_USER); \
		submit(call, &auxmap, program);                                                        \
	}
