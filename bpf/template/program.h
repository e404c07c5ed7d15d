/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The frame around every program's body: it unpacks the context, marks the CPU as running a program, reads the clock
 * once.
 *
 *   SYSCALL_ENTER(access_e) { ... }      body of an enter event's program; `call` is this run (struct sc_call)
 *   SYSCALL_EXIT(access_x) { ... }       body of an exit event's program; `call->ret` is the result
 */
#pragma once

#include "counters.h"
#include "extract/registers.h"

/* Saves what the dispatcher found out for the program that it calls: cheaper than asking the kernel again. */
static __always_inline void call__hand_over(struct task_struct *task)
{
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu;

	if (sc_constants.preemptible)
		return;
	cpu = bpf_map_lookup_elem(&cpus, &cpu_id);
	if (!cpu)
		return;
	cpu->tid = TASK_FIELD(task, pid);
	cpu->compat = extract__is_compat(task);
}

/* Fills in the CPU of a run. Returns false and counts a loss if the CPU has no entry in `cpus`. */
static __always_inline bool call__locate_cpu(struct sc_call *call)
{
	/* A copy as the key: taking a member's address would keep the whole structure on the stack. */
	u32 cpu_id = bpf_get_smp_processor_id();

	call->cpu_id = cpu_id;
	call->cpu = bpf_map_lookup_elem(&cpus, &cpu_id);
	if (!call->cpu)
		counter__inc_elsewhere();
	return call->cpu != NULL;
}

/* Fills in the task and the CPU of a run. Returns false as above. */
static __always_inline bool call__locate(struct sc_call *call)
{
	struct task_struct *task = extract__typed_current();

	call->tid = TASK_FIELD(task, pid);
	call->compat = extract__is_compat(task);
	return call__locate_cpu(call);
}

/* The same for a program that a dispatcher called. */
static __always_inline bool call__locate_dispatched(struct sc_call *call)
{
	if (sc_constants.preemptible)
		return call__locate(call);
	if (!call__locate_cpu(call))
		return false;
	call->tid = call->cpu->tid;
	call->compat = call->cpu->compat;
	return true;
}

static __always_inline void call__read_clock(struct sc_call *call)
{
	call->ts = sc_settings.boot_time + bpf_ktime_get_boot_ns();
}

/* Marks the start of a run on this CPU. */
static __always_inline void call__mark(struct sc_call *call)
{
	call->nested = running__inc(&call->cpu->running[call->way], call->way);
	asm volatile("" ::: "memory"); /* the mark before the clock */
	call__read_clock(call);
}

/* Starts a run of a tracepoint program. Returns false if the CPU is unknown. */
static __always_inline bool call__begin(struct sc_call *call)
{
	if (!call__locate(call))
		return false;
	call__mark(call);
	return true;
}

static __always_inline void call__end(struct sc_call *call)
{
	asm volatile("" ::: "memory"); /* the event before the mark */
	running__dec(&call->cpu->running[call->way], call->way);
}

/* Starts a run of a system call's program. Returns false if the CPU is unknown. */
static __always_inline bool call__begin_syscall(struct sc_call *call, u64 *ctx)
{
	call->ctx = ctx;
	call->regs = extract__registers(ctx);
	if (!call__locate_dispatched(call))
		return false;
	call__mark(call);
	return true;
}

#define SYSCALL_ENTER(program)                                             \
	static __always_inline void program##__body(struct sc_call *call); \
	SEC("tp_btf/sys_enter") int program(u64 *ctx)                      \
	{                                                                  \
		struct sc_call call = { .way = SC_WAY_ENTER };             \
		if (call__begin_syscall(&call, ctx)) {                     \
			program##__body(&call);                            \
			call__end(&call);                                  \
		}                                                          \
		return 0;                                                  \
	}                                                                  \
	static __always_inline void program##__body(struct sc_call *call)

#define SYSCALL_EXIT(program)                                              \
	static __always_inline void program##__body(struct sc_call *call); \
	SEC("tp_btf/sys_exit") int program(u64 *ctx)                       \
	{                                                                  \
		struct sc_call call = { .way = SC_WAY_EXIT };              \
		call.ret = extract__result(ctx);                           \
		if (call__begin_syscall(&call, ctx)) {                     \
			program##__body(&call);                            \
			call__end(&call);                                  \
		}                                                          \
		return 0;                                                  \
	}                                                                  \
	static __always_inline void program##__body(struct sc_call *call)

/* The address of a header field of an event, and of the first event in a record. */
#define SC_EVENT_FIELD(event, field) ((event) + __builtin_offsetof(struct sc_event_header, field))
#define SC_HEADER_FIELD(record, field) SC_EVENT_FIELD((record) + SC_CPU_LEN, field)

/* Fills an event's header except its length. */
static __always_inline void event__fill_header(const struct sc_call *call, u8 *event, u16 type, u32 nparams)
{
	/* Not through the packed structure: clang would store byte by byte. */
	*(u64 *)SC_EVENT_FIELD(event, ts) = call->ts;
	*(u64 *)SC_EVENT_FIELD(event, tid) = call->tid;
	*(u16 *)SC_EVENT_FIELD(event, type) = type;
	*(u32 *)SC_EVENT_FIELD(event, nparams) = nparams;
}

/* Fills the start of a record: the CPU and the event header except its length. */
static __always_inline void call__fill_header(const struct sc_call *call, u8 *record, u16 type, u32 nparams)
{
	*(u16 *)record = call->cpu_id;
	event__fill_header(call, record + SC_CPU_LEN, type, nparams);
}

/* The offset of a parameter's length in an event, and in a record. */
#define SC_LENGTH_AT(index) (SC_HEADER_LEN + SC_LENGTH_LEN * (index))
#define SC_LENGTH_OFFSET(index) (SC_CPU_LEN + SC_LENGTH_AT(index))

/* Returns this CPU's counters of an event type. */
static __always_inline struct sc_counters *call__counters(const struct sc_call *call, u16 type)
{
	return &call->cpu->events[SC_COUNTER(type)];
}

/* Counts a loss by cause. */
static __always_inline void call__lose(struct sc_call *call, u64 *cause)
{
	counter__inc(cause, call->way);
	counter__inc(&call->cpu->lost, call->way);
}

/* Counts a loss to a full ring. */
static __always_inline void call__lose_room(struct sc_call *call, struct sc_counters *counters)
{
	call__lose(call, sc_settings.backlog ? &counters->lost_backlog : &counters->lost_ring_full);
}

/* Returns the ring of this CPU. */
static __always_inline void *call__ring(const struct sc_call *call)
{
	u32 cpu_id = call->cpu_id;

	return bpf_map_lookup_elem(&rings, &cpu_id);
}

/*
 * Checks the order of parameters at compile time: clang reports a call to one of these unless its condition folds away.
 */
void sc_parameter_out_of_order(void)
	__attribute__((error("parameter stored out of the order of its row in events.def")));
void sc_parameter_missing(void)
	__attribute__((error("event submitted before every parameter of its row in events.def was stored")));
