/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who gets the children of a thread that ends: what the kernel is about to decide. */
#pragma once

#include "extract/process.h"

enum {
	SC_PF_EXITING = 0x4,
	SC_THREADS_MAX = 64,   /* how many threads of a process are looked at */
	SC_ANCESTORS_MAX = 64, /* how many generations of parents are looked at */
	SC_REAPER_UNKNOWN = -1,
};

/* A thread of the task's process that is not about to end: its id. 0 if there is none. */
static __always_inline s64 reaper__in_process(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	void *head = (void *)signal + bpf_core_field_offset(signal->thread_head);
	void *node = BPF_CORE_READ(signal, thread_head.next);
	struct task_struct *thread;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_THREADS_MAX; i++) {
		if (node == head)
			return 0;
		thread = node - bpf_core_field_offset(struct task_struct, thread_node);
		if (!(BPF_CORE_READ(thread, flags) & SC_PF_EXITING))
			return BPF_CORE_READ(thread, pid);
		node = BPF_CORE_READ(thread, thread_node.next);
	}
	return SC_REAPER_UNKNOWN;
}

/* The nearest ancestor in the task's name space that takes orphans: `init`, unless one asked for it. NULL: too far. */
static __always_inline struct task_struct *reaper__ancestor(struct task_struct *task, struct task_struct *init)
{
	u32 level = BPF_CORE_READ(task, thread_pid, level);
	int init_tgid = BPF_CORE_READ(init, tgid), tgid;
	struct task_struct *ancestor = BPF_CORE_READ(task, real_parent);
	struct signal_struct *signal;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_ANCESTORS_MAX; i++) {
		tgid = BPF_CORE_READ(ancestor, tgid);
		if (!tgid || tgid == init_tgid || BPF_CORE_READ(ancestor, thread_pid, level) != level)
			return init;
		signal = BPF_CORE_READ(ancestor, signal);
		if (BPF_CORE_READ_BITFIELD_PROBED(signal, is_child_subreaper))
			return ancestor;
		ancestor = BPF_CORE_READ(ancestor, real_parent);
	}
	return NULL;
}

/* The id of the thread that gets the children of `task`; 0 if it has none, or they end with it; -1 if not found out. */
static __always_inline s64 extract__reaper(struct task_struct *task)
{
	void *children = (void *)task + bpf_core_field_offset(task->children);
	struct pid_namespace *ns = extract__pidns(BPF_CORE_READ(task, thread_pid));
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct task_struct *init = BPF_CORE_READ(ns, child_reaper), *ancestor = init;
	s64 thread;

	if (BPF_CORE_READ(task, children.next) == children)
		return 0;
	thread = reaper__in_process(task);
	if (thread)
		return thread;
	if (init == task)
		return 0;
	if (BPF_CORE_READ_BITFIELD_PROBED(signal, has_child_subreaper))
		ancestor = reaper__ancestor(task, init);
	if (ancestor == init)
		return BPF_CORE_READ(init, pid);
	thread = ancestor ? reaper__in_process(ancestor) : 0;
	return thread ? thread : SC_REAPER_UNKNOWN;
}
