/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Keeps the map `targets` up to date while only targets are recorded: adds a target's child before it first runs, and
 * keeps a thread whose exec takes over its leader's id. (sched_process_exit removes threads.)
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

/* Arguments: the parent; the child, which has not run yet. */
SEC("tp_btf/sched_process_fork") int follow_fork(u64 *ctx)
{
	struct task_struct *child = (struct task_struct *)SC_CONTEXT_WORD(ctx, 1);
	u32 tid = bpf_get_current_pid_tgid();
	u32 *state = bpf_map_lookup_elem(&targets, &tid);

	if (state && *state == SC_TARGET_ACTIVE)
		follow__add(child->pid);
	return 0;
}

/* Arguments: the task, its thread id before exec, the struct linux_binprm. */
SEC("tp_btf/sched_process_exec") int follow_exec(u64 *ctx)
{
	u32 old_tid = SC_CONTEXT_WORD(ctx, 1);
	u32 tid = bpf_get_current_pid_tgid();
	u32 *state = bpf_map_lookup_elem(&targets, &old_tid);

	if (!state)
		return 0;
	/* A held command becomes active here if its execve is not recorded. */
	*state = SC_TARGET_ACTIVE;
	if (old_tid != tid) {
		bpf_map_delete_elem(&targets, &old_tid);
		follow__add(tid);
	}
	return 0;
}
