/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The part of a filter that the task, the result or the time of a call decides. It leaves out only what the whole filter
 * refuses; the recorder decides the rest. What readers know of a task as the kernel does is read from the task: that costs less
 * than a map.
 */
#pragma once

#include "extract/registers.h"
#include "extract/sockets.h"
#include "rules.h"
#include "verdicts.h"

/* What the tests are about. */
struct sieve_event {
	struct sc_numbers numbers;
	u64 name[2];
	u64 facts;
	u64 fails; /* of the process's verdict */
};

/*
 * Returns no bits, which the verifier does not know: what they are added to is the same for it, wherever it comes from. From memory
 * each time, as it would learn from what is compared.
 */
static __always_inline u64 sieve__none(const struct sc_sieve *sieve)
{
	return *(const volatile u64 *)&sieve->none;
}

/* Reads the task's name. */
static __always_inline void sieve__read_name(struct sieve_event *event, struct task_struct *task)
{
	if (extract__has_task_btf()) {
		/* The helper takes three times as long. */
		event->name[0] = *(const u64 *)&task->comm[0];
		event->name[1] = *(const u64 *)&task->comm[8];
	} else {
		bpf_get_current_comm(event->name, sizeof(event->name));
	}
}

/* Reads the task's user and group. */
static __always_inline void sieve__read_owner(struct sieve_event *event, struct task_struct *task)
{
	int level;

	if (extract__has_task_btf()) {
		const struct cred *cred = task->cred;

		level = cred->user_ns->level;
		event->numbers.uid = cred->euid.val;
		event->numbers.gid = cred->egid.val;
	} else {
		const struct cred *cred = BPF_CORE_READ(task, cred);

		level = BPF_CORE_READ(cred, user_ns, level);
		event->numbers.uid = BPF_CORE_READ(cred, euid.val);
		event->numbers.gid = BPF_CORE_READ(cred, egid.val);
	}
	if (extract__is_compat(task) || level > 0)
		event->facts |= SC_FACT_OPEN_OWNER;
}

/*
 * Returns the bits of the tests of ancestors that are true, or may be: there are too many, or one of them ends. That one is no
 * parent for readers any more: the reaper is, which the kernel has not chosen yet. Without branches, which the verifier would
 * follow for each ancestor anew.
 */
static __always_inline u64 sieve__ancestors(const struct sc_sieve *sieve, struct task_struct *task)
{
	u64 holds = sieve->none;
	u32 pid;

	_Pragma("clang loop unroll(disable)") for (u32 generation = 1; generation <= SC_GENERATIONS; generation++)
	{
		task = TASK_FIELD(task, real_parent);
		pid = TASK_FIELD(task, tgid);
		if (TASK_FIELD(task, flags) & SC_PF_EXITING)
			return sieve->all;
		_Pragma("clang loop unroll(full)") for (u32 i = 0; i < SC_ANCESTORS; i++)
		{
			const struct sc_ancestor *test = &sieve->ancestors[i];
			/* Negative if it is within the bounds. */
			s64 is_pid = (s64)(u32)(pid - test->pid) - test->pids;
			s64 is_generation = (s64)(u32)(generation - test->generation) - test->generations;

			holds |= (u64)((is_pid ^ test->negated) & is_generation) >> 63 << i;
		}
		/* Nobody is above the first processes. */
		if (!pid)
			return holds;
	}
	return sieve->all;
}

/* An end of a connection, as struct sc_end has it. */
struct sieve_end {
	u64 address[2];
	u32 port;
};

/* Sets an address of IPv4. */
static __always_inline void sieve__map(struct sieve_end *end, u32 address)
{
	end->address[1] = (u64)address << 32 | 0xffff0000;
}

/* Returns all bits if an end is as a test wants it; else none. */
static __always_inline u64 sieve__is_end(const struct sieve_end *end, const struct sc_end *test)
{
	u64 differs = (end->address[0] ^ test->address[0]) & test->counts[0];
	/* Negative if it is within the bounds. */
	s64 is_port = (s64)(u32)(end->port - test->port) - test->ports;

	differs |= (end->address[1] ^ test->address[1]) & test->counts[1];
	return (u64)((s64)(~(differs | -differs) & is_port) >> 63);
}

