/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Per-CPU counters. */
#pragma once

#include "maps.h"

/* Returns whether another task can preempt a program of this way on this CPU. */
static __always_inline bool way__is_preemptible(enum sc_way way)
{
	return way == SC_WAY_TRACEPOINT ? sc_constants.tracepoints_preemptible : sc_constants.preemptible;
}

/* Increments a counter; atomically only where programs can be preempted. */
static __always_inline void counter__inc(u64 *counter, enum sc_way way)
{
	if (way__is_preemptible(way))
		__sync_fetch_and_add(counter, 1);
	else
		*(volatile u64 *)counter += 1;
}

/* Takes back what was counted in this run. */
static __always_inline void counter__dec(u64 *counter, enum sc_way way)
{
	if (way__is_preemptible(way))
		__sync_fetch_and_add(counter, -1);
	else
		*(volatile u64 *)counter -= 1;
}

/*
 * Marks the start of a run. Returns whether another run of this way is in progress. The oldest kernels have no atomic
 * fetch-and-add, so the sum is read after the addition: of two runs that start together, at least one sees the other.
 */
static __always_inline bool running__inc(u64 *running, enum sc_way way)
{
	if (!way__is_preemptible(way))
		return (*running)++ != 0;
	__sync_fetch_and_add(running, 1);
	return *(volatile u64 *)running != 1;
}

/* Marks the end of a run. */
static __always_inline void running__dec(u64 *running, enum sc_way way)
{
	if (way__is_preemptible(way))
		__sync_fetch_and_add(running, -1);
	else
		*running -= 1;
}

/* Counts an event lost because its CPU has no entry in `cpus`. */
static __always_inline void counter__inc_elsewhere(void)
{
	__sync_fetch_and_add(&sc_elsewhere.lost, 1);
}
