/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A program's arguments and environment: from the memory of the process or, if exec failed, from the system call's
 * arguments.
 */
#pragma once

#include "template/auxmap.h"

enum {
	SC_MAX_ARGUMENTS = 4096, /* bytes of argv to keep; the same for the environment */
	SC_MAX_POINTERS = 1024,  /* strings of an argv or envp to read */
	SC_POINTERS_STEP = 32,   /* strings to read at a time */
	/* Where a failed exec notes what the event cuts: in the temporary room, behind the names. */
	SC_ARGUMENTS_NOTE = SC_SCRATCH_ROOM + 640,
};

/* The bits that are added to an offset if there are more strings than are read, and if none is to be read any more. */
#define SC_MORE_ARGUMENTS (1u << 20)
#define SC_LAST_ARGUMENT (1u << 21)

/* Returns the note of a failed exec: bits of exec_cut. */
static __always_inline volatile u32 *arguments__note(struct auxmap *auxmap)
{
	return (volatile u32 *)(auxmap->data + SC_ARGUMENTS_NOTE);
}

/*
 * Writes the strings between two user addresses at the tail, cut to `limit` bytes. Returns their length. The last byte
 * is NUL.
 */
static __always_inline u16 arguments__read_block(struct auxmap *auxmap, u64 start, u64 end, u64 limit)
{
	u64 length = end > start ? end - start : 0;
	u16 read;

	if (length > limit)
		length = limit;
	read = auxmap__forget(auxmap, auxmap__read_bytes(auxmap, (const void *)start, length, SC_USER));
	if (read)
		*auxmap__at(auxmap, auxmap->pos + read - 1) = 0;
	return read;
}

/* Returns element i of a pointer array, 0 if it cannot be read. No branch: the verifier would follow both sides. */
static __always_inline u64 arguments__pointer(u64 array, u32 i, bool compat)
{
	u32 size = SC_BOUND(sizeof(u64) >> compat, 16);
	u64 pointer[2] = {};

	bpf_probe_read_user(pointer, size, (const void *)(array + i * size));
	return pointer[0];
}

/*
 * Copies a string from user memory with its NUL. Returns its length with the NUL, 0 if it cannot be read. No branch: the
 * verifier would follow each side in every iteration.
 */
static __always_inline u64 arguments__copy(u8 *to, u64 pointer)
{
	s64 n, is_negative, is_some;

	*to = 0;
	n = bpf_probe_read_user_str(to, SC_SCRATCH_HALF - 1, (const void *)pointer);
	asm volatile("" : "+r"(n));
	is_negative = n >> 63;
	is_some = (n | -n) >> 63;
	/* Older kernels return 0 for an empty string. */
	n = (n & ~is_negative) + 1 + is_some;
	asm volatile("" : "+r"(n));
	return n;
}

/*
 * Writes up to SC_POINTERS_STEP strings of a NULL-terminated array of pointers at this offset of the area of exit programs.
 * Returns the offset after them, or after the one that reaches `end`, then with SC_MORE_ARGUMENTS; with SC_LAST_ARGUMENT if
 * there are no more. Global functions, here and below, so that the verifier checks each loop once.
 */
__noinline u32 arguments__read_some(u64 array, u32 compat, u32 at, u32 end)
{
	struct auxmap auxmap = {};

	if (!auxmap__find(&auxmap, SC_WAY_EXIT))
		return at | SC_LAST_ARGUMENT;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_POINTERS_STEP; i++) {
		u64 pointer = arguments__pointer(array, i, compat != 0);

		if (!pointer)
			return at | SC_LAST_ARGUMENT;
		if (at >= end)
			return at | SC_LAST_ARGUMENT | SC_MORE_ARGUMENTS;
		at = auxmap__forget(&auxmap, at + arguments__copy(auxmap__at(&auxmap, at), pointer));
	}
	return at;
}

/*
 * Writes the strings of a NULL-terminated array of pointers at this offset of the area of exit programs. Returns the offset
 * after them, or after the one that exceeds `limit` bytes; with SC_MORE_ARGUMENTS if there are more.
 */
__noinline u32 arguments__read_all(u64 array, u32 compat, u32 at, u32 limit)
{
	u32 end = at + limit;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_MAX_POINTERS; i += SC_POINTERS_STEP) {
		at = arguments__read_some(array + i * (sizeof(u64) >> (compat != 0)), compat, at, end);
		if (at & SC_LAST_ARGUMENT)
			return at & ~SC_LAST_ARGUMENT;
	}
	return arguments__pointer(array, SC_MAX_POINTERS, compat != 0) ? at | SC_MORE_ARGUMENTS : at;
}

