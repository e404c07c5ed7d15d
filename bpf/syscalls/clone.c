/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * clone, clone3, fork and vfork. Each has two exit events: the parent's, with the child's id as the result, and the
 * child's, with 0, which describes the new task. A child does not return through the function of the call, and on arm64 it
 * does not pass sys_exit either: sched_process_fork records it then.
 */
#include "extract/flags.h"
#include "extract/process_params.h"
#include "filter.h"
#include "numbers.h"
#include "template/shapes.h"

/* Returns whether the child is, or would be, in a pid namespace other than the initial one. */
static __always_inline bool clone__in_pidns(struct task_struct *task)
{
	struct pid_namespace *ns = extract__pidns(extract__pid(task, PIDTYPE_PID));

	return BPF_CORE_READ(ns, level) || BPF_CORE_READ(task, nsproxy, pid_ns_for_children) != ns;
}

/* Stores parameters 1 to 21, the same for all of these calls, for the parent (`res` is not 0) or the child. */
static __always_inline void clone__store(struct auxmap *auxmap, struct task_struct *task, s64 res, u64 flags)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	/* Parameter 1: res (type: PT_PID) */
	auxmap__store(auxmap, clone_x, res, res);
	/* Parameter 2: exe (type: PT_CHARBUF), parameter 3: args (type: PT_BYTEBUF): no value for a failed call */
	if (res >= 0) {
		auxmap__store_arguments(auxmap, clone_x, mm);
	} else {
		auxmap__store_empty(auxmap, clone_x, exe);
		auxmap__store_empty(auxmap, clone_x, args);
	}
	auxmap__settle(auxmap);
	process__store(auxmap, task, mm);
	/* Parameter 16: flags (type: PT_FLAGS32) */
	auxmap__store(auxmap, clone_x, flags,
		      clone_flags_to_scap(flags) | (clone__in_pidns(task) ? PPM_clone_flags__CLONE_CHILD_IN_PIDNS : 0));
	/* Parameter 17: uid (type: PT_UINT32) */
	auxmap__store(auxmap, clone_x, uid, BPF_CORE_READ(task, cred, euid.val));
	/* Parameter 18: gid (type: PT_UINT32) */
	auxmap__store(auxmap, clone_x, gid, BPF_CORE_READ(task, cred, egid.val));
	/* Parameter 19: vtid (type: PT_PID) */
	auxmap__store(auxmap, clone_x, vtid, extract__vnr(task, PIDTYPE_PID));
	/* Parameter 20: vpid (type: PT_PID) */
	auxmap__store(auxmap, clone_x, vpid, extract__vnr(task, PIDTYPE_TGID));
	/* Parameter 21: pidns_init_start_ts (type: PT_UINT64): only the child's */
	auxmap__store(auxmap, clone_x, pidns_init_start_ts, res ? 0 : extract__pidns_start(task));
}

#define CLONE_EXIT(program, flags)                                           \
	SYSCALL_EXIT(program)                                                \
	{                                                                    \
		struct auxmap auxmap;                                        \
		if (!auxmap__begin(call, &auxmap, program))                  \
			return;                                              \
		clone__store(&auxmap, extract__current(), call->ret, flags); \
		auxmap__submit_event(call, &auxmap, program);                \
	}

/* Returns the flags, the first member of struct clone_args, which is the same for 32-bit callers. */
static __always_inline u64 clone3__flags(const struct sc_call *call)
{
	u64 flags = 0;

	bpf_probe_read_user(&flags, sizeof(flags), (const void *)extract__syscall_argument(call, 0));
	return flags;
}

SYSCALL_ENTER_EMPTY(clone_e)
CLONE_EXIT(clone_x, extract__syscall_argument(call, 0))
SYSCALL_ENTER_EMPTY(clone3_e)
CLONE_EXIT(clone3_x, clone3__flags(call))
SYSCALL_ENTER_EMPTY(fork_e)
CLONE_EXIT(fork_x, 0)
SYSCALL_ENTER_EMPTY(vfork_e)
CLONE_EXIT(vfork_x, 0)

/* The call that creates a child. */
struct clone_origin {
	u64 slot;
	u64 flags;
};

/*
 * Returns the call that the current task is in; a clone without flags before Linux 5.15, or if a kernel thread makes the
 * child.
 */
static __always_inline struct clone_origin clone__origin(void)
{
	struct clone_origin origin = { .slot = SC_NR_clone };
	struct sc_call call = {};
	struct task_struct *task;
	u64 number;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs) || !extract__has_task_btf())
		return origin;
	task = (struct task_struct *)bpf_get_current_task_btf();
	call.regs = (struct pt_regs *)bpf_task_pt_regs(task);
	call.compat = extract__is_compat(task);
	number = SC_BOUND(extract__number(call.regs), SC_NR_MAX);
	if (call.compat)
		number = sc_routes.compat_slot[number];
	if (number == SC_NR_clone)
		origin.flags = extract__syscall_argument(&call, 0);
	else if (number == SC_NR_clone3)
		origin.flags = clone3__flags(&call);
#if defined(__TARGET_ARCH_x86)
	if (number == SC_NR_clone3 || number == SC_NR_fork || number == SC_NR_vfork)
		origin.slot = number;
#endif
	return origin;
}

/* Returns the type of a slot's exit event: all have the parameters of clone's. */
static __always_inline u16 clone__type(u64 slot __attribute__((unused)))
{
#if defined(__TARGET_ARCH_x86)
	switch (slot) {
	case SC_NR_clone3:
		return clone3_x__type;
	case SC_NR_fork:
		return fork_x__type;
	case SC_NR_vfork:
		return vfork_x__type;
	}
#endif
	return clone_x__type;
}

/* Arguments: the parent; the child, which has not run yet. On arm64 its event is clone's, whichever call created it. */
SEC("tp_btf/sched_process_fork") int sched_process_fork(u64 *ctx)
{
	struct task_struct *child = (struct task_struct *)SC_CONTEXT_WORD(ctx, 1);
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };
	struct clone_origin origin = clone__origin();
	u16 type = clone__type(origin.slot);
	struct auxmap auxmap;

	if (!tracepoint__wanted_for(SC_TP_PROCESS_FORK, SC_BOUND(origin.slot, SC_SLOTS)) || !call__begin(&call))
		return 0;
	if (auxmap__get(&call, &auxmap, type, clone_x__recorded())) {
		*(u64 *)SC_HEADER_FIELD(auxmap.data, tid) = BPF_CORE_READ(child, pid);
		clone__store(&auxmap, child, 0, origin.flags);
		auxmap__output(&call, &auxmap, type, clone_x__state);
	}
	call__end(&call);
	return 0;
}
