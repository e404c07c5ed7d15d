/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The two programs that are attached to the syscall tracepoints: is this call wanted? Then on to the program of its
 * event, by tail call. An unwanted call leaves by the first return.
 */
#include "extract/registers.h"
#include "filter.h"

/* A wanted event for which there was no program to call. */
static __always_inline void dispatch__missed(void)
{
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &cpu_id);

	if (cpu)
		counter__inc(&cpu->losses.no_program);
}

#if defined(__TARGET_ARCH_x86)
#define SC_NR_EXECVE 59
#else
#define SC_NR_EXECVE 221
#endif

SEC("tp_btf/sys_enter") int dispatch_enter(u64 *ctx)
{
	u32 slot = extract__slot((u32)SC_CONTEXT_WORD(ctx, 1), extract__is_compat());

	if (!(sc_settings.wanted[slot] & SC_WANT_ENTER))
		return 0;
	if (!sc_settings.active || !filter__is_target(slot == SC_NR_EXECVE))
		return 0;
	bpf_tail_call(ctx, &enter_programs, slot);
	dispatch__missed();
	return 0;
}

SEC("tp_btf/sys_exit") int dispatch_exit(u64 *ctx)
{
	u32 slot = extract__slot(extract__number(extract__registers(ctx)), extract__is_compat());

	if (!(sc_settings.wanted[slot] & SC_WANT_EXIT))
		return 0;
	if (!sc_settings.active || !filter__is_target(slot == SC_NR_EXECVE))
		return 0;
	bpf_tail_call(ctx, &exit_programs, slot);
	dispatch__missed();
	return 0;
}
