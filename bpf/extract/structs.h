/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Structures of the caller's memory in extensions (layouts.def). */
#pragma once

#include "extract/registers.h"

/* Returns the byte that names the caller's ABI. */
static __always_inline u8 structs__abi(const struct sc_call *call)
{
#if defined(__TARGET_ARCH_x86)
	const u8 x86_64 = 0, i386 = 1;

	return call->compat ? i386 : x86_64;
#else
	const u8 arm64 = 2, arm = 3;

	return call->compat ? arm : arm64;
#endif
}
