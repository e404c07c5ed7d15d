/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The parameters common to the exit events of exec and clone. */
#pragma once

#include "extract/arguments.h"
#include "extract/cgroups.h"
#include "extract/process.h"

enum {
	SC_COMM_LEN = 16,
};

/* Asserts that a parameter has the same index in two rows: the code below stores it for both. */
#define SC_SAME_PLACE(program, other, param)                               \
	_Static_assert(SC_INDEX(program, param) == SC_INDEX(other, param), \
		       "the rows of " #other " and " #program " differ")

SC_SAME_PLACE(execve_x, execveat_x, gid);
SC_SAME_PLACE(execve_x, clone_x, tid);
SC_SAME_PLACE(execve_x, clone_x, cgroups);
SC_SAME_PLACE(clone_x, clone3_x, pidns_init_start_ts);
SC_SAME_PLACE(clone_x, fork_x, pidns_init_start_ts);
SC_SAME_PLACE(clone_x, vfork_x, pidns_init_start_ts);

/* Stores parameters 4 to 15, tid to cgroups. */
static __always_inline void process__store(struct auxmap *auxmap, struct task_struct *task, struct mm_struct *mm)
{
	/* Parameter 4: tid (type: PT_PID) */
	auxmap__store(auxmap, execve_x, tid, BPF_CORE_READ(task, pid));
	/* Parameter 5: pid (type: PT_PID) */
	auxmap__store(auxmap, execve_x, pid, BPF_CORE_READ(task, tgid));
	/* Parameter 6: ptid (type: PT_PID) */
	auxmap__store(auxmap, execve_x, ptid, BPF_CORE_READ(task, real_parent, pid));
	/* Parameter 7: cwd (type: PT_CHARBUF): readers take it from the parent or the snapshot of /proc */
	auxmap__store_empty(auxmap, execve_x, cwd);
	/* Parameter 8: fdlimit (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, fdlimit, extract__fdlimit(task));
	/* Parameter 9: pgft_maj (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, pgft_maj, BPF_CORE_READ(task, maj_flt));
	/* Parameter 10: pgft_min (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, pgft_min, BPF_CORE_READ(task, min_flt));
	/* Parameter 11: vm_size (type: PT_UINT32) */
	auxmap__store(auxmap, execve_x, vm_size, extract__vm_size(mm));
	/* Parameter 12: vm_rss (type: PT_UINT32) */
	auxmap__store(auxmap, execve_x, vm_rss, extract__vm_rss(mm));
	/* Parameter 13: vm_swap (type: PT_UINT32) */
	auxmap__store(auxmap, execve_x, vm_swap, extract__vm_swap(mm));
	/* Parameter 14: comm (type: PT_CHARBUF) */
	auxmap__store_charbuf(auxmap, execve_x, comm, (void *)task + bpf_core_field_offset(task->comm), SC_COMM_LEN,
			      SC_KERNEL);
	/* Parameter 15: cgroups (type: PT_BYTEBUF) */
	auxmap__store_cgroups(auxmap, execve_x, cgroups, task);
	auxmap__settle(auxmap);
}
