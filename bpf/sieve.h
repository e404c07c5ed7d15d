/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The part of a filter that the task, the result or the time of a call decides. It leaves out only what the whole filter
 * refuses; the recorder decides the rest. Nothing is kept with a task but the time of its call: its properties cost less to
 * read than a map.
 */
#pragma once

#include "extract/registers.h"
#include "rules.h"

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

/* Returns whether a test is true, or may be for a reader. */
static __always_inline bool sieve__holds(const struct sc_test *test, struct task_struct *task, enum sc_wanted direction,
					 s64 ret)
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
	return sieve__is_owner(test, task);
}

/* Returns whether a sieve refuses an event of the current task, `task`: a clause has no test that holds. */
static __always_inline bool sieve__is_refused_by(const struct sc_sieve *sieve, struct task_struct *task,
						 enum sc_wanted direction, s64 ret)
{
	u64 count = sieve->count;
	bool holds = false;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_TESTS; i++)
	{
		const struct sc_test *test = &sieve->tests[i];

		if (i >= count)
			break;
		if (!holds)
			holds = sieve__holds(test, task, direction, ret);
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

	if (!sieve__is_refused_by(sieve, task, direction, ret))
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
