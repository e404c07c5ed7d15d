/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The rules that leave out events of wanted calls: failed calls, sampling, and exit events recorded only for names that
 * change no name, also because the filter does not take them. The dispatchers call these programs if a rule may apply;
 * events that no rule leaves out go on to their own program. When sampling by the clock starts or stops leaving out events,
 * a `drop` event marks that first.
 */
#include "extract/files.h"
#include "extract/messages.h"
#include "extract/registers.h"
#include "extract/sockets.h"
#include "rules.h"
#include "sieve.h"
#include "template/ringbuf.h"

#define SC_NSEC_PER_SEC 1000000000ull

/* Returns whether an fcntl command duplicates a descriptor. */
static __always_inline bool rules__duplicates(u32 command)
{
	const u32 f_dupfd = 0, f_dupfd_cloexec = 1030;

	return command == f_dupfd || command == f_dupfd_cloexec;
}

/* Returns whether an fcntl command creates or changes a descriptor. */
static __always_inline bool rules__is_for_descriptors(u32 command)
{
	const u32 f_setfd = 2;

	return rules__duplicates(command) || command == f_setfd;
}

/* Returns whether a prctl option changes a thread's name or the parent of orphans. */
static __always_inline bool rules__names_process(u32 option)
{
	const u32 pr_set_name = 15, pr_set_child_subreaper = 36;

	return option == pr_set_name || option == pr_set_child_subreaper;
}

static __always_inline bool rules__is_directory(s64 fd)
{
	const u32 s_ifmt = 0170000, s_ifdir = 0040000;

	return (BPF_CORE_READ(extract__file(fd), f_inode, i_mode) & s_ifmt) == s_ifdir;
}

/* Returns whether a message header has an address, or control data, which may carry descriptors. */
static __always_inline bool rules__is_addressed(const struct sc_call *call)
{
	struct sc_msghdr header;

	message__read_header(call, socket__argument(call, 1), &header);
	return header.name || header.controllen;
}

/* Returns the context's call with just what reading its arguments needs. */
static __always_inline struct sc_call rules__call(u64 *ctx)
{
	return (struct sc_call){
		.regs = extract__registers(ctx),
		.compat = extract__is_compat(extract__typed_current()),
	};
}

/* Returns whether an exit event that is recorded only for names changes a name. */
static __always_inline bool rules__changes_names(u64 *ctx, u64 slot, s64 ret)
{
	const struct sc_call call = rules__call(ctx);
	u32 names = sc_routes.names[slot];

	if (rules__is_failure(ret))
		return false;
	if (names & SC_NAMES_FCNTL && !rules__duplicates(extract__syscall_argument(&call, 1)))
		return false;
	if (names & SC_NAMES_PRCTL && !rules__names_process(extract__syscall_argument(&call, 0)))
		return false;
	if (names & SC_NAMES_ADDRESS && !socket__argument(&call, 4))
		return false;
	if (names & SC_NAMES_MESSAGE && !rules__is_addressed(&call))
		return false;
	return !(names & SC_NAMES_DESCRIPTOR && sc_settings.directories_only) || rules__is_directory(ret);
}

/* Returns whether both events of a call are wanted: sampling then keeps or leaves out both. */
static __always_inline bool rules__is_pair(u32 wanted)
{
	return wanted & SC_WANT_ENTER && wanted & SC_WANT_EXIT && !(wanted & SC_FOR_NAMES);
}

/*
 * Returns whether sampling leaves out an event at any time. At the entry nobody knows whether the call will fail, so a
 * recorded enter event keeps its exit event.
 */
static __always_inline bool rules__is_of_no_use(u64 *ctx, u32 wanted, s64 ret)
{
	const struct sc_call call = rules__call(ctx);

	if (wanted & SC_SAMPLE_NOTHING)
		return true;
	if (wanted & SC_SAMPLE_DONE)
		return !rules__is_pair(wanted) && rules__is_failure(ret);
	return wanted & SC_SAMPLE_DESCRIPTORS && !rules__is_for_descriptors(extract__syscall_argument(&call, 1));
}

/* Returns whether sampling leaves out the current part of the second. */
static __always_inline bool rules__is_time_left_out(void)
{
	u64 ratio = sc_settings.sample_ratio;

	return ratio && (sc_settings.boot_time + bpf_ktime_get_boot_ns()) % SC_NSEC_PER_SEC * ratio >= SC_NSEC_PER_SEC;
}

/* Returns the slot for an event sampled by the clock: the first one of each part goes through a mark's program. */
static __always_inline u64 rules__slot_by_clock(u64 slot, bool left_out, enum sc_way way)
{
	u32 key = 0, value = 0;

	if (!left_out) {
		if (!sc_sampling.leaving_out || bpf_map_delete_elem(&sampling_mark, &key))
			return slot;
		sc_sampling.leaving_out = 0;
		return SC_SLOT_DROP_X;
	}
	rules__sampled(way);
	if (sc_sampling.leaving_out || bpf_map_update_elem(&sampling_mark, &key, &value, BPF_NOEXIST))
		return SC_SLOTS;
	sc_sampling.leaving_out = 1;
	return SC_SLOT_DROP_E;
}

#if defined(__TARGET_ARCH_x86)
#define SC_NR_EXIT 60
#define SC_NR_EXIT_GROUP 231
#else
#define SC_NR_EXIT 93
#define SC_NR_EXIT_GROUP 94
#endif

