/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The numbers of system calls on this architecture, from the one table: SC_NR_<name>; -1 if it has no such call. */
#pragma once

#if defined(__TARGET_ARCH_x86)
#define SYSCALL(name, code, sampling, x86_64, i386, arm64) SC_NR_##name = x86_64,
#else
#define SYSCALL(name, code, sampling, x86_64, i386, arm64) SC_NR_##name = arm64,
#endif
#define COMPAT_I386(...)
#define COMPAT_ONLY(...)
#define SOCKETCALL(...)
#define FUNCTION(...)
#define NONE -1
enum {
#include "syscalls.def"
};
#undef NONE
#undef COMPAT_I386
#undef COMPAT_ONLY
#undef SOCKETCALL
#undef FUNCTION
#undef SYSCALL
