/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the verifier must see in the code that clang emits. */
#pragma once

#include "kernel_types.h"

/*
 * The words of the context are read by asm: clang folds two such reads into one from a modified context pointer, which
 * the verifier refuses.
 */
#define SC_CONTEXT_WORD(ctx, n)                                                                          \
	({                                                                                               \
		u64 word_;                                                                               \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(word_) : "r"(ctx), "i"((n) * sizeof(u64))); \
		word_;                                                                                   \
	})

/* Keeps a number below a power of two, in a way that clang cannot reason away before the verifier sees it. */
#define SC_BOUND(number, limit)                                             \
	({                                                                  \
		u64 bounded_ = (number);                                    \
		asm volatile("%0 &= %1" : "+r"(bounded_) : "i"((limit)-1)); \
		bounded_;                                                   \
	})
