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

/* Gathers up to SC_NAMES_SOME names on the way up from a group. Returns whether the walk has ended. */
__noinline u32 cgroup__climb(u32 way)
{
	struct kernfs_node *node, *parent;
	struct auxmap auxmap = {};
	struct names *names;

	if (!auxmap__find(&auxmap, way))
		return true;
	names = names__of(&auxmap);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_SOME; i++) {
		node = (void *)names->at;
		parent = cgroup__parent(node);
		if (!parent) {
			names->complete = 1;
			return true;
		}
		if (!names__add(names, BPF_CORE_READ(node, name)))
			return true;
		names->at = parent;
	}
	return false;
}

/*
 * Writes the entry of one subsystem of a css_set, given by its address, at this offset of a way's scratch area. Returns the
 * offset after it. A global function, so that the verifier checks it once.
 */
__noinline u32 cgroup__write(u64 set, u32 subsystem, u32 at, u32 way)
{
	void *slot = (void *)set + bpf_core_field_offset(struct css_set, subsys) + (u64)subsystem * sizeof(void *);
	struct cgroup_subsys_state *state = NULL;
	struct auxmap auxmap = { .way = way };
	struct kernfs_node *node;
	long n;

	if (!auxmap__find(&auxmap, way))
		return at;
	bpf_probe_read_kernel(&state, sizeof(state), slot);
	node = BPF_CORE_READ(state, cgroup, kn);
	n = bpf_probe_read_kernel_str(auxmap__at(&auxmap, at), SC_SUBSYSTEM_LEN, BPF_CORE_READ(state, ss, name));
	if (!node || n <= 0)
		return at;
	at = auxmap__forget(&auxmap, at + n);
	*auxmap__at(&auxmap, at - 1) = '=';
	names__begin(names__of(&auxmap), node);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_STEPS; i += SC_NAMES_SOME) {
		if (cgroup__climb(way))
			break;
	}
	return names__write(&auxmap, at);
}

/* Writes the entry of a subsystem by name, if the kernel has it. */
#define cgroup__write_named(auxmap, set, name, at)                                                                \
	(bpf_core_enum_value_exists(enum cgroup_subsys_id, name) ?                                                \
		 cgroup__write((u64)(set), bpf_core_enum_value(enum cgroup_subsys_id, name), at, (auxmap)->way) : \
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
