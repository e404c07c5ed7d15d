/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the recorder has found out about processes: which tests of the filter are false of what a process has from its last
 * exec, clone or setsid on, such as its program and its control groups. Readers know these as of that moment, so the kernel's
 * present values would be wrong.
 */
#pragma once

#include "extract/process.h"

/* Returns what tells a process, as it is now, from what it was and will be. */
static __always_inline struct sc_verdict verdict__now(struct task_struct *task, u32 change)
{
	struct sc_verdict now = { .change = change };

	if (extract__has_task_btf()) {
		now.started = task->group_leader->start_boottime;
		now.execs = task->self_exec_id;
		now.session = task->signal->pids[PIDTYPE_SID]->numbers[0].nr;
	} else {
		now.started = BPF_CORE_READ(task, group_leader, start_boottime);
		now.execs = BPF_CORE_READ(task, self_exec_id);
		now.session = extract__nr(extract__pid(task, PIDTYPE_SID));
	}
	return now;
}

/* Returns the bits of the tests that are false of the current process. Notes a process that the recorder does not know so. */
static __always_inline u64 verdict__fails(const struct sc_sieve *sieve, struct task_struct *task, u32 change)
{
	u32 tgid = TASK_FIELD(task, tgid);
	struct sc_verdict now = verdict__now(task, change);
	struct sc_verdict *known = bpf_map_lookup_elem(&verdicts, &tgid);

	if (known && known->started == now.started && known->execs == now.execs && known->session == now.session &&
	    known->change == now.change)
		return known->fails;
	now.seen = sc_settings.boot_time + bpf_ktime_get_boot_ns();
	bpf_map_update_elem(&verdicts, &tgid, &now, BPF_ANY);
	return sieve->none;
}
