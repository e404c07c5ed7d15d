/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The two programs attached to the syscall tracepoints. They tail-call the event's program if the call is wanted; most
 * unwanted calls leave at the first return.
 *
 * A program can be attached to one function only. So each function of a call has a head, a copy of one of the two below,
 * which tail-calls these programs.
 */
#include "extract/registers.h"
#include "filter.h"
#include "numbers.h"
#include "sieve.h"
#include "template/program.h"

/* Counts a wanted event whose tail call failed. */
static __always_inline void dispatch__missed(enum sc_way way)
{
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &cpu_id);

	if (!cpu) {
		counter__inc_elsewhere();
		return;
	}
	counter__inc(&cpu->losses.no_program, way);
	counter__inc(&cpu->lost, way);
}

/* Returns whether any task's call with this number is wanted: the cheap first check. */
static __always_inline bool dispatch__is_wanted(u64 number, enum sc_wanted direction)
{
	u64 index = number < SC_NR_MAX ? number : SC_NR_MAX;

	return sc_settings.wanted_number[index] & direction;
}

/* Returns the slot to tail-call, or SC_SLOTS if the call is not wanted or its task not recorded. */
static __always_inline u64 dispatch__slot(u64 *ctx, u64 number, enum sc_wanted direction)
{
	struct task_struct *task = extract__typed_current();
	u64 slot = extract__slot(ctx, number, extract__is_compat(task));
	u32 wanted = sc_settings.wanted[slot];

	if (!(wanted & direction) || !filter__is_target(task, slot == SC_NR_execve))
		return SC_SLOTS;
	/* What is recorded only for names needs no filter. */
	if (sc_constants.filters && sc_settings.sieve && !(wanted & SC_FOR_NAMES)) {
		bool is_exit = direction == SC_WANT_EXIT;
		enum sieve_verdict verdict =
			sieve__judge(ctx, task, slot, direction, is_exit ? extract__result(ctx) : 0);

		if (verdict == SIEVE_REFUSES) {
			sieve__count(is_exit ? SC_WAY_EXIT : SC_WAY_ENTER);
			return SC_SLOTS;
		}
		if (verdict == SIEVE_KEEPS && is_exit)
			wanted |= SC_WANT_RULES;
		if (!is_exit)
			sieve__enter(task);
	}
	call__hand_over(task);
	return __builtin_expect(wanted & SC_WANT_RULES, 0) ? (u64)SC_SLOT_RULES : slot;
}

/* Tail-calls the slot's program; returns only if there is none. */
#define dispatch__call(ctx, programs, slot)                                             \
	do {                                                                            \
		_Pragma("clang loop unroll(full)") for (int i = 0; i < SC_DIRECT; i++)  \
		{                                                                       \
			if ((slot) == sc_constants.direct[i]) {                         \
				/* Read again, so that the verifier sees a constant. */ \
				u64 direct = sc_constants.direct[i];                    \
				bpf_tail_call(ctx, programs, direct);                   \
			}                                                               \
		}                                                                       \
		bpf_tail_call(ctx, programs, slot);                                     \
	} while (0)

SEC("tp_btf/sys_enter") int dispatch_enter(u64 *ctx)
{
	u64 number = extract__enter_number(ctx);
	u64 slot;

	if (!dispatch__is_wanted(number, SC_WANT_ENTER))
		return 0;
	slot = dispatch__slot(ctx, number, SC_WANT_ENTER);
	if (slot == SC_SLOTS)
		return 0;
	dispatch__call(ctx, &enter_programs, slot);
	dispatch__missed(SC_WAY_ENTER);
	return 0;
}

SEC("tp_btf/sys_exit") int dispatch_exit(u64 *ctx)
{
	u64 number = extract__exit_number(ctx);
	u64 slot;

	if (!dispatch__is_wanted(number, SC_WANT_EXIT))
		return 0;
	slot = dispatch__slot(ctx, number, SC_WANT_EXIT);
	if (slot == SC_SLOTS)
		return 0;
	dispatch__call(ctx, &exit_programs, slot);
	dispatch__missed(SC_WAY_EXIT);
	return 0;
}

SEC("tp_btf/sys_enter") int head_enter(u64 *ctx)
{
	if (!dispatch__is_wanted(extract__enter_number(ctx), SC_WANT_ENTER))
		return 0;
	bpf_tail_call(ctx, &enter_programs, SC_SLOT_DISPATCH);
	dispatch__missed(SC_WAY_ENTER);
	return 0;
}

SEC("tp_btf/sys_exit") int head_exit(u64 *ctx)
{
	if (!dispatch__is_wanted(extract__exit_number(ctx), SC_WANT_EXIT))
		return 0;
	bpf_tail_call(ctx, &exit_programs, SC_SLOT_DISPATCH);
	dispatch__missed(SC_WAY_EXIT);
	return 0;
}