/* The same for the enter event of a pair. */
static __always_inline u64 rules__slot_of_entry(u64 slot, enum sc_way way)
{
	u32 tid = TASK_FIELD(extract__typed_current(), pid), in_call = 1;
	bool left_out = rules__is_time_left_out();
	bool returns = slot != SC_NR_EXIT && slot != SC_NR_EXIT_GROUP;

	if (!left_out && returns && bpf_map_update_elem(&sampled_calls, &tid, &in_call, BPF_ANY)) {
		rules__sampled(way);
		return SC_SLOTS;
	}
	return rules__slot_by_clock(slot, left_out, way);
}

/* The same for the exit event of a pair: recorded if the enter event was, whatever the time is now. */
static __always_inline u64 rules__slot_of_return(u64 slot, enum sc_way way)
{
	u32 tid = TASK_FIELD(extract__typed_current(), pid);

	if (!bpf_map_delete_elem(&sampled_calls, &tid))
		return slot;
	rules__sampled(way);
	return SC_SLOTS;
}

/* Returns whether the filter takes a return only if that changes a name. */
static __always_inline bool rules__is_sieved(u64 *ctx, u64 slot, s64 ret)
{
	return sc_constants.filters && sc_settings.sieve &&
	       sieve__judge(ctx, extract__typed_current(), slot, SC_WANT_EXIT, ret) != SIEVE_TAKES;
}

/* Returns the slot for a wanted event: its own, a mark's, or SC_SLOTS if a rule leaves it out. */
static __always_inline u64 rules__slot(u64 *ctx, u64 slot, enum sc_wanted direction)
{
	enum sc_way way = direction == SC_WANT_EXIT ? SC_WAY_EXIT : SC_WAY_ENTER;
	u32 wanted = sc_settings.wanted[slot];
	s64 ret = direction == SC_WANT_EXIT ? extract__result(ctx) : 0;

	if (direction == SC_WANT_EXIT && wanted & SC_FOR_NAMES)
		return rules__changes_names(ctx, slot, ret) ? slot : (u64)SC_SLOTS;
	if (direction == SC_WANT_EXIT && rules__is_sieved(ctx, slot, ret)) {
		if (rules__changes_names(ctx, slot, ret))
			return slot;
		sieve__count(way);
		return SC_SLOTS;
	}
	if (rules__is_of_no_use(ctx, wanted, ret)) {
		rules__sampled(way);
		return SC_SLOTS;
	}
	if (wanted & SC_DROP_FAILED && rules__is_failure(ret)) {
		rules__failed(way);
		return SC_SLOTS;
	}
	if (!(wanted & SC_SAMPLE_BY_CLOCK))
		return slot;
	/* After sampling has ended, enter events are no longer remembered. */
	if (!rules__is_pair(wanted) || !sc_settings.sample_ratio)
		return rules__slot_by_clock(slot, rules__is_time_left_out(), way);
	return direction == SC_WANT_ENTER ? rules__slot_of_entry(slot, way) : rules__slot_of_return(slot, way);
}

/* Tail-calls a slot's program; returns only if there is none. */
#define rules__go_on(ctx, programs, slot, way)      \
	do {                                        \
		bpf_tail_call(ctx, programs, slot); \
		dispatch__missed(way);              \
	} while (0)

/* Returns the slot of the context's call. */
static __always_inline u64 rules__slot_of_call(u64 *ctx, u64 number)
{
	return extract__slot(ctx, number, extract__is_compat(extract__typed_current()));
}

SEC("tp_btf/sys_enter") int rules_enter(u64 *ctx)
{
	u64 slot = rules__slot(ctx, rules__slot_of_call(ctx, extract__enter_number(ctx)), SC_WANT_ENTER);

	if (slot != SC_SLOTS)
		rules__go_on(ctx, &enter_programs, slot, SC_WAY_ENTER);
	return 0;
}

SEC("tp_btf/sys_exit") int rules_exit(u64 *ctx)
{
	u64 slot = rules__slot(ctx, rules__slot_of_call(ctx, extract__exit_number(ctx)), SC_WANT_EXIT);

	if (slot != SC_SLOTS)
		rules__go_on(ctx, &exit_programs, slot, SC_WAY_EXIT);
	return 0;
}

#define drop__record(ctx, event_way, program)                                                    \
	do {                                                                                     \
		struct sc_call call = { .way = event_way };                                      \
		struct ringbuf_struct ringbuf;                                                   \
                                                                                                 \
		if (!call__begin_syscall(&call, ctx))                                            \
			break;                                                                   \
		if (ringbuf__reserve_space(&call, &ringbuf, program)) {                          \
			/* Parameter 1: ratio (type: PT_UINT32); 1 after sampling has ended */   \
			ringbuf__store(&ringbuf, program, ratio, sc_settings.sample_ratio ?: 1); \
			ringbuf__submit_event(&call, &ringbuf, program);                         \
		}                                                                                \
		call__end(&call);                                                                \
	} while (0)

SEC("tp_btf/sys_exit") int drop_e(u64 *ctx)
{
	drop__record(ctx, SC_WAY_EXIT, drop_e);
	return 0;
}

SEC("tp_btf/sys_enter") int drop_e_on_enter(u64 *ctx)
{
	drop__record(ctx, SC_WAY_ENTER, drop_e);
	return 0;
}

SEC("tp_btf/sys_exit") int drop_x(u64 *ctx)
{
	drop__record(ctx, SC_WAY_EXIT, drop_x);
	rules__go_on(ctx, &exit_programs, rules__slot_of_call(ctx, extract__exit_number(ctx)), SC_WAY_EXIT);
	return 0;
}

SEC("tp_btf/sys_enter") int drop_x_on_enter(u64 *ctx)
{
	drop__record(ctx, SC_WAY_ENTER, drop_x);
	rules__go_on(ctx, &enter_programs, rules__slot_of_call(ctx, extract__enter_number(ctx)), SC_WAY_ENTER);
	return 0;
}