/*
 * Returns the bits of the tests of ends that are true of the descriptor in the call's first argument, or may be: it has been closed
 * meanwhile, or is a socket that has no peer yet or may have several.
 */
static __always_inline u64 sieve__ends(const struct sc_sieve *sieve, u64 *ctx, struct task_struct *task, u64 slot)
{
	const struct sc_call call = { .regs = extract__registers(ctx) };
	struct sieve_end local = {}, remote = {};
	u64 holds = sieve->none;
	struct file *file;
	struct sock *sk;
	const u16 tcp = 6;
	u16 family, port;

	if (!sieve->of_descriptor[SC_BOUND(slot, SC_SLOTS)] || extract__is_compat(task))
		return sieve->all;
	file = extract__file(extract__int_argument(&call, 0));
	if (!file)
		return sieve->all;
	sk = extract__sock_of(file);
	if (!sk)
		return holds;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != SC_AF_INET && family != SC_AF_INET6)
		return holds;
	port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (!port || BPF_CORE_READ(sk, sk_protocol) != tcp)
		return sieve->all;
	if (family == SC_AF_INET) {
		sieve__map(&local, BPF_CORE_READ((struct inet_sock *)sk, inet_saddr));
		sieve__map(&remote, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
		bpf_core_read(local.address, sizeof(local.address), &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(remote.address, sizeof(remote.address), &sk->__sk_common.skc_v6_daddr);
	} else {
		return sieve->all;
	}
	local.port = port__to_host(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	remote.port = port__to_host(port);
	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_ENDS; i++)
	{
		const struct sc_end *test = &sieve->ends[i];

		holds |= (sieve__is_end(&local, test) | sieve__is_end(&remote, test)) & 1ull << i;
	}
	return holds;
}

/* Notes that the current task enters a call, for the tests of its time. */
static __always_inline void sieve__enter(struct task_struct *task)
{
	u32 tid = TASK_FIELD(task, pid);
	u64 *entered, now;

	if (!sc_settings.sieves[sc_settings.sieve & 1].timed)
		return;
	now = bpf_ktime_get_boot_ns();
	entered = bpf_map_lookup_elem(&timed_calls, &tid);
	/* To write it in place takes a fraction of an update. */
	if (entered)
		*entered = now;
	else
		bpf_map_update_elem(&timed_calls, &tid, &now, BPF_ANY);
}

/* Returns the time since the current task entered the call that it leaves; the longest one if that is not known. */
static __always_inline u64 sieve__elapsed(struct task_struct *task)
{
	u32 tid = TASK_FIELD(task, pid);
	u64 *entered = bpf_map_lookup_elem(&timed_calls, &tid);

	return entered ? bpf_ktime_get_boot_ns() - *entered : ~0ull >> 1;
}

/* Finds out what the tests need: first what has most paths. */
static __always_inline struct sieve_event sieve__read(const struct sc_sieve *sieve, u64 *ctx, struct task_struct *task,
						      u64 slot, enum sc_wanted direction, s64 ret, u32 change)
{
	bool is_exit = direction == SC_WANT_EXIT;
	struct sieve_event event = { .facts = is_exit ? 0 : SC_FACT_ENTRY };

	if (sieve->has_ancestors)
		event.facts |= (sieve__ancestors(sieve, task) & ((1 << SC_ANCESTORS) - 1)) * SC_FACT_ANCESTOR;
	event.facts |= sieve__none(sieve);
	if (sieve->has_ends)
		event.facts |= (sieve__ends(sieve, ctx, task, slot) & ((1 << SC_ENDS) - 1)) * SC_FACT_END;
	event.facts |= sieve__none(sieve);
	if (sieve->has_verdicts)
		event.fails = verdict__fails(sieve, task, change);
	event.fails |= sieve__none(sieve);
	if (sieve->has_owners)
		sieve__read_owner(&event, task);
	event.numbers.uid |= sieve__none(sieve);
	event.numbers.gid |= sieve__none(sieve);
	event.facts |= sieve__none(sieve);
	if (sieve->timed && is_exit)
		event.numbers.elapsed = sieve__elapsed(task);
	event.numbers.elapsed |= sieve__none(sieve);
	if (sieve->has_names)
		sieve__read_name(&event, task);
	event.name[0] |= sieve__none(sieve);
	event.name[1] |= sieve__none(sieve);
	event.numbers.tid = (u32)TASK_FIELD(task, pid);
	event.numbers.pid = (u32)TASK_FIELD(task, tgid);
	event.numbers.result = ret;
	event.numbers.low_result = (s32)ret;
	return event;
}

/* 1 or 0, without a branch: whether there are bits, and whether a number is less than another one. */
static __always_inline u64 sieve__is_some(u64 bits)
{
	return (bits | -bits) >> 63;
}

static __always_inline u64 sieve__is_less(u64 one, u64 other)
{
	return ((one & ~other) | (~(one ^ other) & (one - other))) >> 63;
}

/* Returns 1 if a test is true, or may be for a reader; else 0. */
static __always_inline u64 sieve__holds(const struct sc_test *test, const struct sieve_event *event)
{
	const struct sc_numbers *of = &event->numbers, *compared = &test->numbers;
	u64 number = (of->tid & compared->tid) | (of->pid & compared->pid) | (of->uid & compared->uid) |
		     (of->gid & compared->gid) | (of->result & compared->result) |
		     (of->low_result & compared->low_result) | (of->elapsed & compared->elapsed);
	u64 differs, is_other, holds;

	differs = (event->name[0] ^ test->name[0]) & test->counts[0];
	differs |= (event->name[1] ^ test->name[1]) & test->counts[1];
	is_other = sieve__is_less(number, test->least) | sieve__is_less(test->most, number) | sieve__is_some(differs);
	holds = (is_other ^ 1 ^ test->negated) & 1;
	return holds | sieve__is_some((event->facts & test->facts) | (~event->fails & test->lasts));
}

/* Returns whether a sieve refuses an event of the current task, `task`: a clause has no test that holds. */
static __always_inline bool sieve__is_refused_by(const struct sc_sieve *sieve, u64 *ctx, struct task_struct *task,
						 u64 slot, enum sc_wanted direction, s64 ret, u32 change)
{
	struct sieve_event event = sieve__read(sieve, ctx, task, slot, direction, ret, change);
	u32 count = sieve->count, clauses = sieve->clauses_count;
	u64 holds = sieve__none(sieve);

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_TESTS; i++)
	{
		if (i >= count)
			break;
		holds |= sieve__holds(&sieve->tests[i], &event) << i;
	}
	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_CLAUSES; i++)
	{
		if (i >= clauses)
			break;
		if (!(holds & sieve->clauses[i]))
			return true;
	}
	return false;
}

