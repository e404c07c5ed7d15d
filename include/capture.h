/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the recorder tells the programs, and what they tell it. The Rust types of these structures come with the
 * skeleton, from this object's BTF.
 */
#pragma once

#include "events_dimensions.h"

enum {
	/* System call numbers are below this on every architecture. */
	SC_NR_MAX = 512,
	/*
	 * A slot is what a call is routed and selected by: its number; SC_NR_MAX + its number for a 32-bit call on
	 * x86-64 without a 64-bit twin; SC_SLOT_UNKNOWN for a number beyond the tables, and for each 32-bit call on
	 * arm64; SC_SLOT_UNKNOWN + its number of socketcall for a call that exists only there.
	 */
	SC_SLOT_UNKNOWN = 2 * SC_NR_MAX,
	SC_SOCKETCALL_MAX = 32,   /* the numbers of socketcall are below this */
	SC_SLOTS = 4 * SC_NR_MAX, /* a power of two: an index is masked, not compared */
	/* Not of a call: the program that applies the rules, those of the events that sampling makes. */
	SC_SLOT_RULES = SC_SLOTS - 3,
	SC_SLOT_DROP_E = SC_SLOTS - 2,
	SC_SLOT_DROP_X = SC_SLOTS - 1,
	SC_DIRECT = 4,
	/* Calls that can be in progress at once while sampling: see sampled_calls. */
	SC_SAMPLED_CALLS = 16384,
};

/*
 * The native number in a generic event has 16 bits, and readers look it up in their table of 64-bit calls, which ends
 * below 512, if they do not know the call's code. These numbers are in no table.
 */
enum sc_native {
	SC_NATIVE_NUMBER = 0x3fff, /* the bits of the call's own number */
	SC_NATIVE_X32 = 0x4000,    /* + the number: an x32 call; in the register the flag is 1 << 30 */
	SC_NATIVE_32BIT = 0x8000,  /* + the number: a 32-bit call that the tables do not know */
	SC_NATIVE_BEYOND = 0xffff, /* a number that does not fit */
};

/* Versions of the event table, by the version of Falco's libs that they came with: what P_0_25 in events.def refers to. */
enum sc_schema {
	SC_SCHEMA_0_23 = 23,
	SC_SCHEMA_0_25 = 25,
};

/* How the syscall programs are attached; chosen before they are loaded. */
enum sc_attach {
	SC_ATTACH_BTF,        /* tp_btf: registers come as an argument */
	SC_ATTACH_TRACEPOINT, /* tracepoint/raw_syscalls: registers are those of the current task */
};

/*
 * Which events of a slot are wanted, and what leaves some of these out all the same: the bits of sc_settings.wanted. A
 * byte has both, so that a call to which no rule applies costs no second look.
 */
enum sc_wanted {
	SC_WANT_ENTER = 1,
	SC_WANT_EXIT = 2,
	SC_WANT_RULES = 0xfc, /* those below */
	SC_DROP_FAILED = 4,   /* no returns of calls that failed */
	/* While sampling: */
	SC_SAMPLE_BY_CLOCK = 8,     /* nothing but in the first part of each second */
	SC_SAMPLE_NOTHING = 16,     /* nothing */
	SC_SAMPLE_DONE = 32,        /* no returns of calls that failed, unless their entries are recorded */
	SC_SAMPLE_DESCRIPTORS = 64, /* no fcntl that changes no descriptor */
	/* Returns are recorded to keep names right, and only those that change a name. No other rule applies to them. */
	SC_FOR_NAMES = 128,
} __attribute__((packed));

/* How to tell whether the return of a call changes a name: the bits of sc_routes.names. Without one, every success does. */
enum sc_names {
	SC_NAMES_DESCRIPTOR = 1, /* the result is a descriptor, which may be of a directory */
	SC_NAMES_FCNTL = 2,      /* only commands that duplicate a descriptor do */
	SC_NAMES_PRCTL = 4,      /* only some options do */
	SC_NAMES_ADDRESS = 8,    /* only with an address in argument 4 */
	SC_NAMES_MESSAGE = 16,   /* only with an address or control data in the message header of argument 1 */
} __attribute__((packed));

/* Which tracepoint events are wanted: bits of sc_settings.tracepoints. */
enum sc_tracepoint {
	SC_TP_PROCESS_EXIT = 1,
	SC_TP_PROCESS_EXEC = 2,
	SC_TP_PROCESS_FORK = 4,
	SC_TP_SCHED_SWITCH = 8,
	SC_TP_SIGNAL_DELIVER = 16,
	SC_TP_PAGE_FAULT_USER = 32,
	SC_TP_PAGE_FAULT_KERNEL = 64,
	/* Those that sampling leaves out: their bits, shifted by 8. */
	SC_TP_LEFT_OUT = 0xff00,
};

/* Fixed before the programs are loaded: the verifier drops what a branch on them excludes. */
struct sc_constants {
	u32 attach;      /* enum sc_attach */
	u32 preemptible; /* whether another task's program may run on this CPU in the middle of a system call's */
	u32 tracepoints_preemptible; /* the same of a tracepoint's program */
	u32 page_kib;                /* the size of a page of memory */
	enum sc_schema schema;       /* parameters of later ones are left out */
	/*
	 * Slots whose programs are called directly: where the kernel guards indirect jumps, that saves the guard. The
	 * verifier sees constants here, and the kernel makes such a tail call a plain jump.
	 */
	u32 direct[SC_DIRECT];
};

