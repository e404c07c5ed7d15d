/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The part of a filter that the task, the result or the time of a call decides. It leaves out only what the whole filter
 * refuses; the recorder decides the rest. What readers know of a task as the kernel does is read from the task: that costs less
 * than a map.
 */
#pragma once

#include "extract/registers.h"
#include "rules.h"
#include "verdicts.h"

/* Returns whether a number is within the bounds of a test. */
static __always_inline bool sieve__is_within(const struct sc_test *test, s64 number)
{
	return number >= (s64)test->value[0] && number <= (s64)test->value[1];
}

/* Returns whether a task's name is that of a test. */
static __always_inline bool sieve__is_name(const struct sc_test *test, struct task_struct *task)
{
	u64 name[2] = {};

	if (extract__has_task_btf()) {
		/* The helper takes three times as long. */
		name[0] = *(const u64 *)&task->comm[0];
		name[1] = *(const u64 *)&task->comm[8];
	} else {
		bpf_get_current_comm(name, sizeof(name));
	}
	return !((name[0] ^ test->value[0]) & test->mask[0]) && !((name[1] ^ test->value[1]) & test->mask[1]);
}

/*
 * Returns whether a test of the task's user or group is true. Of a task in a user namespace, and of a 32-bit one, events do
 * not always tell the id, so readers may have another.
 */
static __always_inline bool sieve__is_owner(const struct sc_test *test, struct task_struct *task)
{
	bool is_user = test->subject == SC_OF_UID;
	int level;
	u32 id;

	if (extract__has_task_btf()) {
		const struct cred *cred = task->cred;

		level = cred->user_ns->level;
		id = is_user ? cred->euid.val : cred->egid.val;
	} else {
		const struct cred *cred = BPF_CORE_READ(task, cred);

		level = BPF_CORE_READ(cred, user_ns, level);
		id = is_user ? BPF_CORE_READ(cred, euid.val) : BPF_CORE_READ(cred, egid.val);
	}
	if (extract__is_compat(task) || level > 0)
		return true;
	return sieve__is_within(test, id) != !!test->negated;
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

/* Returns whether the call that the current task leaves took as long as a test says. */
static __always_inline bool sieve__is_long(const struct sc_test *test, struct task_struct *task)
{
	u32 tid = TASK_FIELD(task, pid);
	u64 *entered = bpf_map_lookup_elem(&timed_calls, &tid);

	return !entered || bpf_ktime_get_boot_ns() - *entered >= test->value[0];
}

/* What is found out before the tests: within them, the verifier would go through it for each one. */
struct sieve_found {
	u64 ancestors; /* the tests of ancestors that hold */
	u64 fails;     /* the tests of SC_OF_PROCESS that do not */
};

/* Returns whether a test is true, or may be for a reader. */
static __always_inline bool sieve__holds(const struct sc_test *test, struct task_struct *task, enum sc_wanted direction,
					 s64 ret, const struct sieve_found *found)
{
	bool negated = test->negated;
	u32 subject = test->subject;

	if (subject == SC_OF_NAME)
		return sieve__is_name(test, task) != negated;
	if (subject == SC_OF_TID)
		return sieve__is_within(test, (u32)TASK_FIELD(task, pid)) != negated;
	if (subject == SC_OF_PID)
		return sieve__is_within(test, (u32)TASK_FIELD(task, tgid)) != negated;
	if (subject == SC_OF_RESULT)
		/* Some events have only 32 bits of it. */
		return direction != SC_WANT_EXIT || sieve__is_within(test, ret) != negated ||
		       sieve__is_within(test, (s32)ret) != negated;
	if (subject == SC_OF_LATENCY)
		return direction != SC_WANT_EXIT || sieve__is_long(test, task);
	if (subject == SC_OF_ANCESTOR)
		return found->ancestors & test->mask[0];
	if (subject == SC_OF_PROCESS)
		return !(found->fails & test->mask[0]);
	return sieve__is_owner(test, task);
}

/* Returns whether a sieve refuses an event of the current task, `task`: a clause has no test that holds. */
static __always_inline bool sieve__is_refused_by(const struct sc_sieve *sieve, struct task_struct *task,
						 enum sc_wanted direction, s64 ret, u32 change)
{
	struct sieve_found found = {
		.ancestors = sieve->has_ancestors ? sieve__ancestors(sieve, task) : sieve->none,
		.fails = sieve->has_verdicts ? verdict__fails(sieve, task, change) : sieve->none,
	};
	u64 count = sieve->count;
	bool holds = false;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_TESTS; i++)
	{
		const struct sc_test *test = &sieve->tests[i];

		if (i >= count)
			break;
		if (!holds)
			holds = sieve__holds(test, task, direction, ret, &found);
		if (!test->ends)
			continue;
		if (!holds)
			return true;
		holds = false;
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
static __always_inline enum sieve_verdict sieve__judge(struct task_struct *task, u64 slot, enum sc_wanted direction,
						       s64 ret)
{
	u32 change = *(volatile u32 *)&sc_settings.sieve;
	const struct sc_sieve *sieve = &sc_settings.sieves[change & 1];
	u32 keeps = sieve->keeps[SC_BOUND(slot, SC_SLOTS)];

	if (!sieve__is_refused_by(sieve, task, direction, ret, change))
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
