/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Counting, per CPU. */
#pragma once

#include "maps.h"

/* Only where another task's program can come in between does the addition need to be atomic. */
static __always_inline void counter__inc(u64 *counter)
{
	if (sc_constants.preemptible)
		__sync_fetch_and_add(counter, 1);
	else
		*(volatile u64 *)counter += 1;
}

/* Counts an event that is lost, as its CPU has no entry in `cpus`. */
static __always_inline void counter__inc_elsewhere(void)
{
	__sync_fetch_and_add(&sc_elsewhere.lost, 1);
}