/* May change while the capture runs: the recorder maps the memory. */
struct sc_settings {
	u64 boot_time;    /* ns from the epoch to the machine's start: event time = this + the boot-time clock */
	u32 active;       /* the gate of the tracepoints: they record nothing while it is 0 */
	u32 snaplen;      /* bytes of data that an event keeps at most; an event's size is a limit, too */
	u32 skip_tgid;    /* a process whose events are left out (the recorder's own), or -1: the idle tasks are 0 */
	u32 targets_only; /* record only the tasks in the map `targets` */
	u32 submit_flags; /* BPF_RB_NO_WAKEUP; BPF_RB_FORCE_WAKEUP while the recorder waits for an event */
	u32 backlog;      /* the recorder takes no events, as the disk is behind: why a ring is full */
	enum sc_tracepoint tracepoints;
	u32 dynamic_snaplen;    /* traffic of some kinds keeps more than the snaplen: see extract/snaplen.h */
	u32 full_capture_ports; /* for it: the first port of a range, and in the high half the last one; or 0 */
	u32 statsd_port;        /* for it: where statsd listens; or 0 */
	u32 sample_ratio;       /* one part of so many of each second is recorded; 0: not sampling */
	u32 directories_only;   /* of the descriptors, only the names of directories are needed: see SC_FOR_NAMES */
	enum sc_wanted wanted[SC_SLOTS];
	/*
	 * The same by the number that a call has, whoever makes it; the last one stands for all numbers beyond. What is not
	 * wanted here leaves without a look at the task. All 0 while the gate is closed.
	 */
	u8 wanted_number[SC_NR_MAX + 1];
};

/* Events lost on CPUs that came after the programs were loaded, beyond the room for them. */
struct sc_elsewhere {
	u64 lost;
};

/* Where sampling stands: written and read by the programs. */
struct sc_sampling {
	u32 leaving_out; /* a drop_e event was made, and no drop_x event since */
};

/* Which call a slot stands for. Written before the programs are loaded. */
struct sc_routes {
	u16 code[SC_SLOTS]; /* the stable code, carried by generic events */
	enum sc_names names[SC_SLOTS];
	u16 compat_slot[SC_NR_MAX]; /* the slot of a 32-bit call */
	/* The slot of what a socketcall is for, by its first argument; its own where there is no such call. */
	u16 socketcall_slot[SC_SOCKETCALL_MAX];
};

/* What bpf/preemption.c finds out. */
struct sc_preemption {
	u32 tid;      /* the thread that makes the call; set before the program is attached */
	s32 on_entry; /* the preempt count as the program is entered */
	s32 when_off; /* the preempt count with preemption disabled once more */
	u32 measured; /* whether both numbers were taken */
};

/* An id of a task or of a session, as bpf/tasks.c writes it; 0 if the namespace does not have it. */
struct sc_translated {
	u32 own;     /* in the recorder's pid namespace */
	u32 initial; /* in the initial one: as events have it */
};

/* An entry of the map `targets`. */
enum sc_target {
	SC_TARGET_ACTIVE = 1,
	SC_TARGET_AT_EXEC = 2, /* becomes active as it enters execve */
};

/* What became of the events of one type on one CPU. What was seen and not lost is in the ring. */
struct sc_counters {
	u64 seen;
	u64 lost_ring_full;
	u64 lost_backlog; /* the ring was full as the recorder waited for the disk */
	u64 lost_too_large;
	u64 lost_no_scratch;
};

/* Losses that belong to no event type. */
struct sc_cpu_losses {
	u64 no_program;   /* a wanted call whose tail call failed */
	u64 targets_full; /* a child that could not be followed: the map `targets` is full */
};

/* Wanted events that a rule left out: they are neither seen nor lost. */
struct sc_left_out {
	u64 failed;  /* returns of calls that failed */
	u64 sampled; /* by sampling */
};

/* The ways into the programs of a CPU. Within the first two, no run comes between another one's start and end. */
enum sc_way {
	SC_WAY_ENTER,
	SC_WAY_EXIT,
	SC_WAY_TRACEPOINT,
	SC_WAYS,
};

enum {
	/* An offset is masked to SC_SCRATCH_HALF - 1, a single write is at most SC_SCRATCH_HALF long. */
	SC_SCRATCH_HALF = 65536,
	SC_SCRATCH_SIZE = 2 * SC_SCRATCH_HALF,
};

/*
 * One for each CPU. Written by the programs on that CPU; the recorder reads all but the scratch areas, in mapped memory.
 *
 * `running` is raised before a program reads the clock, and lowered after it has committed its event. So whoever finds
 * each way at 0, at some moment after having read the clock, has all events of that CPU from before that time in its
 * ring: the merge relies on it.
 */
struct sc_cpu {
	u64 running[SC_WAYS]; /* runs that have begun and not ended */
	u32 tid;    /* what the dispatcher found out for the program that it goes on to: the current thread, */
	u32 compat; /* and whether its system call is a 32-bit one; nobody's, if `preemptible` */
	u64 lost;   /* the sum of all losses below: one look tells whether there are new ones */
	struct sc_cpu_losses losses;
	struct sc_left_out left_out;
	struct sc_counters events[PPM_EVENT_MAX];
	/* Where events of variable size are put together before they are copied into the ring. */
	u8 scratch[SC_WAYS][SC_SCRATCH_SIZE];
};
