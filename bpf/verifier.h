/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Macros that keep clang's code acceptable to the verifier. */
#pragma once

#include "kernel_types.h"

/*
 * Reads a word of the context, in asm: clang would merge two plain reads into one through a modified context pointer,
 * which the verifier rejects.
 */
#define SC_CONTEXT_WORD(ctx, n)                                                                          \
	({                                                                                               \
		u64 word_;                                                                               \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(word_) : "r"(ctx), "i"((n) * sizeof(u64))); \
		word_;                                                                                   \
	})

/* Masks a number to below `limit`, a power of two, in asm, so that clang cannot optimize the mask away. */
#define SC_BOUND(number, limit)                                                \
	({                                                                     \
		u64 bounded_ = (number);                                       \
		asm volatile("%0 &= %1" : "+r"(bounded_) : "i"(-1 + (limit))); \
		bounded_;                                                      \
	})
