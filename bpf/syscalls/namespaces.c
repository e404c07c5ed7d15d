/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* setns, unshare. */
#include "extract/flags.h"
#include "template/shapes.h"

#define namespaces__store_joined(call, ringbuf, program)                                                           \
	do {                                                                                                       \
		/* Parameter 1 (2 of the exit event): fd (type: PT_FD) */                                          \
		ringbuf__store(ringbuf, program, fd, extract__int_argument(call, 0));                              \
		/* Parameter 2 (3): nstype (type: PT_FLAGS32) */                                                   \
		ringbuf__store(ringbuf, program, nstype, clone_flags_to_scap(extract__syscall_argument(call, 1))); \
	} while (0)

#define namespaces__store_unshared(call, ringbuf, program)                \
	/* Parameter 1 (2 of the exit event): flags (type: PT_FLAGS32) */ \
	ringbuf__store(ringbuf, program, flags, clone_flags_to_scap(extract__syscall_argument(call, 0)))

SYSCALL_PAIR_STORE(setns, namespaces__store_joined)
SYSCALL_PAIR_STORE(unshare, namespaces__store_unshared)
