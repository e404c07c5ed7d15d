/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* switch: a CPU switches threads. The event belongs to the previous thread. */
#include "extract/process.h"
#include "filter.h"
#include "template/ringbuf.h"

static __always_inline void sched_switch__emit(struct sc_call *call, struct task_struct *previous,
					       struct task_struct *next)
{
	struct mm_struct *mm = BPF_CORE_READ(previous, mm);
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, sched_switch))
		return;
	/* Parameter 1: next (type: PT_PID) */
	ringbuf__store(&ringbuf, sched_switch, next, BPF_CORE_READ(next, pid));
	/* Parameter 2: pgft_maj (type: PT_UINT64) */
	ringbuf__store(&ringbuf, sched_switch, pgft_maj, BPF_CORE_READ(previous, maj_flt));
	/* Parameter 3: pgft_min (type: PT_UINT64) */
	ringbuf__store(&ringbuf, sched_switch, pgft_min, BPF_CORE_READ(previous, min_flt));
	/* Parameter 4: vm_size (type: PT_UINT32) */
	ringbuf__store(&ringbuf, sched_switch, vm_size, extract__vm_size(mm));
	/* Parameter 5: vm_rss (type: PT_UINT32) */
	ringbuf__store(&ringbuf, sched_switch, vm_rss, extract__vm_rss(mm));
	/* Parameter 6: vm_swap (type: PT_UINT32) */
	ringbuf__store(&ringbuf, sched_switch, vm_swap, extract__vm_swap(mm));
	ringbuf__submit_event(call, &ringbuf, sched_switch);
}

/* Arguments: whether it was preempted, the previous thread, the next thread. */
SEC("tp_btf/sched_switch") int sched_switch(u64 *ctx)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };

	if (tracepoint__wanted(SC_TP_SCHED_SWITCH) && call__begin(&call)) {
		sched_switch__emit(&call, (void *)SC_CONTEXT_WORD(ctx, 1), (void *)SC_CONTEXT_WORD(ctx, 2));
		call__end(&call);
	}
	return 0;
}
