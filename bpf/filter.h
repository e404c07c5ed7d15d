/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which tasks' events are recorded. */
#pragma once

#include "counters.h"
#include "extract/task.h"
#include "rules.h"

/* Returns whether a task is recorded. */
static __always_inline bool filter__has_target(u32 tgid, u32 tid, bool is_exec)
{
	u32 *state;

	if (tgid == sc_settings.skip_tgid)
		return false;
	if (!sc_settings.targets_only)
		return true;
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

/* Returns whether the current task is recorded; `task` is extract__typed_current(). */
static __always_inline bool filter__is_target(struct task_struct *task, bool is_exec)
{
	return filter__has_target(TASK_FIELD(task, tgid), TASK_FIELD(task, pid), is_exec);
}

/* Returns whether a tracepoint's events are recorded at all. */
static __always_inline bool tracepoint__enabled(enum sc_tracepoint which)
{
	return sc_settings.active && sc_settings.tracepoints & which;
}

/* Returns whether to record an event of an enabled tracepoint; `is_target`: whether its task is recorded. */
static __always_inline bool tracepoint__admits(enum sc_tracepoint which, bool is_target)
{
	if (!is_target)
		return false;
	if (sc_settings.tracepoints & SC_TP_LEFT_OUT & which << 8) {
		rules__sampled(SC_WAY_TRACEPOINT);
		return false;
	}
	return true;
}

/* Returns whether to record a tracepoint event of the current task. */
static __always_inline bool tracepoint__wanted(enum sc_tracepoint which)
{
	return tracepoint__enabled(which) &&
	       tracepoint__admits(which, filter__is_target(extract__typed_current(), false));
}

/* The same for an event that also serves as a system call's exit event. */
static __always_inline bool tracepoint__wanted_for(enum sc_tracepoint which, u32 slot)
{
	bool wanted = sc_settings.wanted[slot] & SC_WANT_EXIT || sc_settings.tracepoints & which;

	return sc_settings.active && wanted && filter__is_target(extract__typed_current(), false);
}
