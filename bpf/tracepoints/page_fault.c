/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * page_fault: the current thread accessed a page that is absent or protected, in user mode or in the kernel on its
 * behalf. Only x86 has these tracepoints.
 *
 * These programs may interrupt another one that reads user memory, so they use no scratch area.
 */
#include "extract/flags.h"
#include "filter.h"
#include "template/ringbuf.h"

static __always_inline u64 page_fault__ip(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, ip);
#else
	return BPF_CORE_READ(regs, pc);
#endif
}

static __always_inline void page_fault__emit(struct sc_call *call, u64 address, struct pt_regs *regs, u64 error)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, page_fault))
		return;
	/* Parameter 1: addr (type: PT_UINT64) */
	ringbuf__store(&ringbuf, page_fault, addr, address);
	/* Parameter 2: ip (type: PT_UINT64) */
	ringbuf__store(&ringbuf, page_fault, ip, page_fault__ip(regs));
	/* Parameter 3: error (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, page_fault, error, pf_flags_to_scap(error));
	ringbuf__submit_event(call, &ringbuf, page_fault);
}

/* Arguments: the address, the registers, the processor's error code. */
static __always_inline int page_fault__run(u64 *ctx, enum sc_tracepoint which)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };

	if (tracepoint__wanted(which) && call__begin(&call)) {
		page_fault__emit(&call, SC_CONTEXT_WORD(ctx, 0), (void *)SC_CONTEXT_WORD(ctx, 1),
				 SC_CONTEXT_WORD(ctx, 2));
		call__end(&call);
	}
	return 0;
}

SEC("tp_btf/page_fault_user") int page_fault(u64 *ctx)
{
	return page_fault__run(ctx, SC_TP_PAGE_FAULT_USER);
}

SEC("tp_btf/page_fault_kernel") int page_fault_kernel(u64 *ctx)
{
	return page_fault__run(ctx, SC_TP_PAGE_FAULT_KERNEL);
}
