/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A program's arguments and environment: from the memory of the process or, if exec failed, from the system call's
 * arguments.
 */
#pragma once

#include "template/auxmap.h"

enum {
	SC_MAX_ARGUMENTS = 4096, /* bytes of argv to keep; the same for the environment */
	SC_MAX_POINTERS = 128,   /* strings of an argv or envp to read */
};

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
 * Writes the strings of a NULL-terminated array of pointers at the tail, from element `first` on, cut to `limit` bytes.
 * Returns their length. The last byte is NUL.
 */
static __always_inline u16 arguments__read_array(struct auxmap *auxmap, u64 array, bool compat, u32 first, u32 limit)
{
	u32 at = auxmap->pos, length;

#pragma clang loop unroll(disable)
	for (u32 i = first; array && i < SC_MAX_POINTERS; i++) {
		u64 pointer = arguments__pointer(array, i, compat);
		long n;

		if (!pointer)
			break;
		n = auxmap__copy_user_string(auxmap__at(auxmap, at), SC_MAX_ARGUMENTS, (const void *)pointer);
		if (n > 0)
			at = auxmap__forget(auxmap, at + n);
		if (at - auxmap->pos >= limit)
			break;
	}
	length = auxmap__forget(auxmap, at - auxmap->pos);
	if (length > limit)
		length = limit;
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
#define auxmap__store_argv(auxmap, program, argv, compat)                                            \
	do {                                                                                         \
		u16 exe_ = arguments__read_exe(auxmap, argv, compat);                                \
		auxmap__push(auxmap, SC_INDEX(program, exe), exe_);                                  \
		auxmap__push(auxmap, SC_INDEX(program, args),                                        \
			     arguments__read_array(auxmap, argv, compat, 1, arguments__left(exe_))); \
	} while (0)
