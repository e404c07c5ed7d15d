/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* setsockopt, getsockopt: the exit events have the same parameters, the enter events none. */
#include "extract/sockets.h"
#include "extract/sockopts.h"
#include "template/shapes.h"

#define sockopt__store_exit(call, auxmap, program, len)                                                              \
	do {                                                                                                         \
		s32 level_ = socket__int_argument(call, 1), option_ = socket__int_argument(call, 2);                 \
		u32 len_ = (len);                                                                                    \
                                                                                                                     \
		/* Parameter 1: res (type: PT_ERRNO) */                                                              \
		auxmap__store(auxmap, program, res, (call)->ret);                                                    \
		/* Parameter 2: fd (type: PT_FD) */                                                                  \
		auxmap__store(auxmap, program, fd, socket__int_argument(call, 0));                                   \
		/* Parameter 3: level (type: PT_ENUMFLAGS8) */                                                       \
		auxmap__store(auxmap, program, level, sockopt_level_to_scap(level_));                                \
		/* Parameter 4: optname (type: PT_ENUMFLAGS8) */                                                     \
		auxmap__store(auxmap, program, optname, sockopt_optname_to_scap(level_, option_));                   \
		/* Parameter 5: val (type: PT_DYN) */                                                                \
		auxmap__store_sockopt(call, auxmap, program, val, level_, option_, socket__argument(call, 3), len_); \
		/* Parameter 6: optlen (type: PT_UINT32) */                                                          \
		auxmap__store(auxmap, program, optlen, len_);                                                        \
	} while (0)

SYSCALL_ENTER_EMPTY(setsockopt_e)
SYSCALL_ENTER_EMPTY(getsockopt_e)

SYSCALL_EXIT(setsockopt_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, setsockopt_x))
		return;
	sockopt__store_exit(call, &auxmap, setsockopt_x, socket__argument(call, 4));
	auxmap__submit_event(call, &auxmap, setsockopt_x);
}

SYSCALL_EXIT(getsockopt_x)
{
	struct auxmap auxmap;
	u32 len = 0; /* as the kernel left it: the value's length if the call succeeded */

	if (!auxmap__begin(call, &auxmap, getsockopt_x))
		return;
	bpf_probe_read_user(&len, sizeof(len), (void *)socket__argument(call, 4));
	sockopt__store_exit(call, &auxmap, getsockopt_x, len);
	auxmap__submit_event(call, &auxmap, getsockopt_x);
}