/*
 * Writes the strings of a NULL-terminated array of pointers at the tail, cut to `limit` bytes. Returns their length. The last
 * byte is NUL. Adds `remark` to `cut` if there are more.
 */
static __always_inline u16 arguments__read_array(struct auxmap *auxmap, u64 array, bool compat, u32 limit,
						 volatile u32 *cut, u32 remark)
{
	u32 end = array ? arguments__read_all(array, compat, auxmap->pos, limit) : auxmap->pos;
	u32 length = (end & ~SC_MORE_ARGUMENTS) - auxmap->pos;

	if (end & SC_MORE_ARGUMENTS || length > limit)
		*cut |= remark;
	length = auxmap__forget(auxmap, length < limit ? length : limit);
	if (length)
		*auxmap__at(auxmap, auxmap->pos + length - 1) = 0;
	return length;
}

/* Writes the first string of an argv at the tail, an empty one without an argv. Returns its length. */
static __always_inline u16 arguments__read_exe(struct auxmap *auxmap, u64 argv, bool compat)
{
	u16 length = 1;

	if (argv)
		length = auxmap__read_string(auxmap, (const void *)arguments__pointer(argv, 0, compat),
					     SC_MAX_ARGUMENTS, SC_USER);
	else
		*auxmap__tail(auxmap) = 0;
	return auxmap__forget(auxmap, length);
}

/* Returns how many bytes remain for args: exe and args share one limit. */
static __always_inline u32 arguments__left(u16 exe_length)
{
	return exe_length < SC_MAX_ARGUMENTS ? SC_MAX_ARGUMENTS - exe_length : 0;
}

/* Returns how many bytes an extension keeps of argv, or of envp: what the limit allows and the record has room for. */
static __always_inline u32 arguments__room(const struct auxmap *auxmap)
{
	const u32 end = SC_CPU_LEN + SC_MAX_EVENT - sizeof(u8); /* exec_cut comes last */
	u32 room = auxmap->pos < end ? end - auxmap->pos : 0;

	return sc_constants.args_limit < room ? sc_constants.args_limit : room;
}

/*
 * Writes a program's strings at the tail if the event cuts them: if they are longer than SC_MAX_ARGUMENTS. Returns their
 * length; adds `remark` to `cut` if not all of them are there.
 */
static __always_inline u16 arguments__read_long_block(struct auxmap *auxmap, u64 start, u64 end, volatile u32 *cut,
						      u32 remark)
{
	u64 length = end > start ? end - start : 0;
	u16 read;

	if (length <= SC_MAX_ARGUMENTS)
		return 0;
	read = arguments__read_block(auxmap, start, end, arguments__room(auxmap));
	if (read < length)
		*cut |= remark;
	return read;
}

/* The same for the array of a failed call; `is_long` says that the event cuts it. */
static __always_inline u16 arguments__read_long_array(struct auxmap *auxmap, u64 array, bool compat, bool is_long,
						      volatile u32 *cut, u32 remark)
{
	return is_long ? arguments__read_array(auxmap, array, compat, arguments__room(auxmap), cut, remark) : 0;
}

/* Stores the parameters exe and args from a process's memory. */
#define auxmap__store_arguments(auxmap, program, mm)                                                     \
	do {                                                                                             \
		u64 start_ = BPF_CORE_READ(mm, arg_start), end_ = BPF_CORE_READ(mm, arg_end);            \
		u16 exe_ = auxmap__read_string(auxmap, (const void *)start_, SC_MAX_ARGUMENTS, SC_USER); \
		auxmap__push(auxmap, SC_INDEX(program, exe), exe_);                                      \
		auxmap__push(auxmap, SC_INDEX(program, args),                                            \
			     arguments__read_block(auxmap, start_ + exe_, end_, arguments__left(exe_))); \
	} while (0)

/* Stores the parameters exe and args of a failed exec. */
#define auxmap__store_argv(auxmap, program, argv, compat)                                                 \
	do {                                                                                              \
		u64 rest_ = arguments__pointer(argv, 0, compat) ? (argv) + (sizeof(u64) >> (compat)) : 0; \
		u16 exe_ = arguments__read_exe(auxmap, argv, compat);                                     \
		auxmap__push(auxmap, SC_INDEX(program, exe), exe_);                                       \
		auxmap__push(auxmap, SC_INDEX(program, args),                                             \
			     arguments__read_array(auxmap, rest_, compat, arguments__left(exe_),          \
						   arguments__note(auxmap), PPM_exec_cut__ARGV_CUT));     \
	} while (0)
