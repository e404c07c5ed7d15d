/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The minimum cost of any recorder: bare programs, each doing one thing more than the one before. `scapd bench kernel`
 * measures the event programs against them; no capture loads them.
 */
#include "extract/registers.h"

/* Filled by the programs below, emptied by the benchmark. Not created for a capture. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} floor_ring SEC(".maps");

/* About the size of an access event, in bytes. */
enum { FLOOR_EVENT = 80 };

/* Keeps a value from being optimized away. */
#define FLOOR_USE(value) asm volatile("" ::"r"(value))

static __always_inline void floor__path(u64 *ctx)
{
	struct sc_call call = { .regs = extract__registers(ctx) };
	u32 index = 0;
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &index);

	if (cpu)
		bpf_probe_read_user_str(cpu->scratch[SC_WAY_EXIT], 4096,
					(const void *)extract__syscall_argument(&call, 0));
}

static __always_inline void floor__reserve(void)
{
	void *record = bpf_ringbuf_reserve(&floor_ring, FLOOR_EVENT, 0);

	if (record)
		bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* At a call's entry: an empty program; one that reads the clock; one that also reserves a record. */
SEC("tp_btf/sys_enter") int floor_enter_empty(u64 *ctx __attribute__((unused)))
{
	return 0;
}

SEC("tp_btf/sys_enter") int floor_enter_clock(u64 *ctx __attribute__((unused)))
{
	FLOOR_USE(bpf_ktime_get_boot_ns());
	return 0;
}

SEC("tp_btf/sys_enter") int floor_enter_reserve(u64 *ctx __attribute__((unused)))
{
	FLOOR_USE(bpf_ktime_get_boot_ns());
	floor__reserve();
	return 0;
}

/* At its exit: the same, plus one that reads the path in the first argument. */
SEC("tp_btf/sys_exit") int floor_exit_empty(u64 *ctx __attribute__((unused)))
{
	return 0;
}

SEC("tp_btf/sys_exit") int floor_exit_clock(u64 *ctx __attribute__((unused)))
{
	FLOOR_USE(bpf_ktime_get_boot_ns());
	return 0;
}

SEC("tp_btf/sys_exit") int floor_exit_path(u64 *ctx)
{
	FLOOR_USE(bpf_ktime_get_boot_ns());
	floor__path(ctx);
	return 0;
}

SEC("tp_btf/sys_exit") int floor_exit_reserve(u64 *ctx)
{
	FLOOR_USE(bpf_ktime_get_boot_ns());
	floor__path(ctx);
	floor__reserve();
	return 0;
}
