/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Every map and global: what it holds, who writes it and who reads it. */
#pragma once

#include "capture.h"

#include <bpf/bpf_helpers.h>

/* Written by the recorder before loading, read by the programs. */
const volatile struct sc_constants sc_constants = {};
const volatile struct sc_routes sc_routes = {};

/* Written by the recorder at any time (mapped memory), read by the programs. */
struct sc_settings sc_settings = {};

/* Written by the programs on CPUs without an entry in `cpus`, read by the recorder. */
struct sc_elsewhere sc_elsewhere = {};

/* Written and read by the dispatchers. */
struct sc_sampling sc_sampling = {};

/*
 * The programs of the exit and the enter events by slot: filled by the recorder from the event table, read by the
 * dispatchers. Two maps, as from 6.12 on one cannot hold programs of both tracepoints.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SC_SLOTS);
	__type(key, u32);
	__type(value, u32);
} enter_programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SC_SLOTS);
	__type(key, u32);
	__type(value, u32);
} exit_programs SEC(".maps");

/*
 * The ring of each possible CPU: events on their way to the recorder. A ring may stand at several CPUs, to stay within a
 * memory budget; those that are offline share one. Written by the programs of its CPUs, read by the recorder. Its size and number are set before loading.
 */
struct sc_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1); /* the number of possible CPUs */
	__type(key, u32);
	__array(values, struct sc_ring);
} rings SEC(".maps");

/*
 * Where events that build state go when the ring of their CPU is full of others. Written by the programs of all CPUs,
 * read by the recorder. Its size is set before loading.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} reserve SEC(".maps");

/*
 * Counters and scratch areas of each CPU that is there, and of those that may come as long as they are not too many: written by its programs, read by the recorder in mapped
 * memory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the number of CPUs */
	__type(key, u32);
	__type(value, struct sc_cpu);
} cpus SEC(".maps");

/*
 * The tasks that are recorded when settings.targets_only is set, by thread id. The recorder adds the first ones, the
 * programs on fork, exec and exit keep it; the dispatchers read it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u32);
	__type(value, u32); /* enum sc_target */
} targets SEC(".maps");

/*
 * Has an entry while sampling leaves events out. Of all CPUs the one that adds it, and the one that removes it, marks that
 * in the capture, so that there is one mark. Written by the dispatchers.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} sampling_mark SEC(".maps");

/*
 * The threads that are in a call whose entry was recorded while sampling: its return is recorded too. Written and read by
 * the programs; emptied by the recorder when sampling begins. A call that finds it full is left out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SC_SAMPLED_CALLS);
	__type(key, u32);
	__type(value, u32);
} sampled_calls SEC(".maps");
