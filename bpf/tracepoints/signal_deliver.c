/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* signaldeliver: a thread takes a signal, to its handler or the default action. */
#include "filter.h"
#include "template/ringbuf.h"

/* The values of si_code with a sender's id, from <asm-generic/siginfo.h>. */
enum {
	SC_SI_USER = 0,
	SC_SI_QUEUE = -1,
	SC_SI_MESGQ = -3,
	SC_SI_TKILL = -6,
	SC_SIGCHLD = 17,
};

/*
 * Returns the sender's pid in the receiver's namespace; 0 for the kernel. `info` is NULL for a signal that ends the
 * process at once: the kernel delivers it as SIGKILL without siginfo.
 */
static __always_inline s64 signal_deliver__sender(int signal, struct kernel_siginfo *info)
{
	int code = BPF_CORE_READ(info, si_code);

	/* Of the kernel's own signals, only SIGCHLD carries a pid. */
	if (code > 0 && signal != SC_SIGCHLD)
		return 0;
	if (code <= 0 && code != SC_SI_USER && code != SC_SI_QUEUE && code != SC_SI_MESGQ && code != SC_SI_TKILL)
		return 0;
	return BPF_CORE_READ(info, _sifields._kill._pid);
}

static __always_inline void signal_deliver__emit(struct sc_call *call, int signal, struct kernel_siginfo *info)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, signal_deliver))
		return;
	/* Parameter 1: spid (type: PT_PID) */
	ringbuf__store(&ringbuf, signal_deliver, spid, signal_deliver__sender(signal, info));
	/* Parameter 2: dpid (type: PT_PID) */
	ringbuf__store(&ringbuf, signal_deliver, dpid, (u32)bpf_get_current_pid_tgid());
	/* Parameter 3: sig (type: PT_SIGTYPE) */
	ringbuf__store(&ringbuf, signal_deliver, sig, signal);
	ringbuf__submit_event(call, &ringbuf, signal_deliver);
}

/* Arguments: the signal, its siginfo, its handler. */
SEC("tp_btf/signal_deliver") int signal_deliver(u64 *ctx)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };

	if (tracepoint__wanted(SC_TP_SIGNAL_DELIVER) && call__begin(&call)) {
		signal_deliver__emit(&call, SC_CONTEXT_WORD(ctx, 0), (void *)SC_CONTEXT_WORD(ctx, 1));
		call__end(&call);
	}
	return 0;
}
