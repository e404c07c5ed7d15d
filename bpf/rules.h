/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Rules leave out events: which calls fail, and the counters of what is left out. */
#pragma once

#include "counters.h"

/* Returns whether a result is an error. EINPROGRESS is none: the connection is under way. */
static __always_inline bool rules__is_failure(s64 ret)
{
	const s64 max_errno = 4095, einprogress = 115;

	return ret < 0 && ret >= -max_errno && ret != -einprogress;
}

/* Returns the counters of this CPU; NULL if it has no entry in `cpus`. */
static __always_inline struct sc_left_out *rules__counters(void)
{
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &cpu_id);

	return cpu ? &cpu->left_out : NULL;
}

/* Counts an event that sampling leaves out. */
static __always_inline void rules__sampled(enum sc_way way)
{
	struct sc_left_out *left_out = rules__counters();

	if (left_out)
		counter__inc(&left_out->sampled, way);
}

/* Counts the exit event of a failed call that --drop-failed leaves out. */
static __always_inline void rules__failed(enum sc_way way)
{
	struct sc_left_out *left_out = rules__counters();

	if (left_out)
		counter__inc(&left_out->failed, way);
}
