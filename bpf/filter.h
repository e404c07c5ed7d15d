/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whose events are recorded. */
#pragma once

#include "counters.h"

/* Whether the current task is one to be recorded. */
static __always_inline bool filter__is_target(bool is_exec)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tid = pid_tgid;
	u32 *state;

	if (pid_tgid >> 32 == sc_settings.skip_tgid && sc_settings.skip_tgid) /* the idle tasks have 0 */
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

/* Whether a tracepoint event of the current task is to be recorded. */
static __always_inline bool tracepoint__wanted(enum sc_tracepoint which)
{
	return sc_settings.active && (sc_settings.tracepoints & which) && filter__is_target(false);
}

/* The same for an event that also stands for the exit of a system call. */
static __always_inline bool tracepoint__wanted_for(enum sc_tracepoint which, u32 slot)
{
	bool wanted = sc_settings.wanted[slot] & SC_WANT_EXIT || sc_settings.tracepoints & which;

	return sc_settings.active && wanted && filter__is_target(false);
}
