/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A task's ids, namespaces, memory, credentials and terminal. */
#pragma once

#include "events_dimensions.h"
#include "extract/task.h"
#include "maps.h"

enum {
	SC_RLIMIT_NOFILE = 7,
};

/* ------------------------------------------------------------------- ids */

static __always_inline struct pid *extract__pid(struct task_struct *task, enum pid_type type)
{
	if (type == PIDTYPE_PID)
		return BPF_CORE_READ(task, thread_pid);
	return BPF_CORE_READ(task, signal, pids[type]);
}

/* Returns the address of a pid's number at a namespace level. */
static __always_inline struct upid *extract__upid(struct pid *pid, u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) + (u64)level * bpf_core_type_size(struct upid);
}

/* Returns the namespace in which a pid was allocated. */
static __always_inline struct pid_namespace *extract__pidns(struct pid *pid)
{
	struct upid *own = extract__upid(pid, BPF_CORE_READ(pid, level));

	return BPF_CORE_READ(own, ns);
}

/* Returns a pid in the initial namespace. */
static __always_inline s64 extract__nr(struct pid *pid)
{
	struct upid *first = extract__upid(pid, 0);

	return BPF_CORE_READ(first, nr);
}

/* Returns a pid in a namespace; 0 if it is not visible there. */
static __always_inline s64 extract__nr_in(struct pid *pid, struct pid_namespace *ns)
{
	u32 level = BPF_CORE_READ(ns, level);
	struct upid *upid = extract__upid(pid, level);

	if (level > BPF_CORE_READ(pid, level) || BPF_CORE_READ(upid, ns) != ns)
		return 0;
	return BPF_CORE_READ(upid, nr);
}

/* Returns one of a task's ids in the task's own namespace. */
static __always_inline s64 extract__vnr(struct task_struct *task, enum pid_type type)
{
	return extract__nr_in(extract__pid(task, type), extract__pidns(extract__pid(task, PIDTYPE_PID)));
}

/* Returns the start time of the init process of the task's pid namespace, in ns of the monotonic clock. */
static __always_inline u64 extract__pidns_start(struct task_struct *task)
{
	struct pid_namespace *ns = extract__pidns(extract__pid(task, PIDTYPE_TGID));

	return BPF_CORE_READ(ns, child_reaper, start_time);
}

/* ---------------------------------------------------------------- memory */

/* The rss counters of struct mm_struct. */
enum {
	SC_MM_FILE,
	SC_MM_ANON,
	SC_MM_SWAP,
	SC_MM_SHMEM,
};

/* Returns the pages of one kind. The sum over the CPUs may be negative for a moment. */
#define extract__pages(mm, which)                                                                              \
	({                                                                                                     \
		s64 pages_;                                                                                    \
		if (bpf_core_type_exists(struct mm_rss_stat))                                                  \
			pages_ = BPF_CORE_READ((struct mm_struct___6_1 *)(mm), rss_stat.count[which].counter); \
		else                                                                                           \
			pages_ = BPF_CORE_READ(mm, rss_stat[which].count);                                     \
		pages_ > 0 ? (u64)pages_ : 0;                                                                  \
	})

/* Memory sizes in KiB; 0 for a task without memory. */
static __always_inline u32 extract__vm_size(struct mm_struct *mm)
{
	return BPF_CORE_READ(mm, total_vm) * sc_constants.page_kib;
}

static __always_inline u32 extract__vm_rss(struct mm_struct *mm)
{
	return (extract__pages(mm, SC_MM_FILE) + extract__pages(mm, SC_MM_ANON) + extract__pages(mm, SC_MM_SHMEM)) *
	       sc_constants.page_kib;
}

static __always_inline u32 extract__vm_swap(struct mm_struct *mm)
{
	return extract__pages(mm, SC_MM_SWAP) * sc_constants.page_kib;
}

/* ------------------------------------------------- limits and credentials */

static __always_inline u64 extract__fdlimit(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, rlim[SC_RLIMIT_NOFILE].rlim_cur);
}

/* Returns the device number of the controlling terminal, as stat(2) encodes it; 0 if there is none. */
static __always_inline u32 extract__tty(struct task_struct *task)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	u32 major, minor;

	if (!tty)
		return 0;
	major = BPF_CORE_READ(tty, driver, major);
	minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

/* Returns the login uid; -1 if unset or the kernel lacks the audit subsystem. */
static __always_inline u32 extract__loginuid(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->loginuid))
		return -1;
	return BPF_CORE_READ(task, loginuid.val);
}

/* Returns a capability set of a task: bit n is capability n. */
#define extract__capabilities(task, set)                                                                         \
	({                                                                                                       \
		u64 caps_ = 0;                                                                                   \
		const struct cred *cred_ = BPF_CORE_READ(task, cred);                                            \
		bpf_probe_read_kernel(&caps_, sizeof(caps_), (void *)cred_ + bpf_core_field_offset(cred_->set)); \
		((1ull << 41) - 1) & caps_;                                                                      \
	})
