/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which tasks' events are recorded. */
#pragma once

#include "counters.h"
#include "extract/task.h"
#include "rules.h"

/* Returns whether the current task is recorded; `task` is extract__typed_current(). */
static __always_inline bool filter__is_target(struct task_struct *task, bool is_exec)
{
	u32 tid, *state;

	if ((u32)TASK_FIELD(task, tgid) == sc_settings.skip_tgid)
		return false;
	if (!sc_settings.targets_only)
		return true;
	tid = TASK_FIELD(task, pid);
	state = bpf_map_lookup_elem(&targets, &tid);
	if (!state)
		return false;
	if (*state == SC_TARGET_AT_EXEC) {
		if (!is_exec)
			return false;
		*state = SC_TARGET_ACTIVE;
	}
	return true;
}

/* Returns whether to record a tracepoint event of the current task. */
static __always_inline bool tracepoint__wanted(enum sc_tracepoint which)
{
	u32 tracepoints = sc_settings.tracepoints;

	if (!sc_settings.active || !(tracepoints & which) || !filter__is_target(extract__typed_current(), false))
		return false;
	if (tracepoints & SC_TP_LEFT_OUT & which << 8) {
		rules__sampled(SC_WAY_TRACEPOINT);
		return false;
	}
	return true;
}

/* The same for an event that also serves as a system call's exit event. */
static __always_inline bool tracepoint__wanted_for(enum sc_tracepoint which, u32 slot)
{
	bool wanted = sc_settings.wanted[slot] & SC_WANT_EXIT || sc_settings.tracepoints & which;

	return sc_settings.active && wanted && filter__is_target(extract__typed_current(), false);
}
