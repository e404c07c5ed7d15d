/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* All maps and most globals: contents, writers, readers. */
#pragma once

#include "capture.h"

#include <bpf/bpf_helpers.h>

/* Written by the recorder before loading, read by the programs. */
const volatile struct sc_constants sc_constants = {};
const volatile struct sc_routes sc_routes = {};
const volatile struct sc_calls sc_calls = {};

/* Written by the recorder at any time (mapped memory), read by the programs. */
struct sc_settings sc_settings = {};

/* Written by programs on CPUs without an entry in `cpus`, read by the recorder. */
struct sc_elsewhere sc_elsewhere = {};

/* Written and read by the rules programs (rules.c). */
struct sc_sampling sc_sampling = {};

/*
 * The programs of enter and exit events, by slot. The recorder fills them from the event table, the dispatchers read
 * them. Two maps, because from 6.12 on one map cannot hold programs of both tracepoints.
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
 * The ring of each possible CPU: events on their way to the recorder. CPUs may share a ring, to stay within a memory
 * budget; all offline CPUs share one. Written by the programs on its CPUs, read by the recorder. The recorder sets size
 * and number before loading.
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
 * The ring for events that build state when their CPU's ring is full. Written by the programs on all CPUs, read by the
 * recorder, which sets its size before loading.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} reserve SEC(".maps");

/*
 * Counters and scratch areas of each present CPU, and of possible ones as far as the memory budget allows. Written by
 * the programs on that CPU, read by the recorder in mapped memory.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the number of CPUs */
	__type(key, u32);
	__type(value, struct sc_cpu);
} cpus SEC(".maps");

/*
 * The tasks to record if sc_settings.targets_only is set, by thread id. The recorder adds the first ones, the programs
 * on fork, exec and exit keep the map up to date; filter.h reads it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before loading */
	__type(key, u32);
	__type(value, u32); /* enum sc_target */
} targets SEC(".maps");

/*
 * Has an entry while sampling leaves events out. Only the CPU that adds or removes the entry writes the mark, so the
 * capture has one mark for all CPUs. Written by the rules programs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} sampling_mark SEC(".maps");

/*
 * Threads inside a call whose enter event was recorded while sampling, so that its exit event is recorded too. Written
 * and read by the rules programs; the recorder empties it when sampling starts. A call that finds it full is left out.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SC_SAMPLED_CALLS);
	__type(key, u32);
	__type(value, u32);
} sampled_calls SEC(".maps");

/*
 * When threads entered the calls that they are in, in ns, if a test takes the time of a call. Written by the dispatcher of
 * entries, read by those that judge returns. An entry that is old or missing makes no call shorter than it is: then the test
 * is true, and the recorder decides.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SC_TIMED_CALLS);
	__type(key, u32);
	__type(value, u64);
} timed_calls SEC(".maps");

/*
 * What the recorder has found out about processes, by their ids, if the filter has tests of that. The dispatchers add a
 * process as they find it; the recorder adds what is false of it, if it still is so. Where an entry is missing or is of an
 * earlier time, the tests are true, and the recorder decides.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SC_VERDICTS);
	__type(key, u32);
	__type(value, struct sc_verdict);
} verdicts SEC(".maps");

/*
 * The texts that arguments are compared with, as long as they are in one of the two sieves. The value has a bit for each test
 * that a text which begins so passes. Written by the recorder before the sieve, read by sift.c.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SC_TEXTS);
	__type(key, struct sc_text);
	__type(value, u32);
} texts SEC(".maps");

/*
 * The interpreters of programs that are being executed, by thread id: from sched_process_exec, which knows them, to the exit
 * event of the call, a moment later. Written by note_interpreter, read and emptied by execve_x. If it is full, an event has
 * no interpreter.
 */
struct sc_interpreter {
	char path[256]; /* a NUL-terminated string: the kernel takes no longer one from a script */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct sc_interpreter);
} interpreters SEC(".maps");