/* What the filter says of an event. */
enum sieve_verdict {
	SIEVE_TAKES,
	SIEVE_KEEPS, /* it does not match, but may be needed to decide about others: a return only if it changes a name */
	SIEVE_REFUSES,
};

/* Returns what the filter says of a wanted event of the current task; `ret` is the result of a call that returns. */
static __always_inline enum sieve_verdict sieve__judge(u64 *ctx, struct task_struct *task, u64 slot,
						       enum sc_wanted direction, s64 ret)
{
	u32 change = *(volatile u32 *)&sc_settings.sieve;
	const struct sc_sieve *sieve = &sc_settings.sieves[change & 1];
	u32 keeps = sieve->keeps[SC_BOUND(slot, SC_SLOTS)];

	if (!sieve__is_refused_by(sieve, ctx, task, slot, direction, ret, change))
		return SIEVE_TAKES;
	/* The recorder may have written the memory meanwhile: then it decides. */
	if (*(volatile u32 *)&sc_settings.sieve != change)
		return SIEVE_TAKES;
	return keeps & direction ? SIEVE_KEEPS : SIEVE_REFUSES;
}

/* Counts an event that the filter leaves out. */
static __always_inline void sieve__count(enum sc_way way)
{
	struct sc_left_out *left_out = rules__counters();

	if (left_out)
		counter__inc(&left_out->sieved, way);
}
