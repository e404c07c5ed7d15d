/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What leaves out events of calls that are wanted: calls that failed, sampling. The dispatchers come here with a call to
 * which a rule may apply; what none leaves out goes on to its own program. The first call of a part of a second that
 * sampling leaves out, or that it records, goes by way of a `drop` event, which marks that.
 */
#include "extract/registers.h"
#include "rules.h"
#include "template/ringbuf.h"

#define SC_NSEC_PER_SEC 1000000000ull

/* Whether a result is an error. A connection that is being made has not failed. */
static __always_inline bool rules__is_failure(s64 ret)
{
	const s64 max_errno = 4095, einprogress = 115;

	return ret < 0 && ret >= -max_errno && ret != -einprogress;
}

/* Whether a command of fcntl makes or changes a descriptor. */
static __always_inline bool rules__is_for_descriptors(u32 command)
{
	const u32 f_dupfd = 0, f_setfd = 2, f_dupfd_cloexec = 1030;

	return command == f_dupfd || command == f_setfd || command == f_dupfd_cloexec;
}

/* Whether sampling leaves out the return of a call, whatever the time. */
static __always_inline bool rules__is_of_no_use(u64 *ctx, u32 wanted, s64 ret)
{
	const struct sc_call call = {
		.regs = extract__registers(ctx),
		.compat = extract__is_compat(extract__typed_current()),
	};

	if (wanted & SC_SAMPLE_DONE)
		return rules__is_failure(ret);
	return wanted & SC_SAMPLE_DESCRIPTORS && !rules__is_for_descriptors(extract__syscall_argument(&call, 1));
}

/* Whether this moment is in the part of the second that is left out. */
static __always_inline bool rules__is_time_left_out(void)
{
	u64 ratio = sc_settings.sample_ratio;

	return ratio && (sc_settings.boot_time + bpf_ktime_get_boot_ns()) % SC_NSEC_PER_SEC * ratio >= SC_NSEC_PER_SEC;
}

/* Where an event goes on that is recorded in a part of each second: the first ones of a part go by way of a mark. */
static __always_inline u64 rules__slot_by_clock(u64 slot, enum sc_way way)
{
	u32 key = 0, value = 0;

	if (!rules__is_time_left_out()) {
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

/* Where a wanted event of a call goes on: to its own slot, to that of a mark, or nowhere (SC_SLOTS). */
static __always_inline u64 rules__slot(u64 *ctx, u64 slot, enum sc_wanted direction)
{
	enum sc_way way = direction == SC_WANT_EXIT ? SC_WAY_EXIT : SC_WAY_ENTER;
	u32 wanted = sc_settings.wanted[slot];
	s64 ret = direction == SC_WANT_EXIT ? extract__result(ctx) : 0;

	if (wanted & SC_SAMPLE_NOTHING || (direction == SC_WANT_EXIT && rules__is_of_no_use(ctx, wanted, ret))) {
		rules__sampled(way);
		return SC_SLOTS;
	}
	if (wanted & SC_DROP_FAILED && rules__is_failure(ret)) {
		rules__failed(way);
		return SC_SLOTS;
	}
	return wanted & SC_SAMPLE_BY_CLOCK ? rules__slot_by_clock(slot, way) : slot;
}

/* Goes on to a slot's program; comes back only if there is none. */
#define rules__go_on(ctx, programs, slot, way)      \
	do {                                        \
		bpf_tail_call(ctx, programs, slot); \
		dispatch__missed(way);              \
	} while (0)

/* The slot of the call that the context is of. */
static __always_inline u64 rules__slot_of_call(u64 *ctx, u64 number)
{
	return extract__slot(ctx, number, extract__is_compat(extract__typed_current()));
}

SEC("tp_btf/sys_enter") int rules_enter(u64 *ctx)
{
	u64 slot = rules__slot(ctx, rules__slot_of_call(ctx, SC_CONTEXT_WORD(ctx, 1)), SC_WANT_ENTER);

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

#define drop__record(ctx, event_way, program)                                                      \
	do {                                                                                       \
		struct sc_call call = { .way = event_way };                                        \
		struct ringbuf_struct ringbuf;                                                     \
                                                                                                   \
		if (!call__begin_syscall(&call, ctx))                                              \
			break;                                                                     \
		if (ringbuf__reserve_space(&call, &ringbuf, program)) {                            \
			/* Parameter 1: ratio (type: PT_UINT32); 1 when sampling has been ended */ \
			ringbuf__store(&ringbuf, program, ratio, sc_settings.sample_ratio ?: 1);   \
			ringbuf__submit_event(&call, &ringbuf, program);                           \
		}                                                                                  \
		call__end(&call);                                                                  \
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
	rules__go_on(ctx, &enter_programs, rules__slot_of_call(ctx, SC_CONTEXT_WORD(ctx, 1)), SC_WAY_ENTER);
	return 0;
}
