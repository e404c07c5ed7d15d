/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The new parent of an exiting thread's children, as the kernel is about to choose it. */
#pragma once

#include "extract/process.h"

enum {
	SC_THREADS_MAX = 64,   /* threads of a process to check */
	SC_ANCESTORS_MAX = 64, /* generations of parents to check */
	SC_REAPER_UNKNOWN = -1,
};

/* Returns the id of a thread of the task's process that is not exiting; 0 if there is none, -1 if unknown. */
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

/* Returns the nearest subreaper in the task's namespace, or `init` if there is none; NULL if it is too far up. */
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

/* Returns the id of the thread that inherits a task's children; 0 if it has none or they end too, -1 if unknown. */
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
