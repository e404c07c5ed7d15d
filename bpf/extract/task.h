/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The current task and its fields. */
#pragma once

#include "kernel_types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

enum {
	SC_PF_EXITING = 0x4, /* set before the event of a thread's end */
};

/* bpf_get_current_task_btf (5.11) returns a pointer whose fields need no helper call to read. */
static __always_inline bool extract__has_task_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

/* Reads a field of the current task; `task` is extract__typed_current(), called once for several fields. */
#define TASK_FIELD(task, field) (extract__has_task_btf() ? (task)->field : BPF_CORE_READ((task), field))

static __always_inline struct task_struct *extract__typed_current(void)
{
	if (extract__has_task_btf())
		return (struct task_struct *)bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline struct task_struct *extract__current(void)
{
	return (struct task_struct *)bpf_get_current_task();
}
