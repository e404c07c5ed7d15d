/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Finds out whether tp_btf programs on syscall tracepoints can be preempted. Kernels up to 6.x run them with preemption
 * off, from 7.x on they do not. The recorder loads this program alone, before the others, runs it once and unloads it.
 */
#include "maps.h"
#include "verifier.h"

#include <bpf/bpf_core_read.h>

/* Written by the program below, read by the recorder. */
struct sc_preemption sc_preemption = {};

void bpf_preempt_disable(void) __ksym __weak; /* from 6.10 on */
void bpf_preempt_enable(void) __ksym __weak;

#if defined(__TARGET_ARCH_x86)
/* The per-CPU preempt count; in struct pcpu_hot from 6.2 to 6.13. */
struct pcpu_hot {
	int preempt_count;
} __attribute__((preserve_access_index));

extern const int __preempt_count __ksym __weak;
extern const struct pcpu_hot pcpu_hot __ksym __weak;
#endif

static __always_inline int preemption__count(void)
{
	/* The top bit is the inverted need-resched flag, not part of the count. */
	const int count_mask = 0x7fffffff;

#if defined(__TARGET_ARCH_x86)
	if (bpf_ksym_exists(&__preempt_count))
		return *(int *)bpf_this_cpu_ptr(&__preempt_count) & count_mask;
	if (bpf_ksym_exists(&pcpu_hot))
		return ((struct pcpu_hot *)bpf_this_cpu_ptr(&pcpu_hot))->preempt_count & count_mask;
	return -1;
#else
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.preempt_count) & count_mask;
#endif
}

SEC("tp_btf/sys_enter") int measure_preemption(u64 *ctx __attribute__((unused)))
{
	if ((u32)bpf_get_current_pid_tgid() != sc_preemption.tid)
		return 0;
	sc_preemption.on_entry = preemption__count();
	if (bpf_ksym_exists(bpf_preempt_disable)) {
		bpf_preempt_disable();
		sc_preemption.when_off = preemption__count();
		bpf_preempt_enable();
		sc_preemption.measured = 1;
	}
	return 0;
}
