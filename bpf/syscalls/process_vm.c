/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* process_vm_readv and process_vm_writev: data between two processes' memory. */
#include "extract/data.h"
#include "template/shapes.h"

/* The data comes from the caller's own buffers, after the transfer. */
#define PROCESS_VM_EXIT(program)                                                                                   \
	SYSCALL_EXIT(program)                                                                                      \
	{                                                                                                          \
		struct auxmap auxmap;                                                                              \
		const u64 iovecs = extract__syscall_argument(call, 1), count = extract__syscall_argument(call, 2); \
                                                                                                                   \
		if (!auxmap__begin(call, &auxmap, program))                                                        \
			return;                                                                                    \
		/* Parameter 1: res (type: PT_INT64) */                                                            \
		auxmap__store(&auxmap, program, res, call->ret);                                                   \
		/* Parameter 2: pid (type: PT_PID) */                                                              \
		auxmap__store(&auxmap, program, pid, extract__int_argument(call, 0));                              \
		/* Parameter 3: data (type: PT_BYTEBUF) */                                                         \
		auxmap__store_vector(call, &auxmap, program, data, iovecs, count,                                  \
				     data__kept(data__received(call->ret)));                                       \
		auxmap__submit_event(call, &auxmap, program);                                                      \
	}

SYSCALL_ENTER_EMPTY(process_vm_readv_e)
PROCESS_VM_EXIT(process_vm_readv_x)
SYSCALL_ENTER_EMPTY(process_vm_writev_e)
PROCESS_VM_EXIT(process_vm_writev_x)

#undef PROCESS_VM_EXIT
