/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Counting, per CPU. */
#pragma once

#include "maps.h"

/* Whether another task's program may run on this CPU in the middle of a program of this way. */
static __always_inline bool way__is_preemptible(enum sc_way way)
{
	return way == SC_WAY_TRACEPOINT ? sc_constants.tracepoints_preemptible : sc_constants.preemptible;
}

/* Only where another task's program can come in between does the addition need to be atomic. */
static __always_inline void counter__inc(u64 *counter, enum sc_way way)
{
	if (way__is_preemptible(way))
		__sync_fetch_and_add(counter, 1);
	else
		*(volatile u64 *)counter += 1;
}

/*
 * Marks the start of a run: whether another run of this way has begun and not ended. The oldest kernels have no atomic
 * addition that returns a value, so the sum is read behind it. Of two runs that start at the same time, both may then
 * see the other one, but never neither.
 */
static __always_inline bool running__inc(u64 *running, enum sc_way way)
{
	if (!way__is_preemptible(way))
		return (*running)++ != 0;
	__sync_fetch_and_add(running, 1);
	return *(volatile u64 *)running != 1;
}

/* Marks its end. */
static __always_inline void running__dec(u64 *running, enum sc_way way)
{
	if (way__is_preemptible(way))
		__sync_fetch_and_add(running, -1);
	else
		*running -= 1;
}

/* Counts an event that is lost, as its CPU has no entry in `cpus`. */
static __always_inline void counter__inc_elsewhere(void)
{
	__sync_fetch_and_add(&sc_elsewhere.lost, 1);
}
