// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The one BPF object, in the order of the data path: a system call is dispatched, its program extracts the parameters,
 * a template puts the event into the ring.
 */
#include "maps.h"

#include "preemption.c"
#include "dispatch.c"
#include "rules.c"

#include "syscalls/generic.c"
#include "syscalls/access.c"
#include "syscalls/open.c"
#include "syscalls/fds.c"
#include "syscalls/descriptors.c"
#include "syscalls/epoll.c"
#include "syscalls/files.c"
#include "syscalls/paths.c"
#include "syscalls/links.c"
#include "syscalls/nodes.c"
#include "syscalls/owner.c"
#include "syscalls/mounts.c"
#include "syscalls/quota.c"
#include "syscalls/io.c"
#include "syscalls/vectors.c"
#include "syscalls/transfer.c"
#include "syscalls/sockets.c"
#include "syscalls/messages.c"
#include "syscalls/mmsg.c"
#include "syscalls/socketcall.c"
#include "syscalls/sockopt.c"
#include "syscalls/clone.c"
#include "syscalls/exec.c"
#include "syscalls/memory.c"
#include "syscalls/locks.c"
#include "syscalls/process_vm.c"
#include "syscalls/signal.c"
#include "syscalls/identity.c"
#include "syscalls/limits.c"
#include "syscalls/privileges.c"
#include "syscalls/namespaces.c"
#include "syscalls/ptrace.c"
#include "syscalls/modules.c"
#include "syscalls/keyctl.c"
#include "syscalls/wait.c"
#include "syscalls/poll.c"
#include "syscalls/semaphores.c"
#include "syscalls/io_uring.c"

#include "tracepoints/follow.c"
#include "tracepoints/process_exit.c"
#include "tracepoints/sched_switch.c"
#include "tracepoints/signal_deliver.c"
#include "tracepoints/page_fault.c"

#include "floor.c"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
