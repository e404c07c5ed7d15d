/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Keeps the map `targets` while only targets are recorded: a child of a target is one from before it first runs, and a
 * thread that execs keeps being one when it takes over its leader's id. (sched_process_exit removes them.)
 */
#include "template/program.h"

static __always_inline void follow__add(u32 tid)
{
	u32 state = SC_TARGET_ACTIVE, cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu;

	if (!bpf_map_update_elem(&targets, &tid, &state, BPF_ANY))
		return;
	cpu = bpf_map_lookup_elem(&cpus, &cpu_id);
	if (cpu)
		counter__inc(&cpu->losses.targets_full, SC_WAY_TRACEPOINT);
}

/* Arguments: the parent, the child, which has not run yet. */
SEC("tp_btf/sched_process_fork") int follow_fork(u64 *ctx)
{
	struct task_struct *child = (struct task_struct *)SC_CONTEXT_WORD(ctx, 1);
	u32 tid = bpf_get_current_pid_tgid();
	u32 *state = bpf_map_lookup_elem(&targets, &tid);

	if (state && *state == SC_TARGET_ACTIVE)
		follow__add(child->pid);
	return 0;
}

/* Arguments: the task, the thread id that it had before exec, the program's description. */
SEC("tp_btf/sched_process_exec") int follow_exec(u64 *ctx)
{
	u32 old_tid = SC_CONTEXT_WORD(ctx, 1);
	u32 tid = bpf_get_current_pid_tgid();
	u32 *state = bpf_map_lookup_elem(&targets, &old_tid);

	if (!state)
		return 0;
	/* A held command whose execve is not itself recorded becomes active here. */
	*state = SC_TARGET_ACTIVE;
	if (old_tid != tid) {
		bpf_map_delete_elem(&targets, &old_tid);
		follow__add(tid);
	}
	return 0;
}
