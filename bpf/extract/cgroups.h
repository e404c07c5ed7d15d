/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The cgroups of a task: `subsystem=path` and a NUL for each of five subsystems. */
#pragma once

#include "extract/names.h"

enum {
	SC_SUBSYSTEM_LEN = 32, /* a subsystem's name with its NUL: MAX_CGROUP_TYPE_NAMELEN */
};

static __always_inline struct kernfs_node *cgroup__parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->parent))
		return BPF_CORE_READ(node, parent);
	return BPF_CORE_READ((struct kernfs_node___6_15 *)node, __parent);
}

/* Writes the entry of one subsystem at `at`. Returns the offset after it. */
static __always_inline u32 cgroup__write(struct auxmap *auxmap, struct css_set *set, u32 subsystem, u32 at)
{
	void *slot = (void *)set + bpf_core_field_offset(struct css_set, subsys) + (u64)subsystem * sizeof(void *);
	struct cgroup_subsys_state *state = NULL;
	struct kernfs_node *node, *parent;
	long n;

	bpf_probe_read_kernel(&state, sizeof(state), slot);
	node = BPF_CORE_READ(state, cgroup, kn);
	n = bpf_probe_read_kernel_str(auxmap__at(auxmap, at), SC_SUBSYSTEM_LEN, BPF_CORE_READ(state, ss, name));
	if (!node || n <= 0)
		return at;
	at = auxmap__forget(auxmap, at + n);
	*auxmap__at(auxmap, at - 1) = '=';
	names__begin(auxmap);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_STEPS; i++) {
		parent = cgroup__parent(node);
		if (!parent) {
			names__reach_root(auxmap);
			break;
		}
		if (!names__add(auxmap, BPF_CORE_READ(node, name)))
			break;
		node = parent;
	}
	return names__write(auxmap, at);
}

/* Writes the entry of a subsystem by name, if the kernel has it. */
#define cgroup__write_named(auxmap, set, name, at)                                                  \
	(bpf_core_enum_value_exists(enum cgroup_subsys_id, name) ?                                  \
		 cgroup__write(auxmap, set, bpf_core_enum_value(enum cgroup_subsys_id, name), at) : \
		 (at))

/* Writes the cgroups of a task at the tail, in the format's order. Returns their length. */
static __always_inline u16 auxmap__read_cgroups(struct auxmap *auxmap, struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	u32 at = auxmap->pos;

	at = cgroup__write_named(auxmap, set, cpuset_cgrp_id, at);
	at = cgroup__write_named(auxmap, set, cpu_cgrp_id, at);
	at = cgroup__write_named(auxmap, set, cpuacct_cgrp_id, at);
	at = cgroup__write_named(auxmap, set, io_cgrp_id, at);
	at = cgroup__write_named(auxmap, set, memory_cgrp_id, at);
	return at - auxmap->pos;
}

#define auxmap__store_cgroups(auxmap, program, param, task)                                         \
	do {                                                                                        \
		SC_REQUIRE(SC_IS_BYTEBUF(program, param), "not bytes in its row of events.def");    \
		auxmap__push(auxmap, SC_INDEX(program, param), auxmap__read_cgroups(auxmap, task)); \
	} while (0)
