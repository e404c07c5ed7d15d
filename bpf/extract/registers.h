/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A system call's number, arguments and result, on each architecture and for each way to attach. */
#pragma once

#include "extract/task.h"
#include "maps.h"
#include "verifier.h"

/* The state of one program run, for templates and extractors. Lives in registers and on the stack. */
struct sc_call {
	u64 *ctx;
	struct pt_regs *regs; /* of the system call; NULL in a tracepoint program */
	s64 ret;              /* the system call's result; exit programs only */
	u64 ts;               /* ns since the epoch: the event's time */
	struct sc_cpu *cpu;
	u32 cpu_id;
	u32 tid;     /* of the current task */
	u32 way;     /* enum sc_way */
	bool nested; /* another run of this way is in progress: the scratch area is in use */
	bool compat; /* a 32-bit system call */
};

static __always_inline struct pt_regs *extract__registers(u64 *ctx)
{
	if (sc_constants.attach == SC_ATTACH_TRACEPOINT)
		return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (struct pt_regs *)SC_CONTEXT_WORD(ctx, 0);
}

/* Returns the result passed to an exit program. */
static __always_inline s64 extract__result(u64 *ctx)
{
	if (sc_constants.attach == SC_ATTACH_TRACEPOINT)
		return (s64)SC_CONTEXT_WORD(ctx, 2);
	return (s64)SC_CONTEXT_WORD(ctx, 1);
}

/* Returns the system call number in the registers. */
static __always_inline u32 extract__number(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

/* Returns whether the current system call is a 32-bit one; `task` is extract__typed_current(). */
static __always_inline bool extract__is_compat(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	const u32 ts_compat = 0x2;

	return TASK_FIELD(task, thread_info.status) & ts_compat;
#else
	const u32 tif_32bit = 1 << 22;

	return TASK_FIELD(task, thread_info.flags) & tif_32bit;
#endif
}

/* The bit that marks the number of an x32 call. */
#if defined(__TARGET_ARCH_x86)
#define SC_X32_BIT (1u << 30)
#else
#define SC_X32_BIT 0u
#endif

enum {
#if defined(__TARGET_ARCH_x86)
	SC_NR_RT_SIGRETURN = 15,
#else
	SC_NR_RT_SIGRETURN = 139,
#endif
	SC_NR_I386_SOCKETCALL = 102,
	SC_NR_32BIT_RT_SIGRETURN = 173, /* on both architectures */
};

/*
 * Returns the number of a call at its exit. sigreturn and rt_sigreturn restore the registers from before the signal,
 * and the kernel sets the number to -1: the two look the same. A program can also call number -1: that fails with
 * ENOSYS.
 */
static __always_inline u32 extract__number_at_exit(u32 number, s64 ret)
{
	const s64 enosys = 38;

	if (number != (u32)-1 || ret == -enosys)
		return number;
	return extract__is_compat(extract__typed_current()) ? SC_NR_32BIT_RT_SIGRETURN : SC_NR_RT_SIGRETURN;
}

/* Returns the number of the system call that an enter program runs for. */
static __always_inline u64 extract__enter_number(u64 *ctx)
{
	if (sc_constants.attach == SC_ATTACH_FUNCTION)
		return extract__number((const struct pt_regs *)SC_CONTEXT_WORD(ctx, 0));
	return SC_CONTEXT_WORD(ctx, 1);
}

/* Returns the number of the system call that an exit program runs for. */
static __always_inline u32 extract__exit_number(u64 *ctx)
{
	u32 number = sc_constants.attach == SC_ATTACH_TRACEPOINT ?
			     SC_CONTEXT_WORD(ctx, 1) :
			     extract__number((const struct pt_regs *)SC_CONTEXT_WORD(ctx, 0));

	return extract__number_at_exit(number, extract__result(ctx));
}

/* Returns the slot of the call that the current socketcall makes. */
static __always_inline u32 extract__socketcall_slot(u64 *ctx __attribute__((unused)))
{
#if defined(__TARGET_ARCH_x86)
	u32 number = extract__registers(ctx)->bx;

	return sc_routes.socketcall_slot[number < SC_SOCKETCALL_MAX ? SC_BOUND(number, SC_SOCKETCALL_MAX) : 0];
#else
	return SC_SLOT_UNKNOWN;
#endif
}

/* Returns the slot of a system call (see capture.h), masked to below SC_SLOTS for the verifier. */
static __always_inline u64 extract__slot(u64 *ctx, u64 number, bool compat)
{
	u64 slot = number;

	if (number >= SC_NR_MAX)
		slot = SC_SLOT_UNKNOWN;
	else if (compat && number == SC_NR_I386_SOCKETCALL)
		slot = extract__socketcall_slot(ctx);
	else if (compat)
		slot = sc_routes.compat_slot[SC_BOUND(number, SC_NR_MAX)];
	return SC_BOUND(slot, SC_SLOTS);
}

/* Returns argument n of the system call, counted from 0; n must be a constant. */
static __always_inline u64 extract__syscall_argument(const struct sc_call *call, int n)
{
	const struct pt_regs *regs = call->regs;
#if defined(__TARGET_ARCH_x86)
	if (call->compat) {
		switch (n) {
		case 0:
			return (u32)regs->bx;
		case 1:
			return (u32)regs->cx;
		case 2:
			return (u32)regs->dx;
		case 3:
			return (u32)regs->si;
		case 4:
			return (u32)regs->di;
		default:
			return (u32)regs->bp;
		}
	}
	switch (n) {
	case 0:
		return regs->di;
	case 1:
		return regs->si;
	case 2:
		return regs->dx;
	case 3:
		return regs->r10;
	case 4:
		return regs->r8;
	default:
		return regs->r9;
	}
#else
	return n == 0 ? regs->orig_x0 : regs->regs[n];
#endif
}

/* Returns an argument that is an int, such as a file descriptor, with its sign. */
static __always_inline s64 extract__int_argument(const struct sc_call *call, int n)
{
	return (s32)extract__syscall_argument(call, n);
}

/* Returns argument n of a 32-bit call whose arguments lie in user memory, where argument `at` points to. */
static __always_inline u32 extract__argument_in_memory(const struct sc_call *call, int at, int n)
{
	u32 argument = 0;

	bpf_probe_read_user(&argument, sizeof(argument),
			    (const void *)(extract__syscall_argument(call, at) + n * sizeof(argument)));
	return argument;
}
