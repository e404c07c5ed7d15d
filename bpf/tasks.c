/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Lists the ids of tasks in the recorder's pid namespace and in the initial one. Events carry the latter; /proc, the
 * command line and fork use the former. Loaded on its own, and only if the two namespaces differ.
 */
#include "extract/process.h"

/* The level of the reading task's pid namespace, 0 for the initial one. Written below, read by the recorder. */
u32 sc_pidns_level = 0;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

static __always_inline void tasks__translate(struct sc_translated *translated, struct pid *pid,
					     struct pid_namespace *ns)
{
	translated->own = extract__nr_in(pid, ns);
	translated->initial = extract__nr(pid);
}

/* Called for each task in the reading task's namespace. Writes its thread id and session id. */
SEC("iter/task") int list_tasks(struct bpf_iter__task *ctx)
{
	struct pid_namespace *ns = extract__pidns(extract__pid(extract__current(), PIDTYPE_PID));
	struct task_struct *task = ctx->task;
	struct sc_translated ids[2] = {};

	sc_pidns_level = BPF_CORE_READ(ns, level);
	if (!task)
		return 0;
	tasks__translate(&ids[0], extract__pid(task, PIDTYPE_PID), ns);
	tasks__translate(&ids[1], extract__pid(task, PIDTYPE_SID), ns);
	bpf_seq_write(ctx->meta->seq, ids, sizeof(ids));
	return 0;
}
