/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The interface between the recorder and the programs. The skeleton derives the Rust types of these structures from
 * the object's BTF.
 */
#pragma once

#include "call_rows.h"
#include "extensions_dimensions.h"

enum {
	/* System call numbers are below this on every architecture. */
	SC_NR_MAX = 512,
	SC_SOCKETCALL_MAX = 32,   /* socketcall numbers are below this */
	SC_SLOTS = 4 * SC_NR_MAX, /* a power of two, so that an index can be masked */
	SC_DIRECT = 4,
	/* Calls in progress at once while sampling: the size of the map sampled_calls; that of timed_calls. */
	SC_SAMPLED_CALLS = 16384,
	SC_TIMED_CALLS = 16384,
	SC_VERDICTS = 8192,  /* processes that the recorder knows a verdict of */
	SC_GENERATIONS = 32, /* ancestors that a test looks at */
};

/*
 * Calls are routed and selected by slot: the call's number; SC_NR_MAX + its number for a 32-bit call on x86-64 without a
 * 64-bit twin; SC_SLOT_UNKNOWN for a number beyond the tables and for every 32-bit call on arm64; SC_SLOT_UNKNOWN + its
 * socketcall number for a call that exists only in socketcall.
 */
enum sc_slot {
	SC_SLOT_UNKNOWN = 2 * SC_NR_MAX,
	/*
	 * Slots without a call: the dispatcher, if heads call it; the program that asks the filter about arguments, the rules
	 * program and those of sampling's marks.
	 */
	SC_SLOT_DISPATCH = SC_SLOTS - 5,
	SC_SLOT_SIFT = SC_SLOTS - 4,
	SC_SLOT_RULES = SC_SLOTS - 3,
	SC_SLOT_DROP_E = SC_SLOTS - 2,
	SC_SLOT_DROP_X = SC_SLOTS - 1,
};

/*
 * The native number in a generic event has 16 bits. Readers that do not know the call's code look the number up in
 * their table of 64-bit calls, which ends below 512. The numbers below are in no table.
 */
enum sc_native {
	SC_NATIVE_NUMBER = 0x3fff, /* the bits of the call's own number */
	SC_NATIVE_X32 = 0x4000,    /* + the number: an x32 call (the register has 1 << 30) */
	SC_NATIVE_32BIT = 0x8000,  /* + the number: a 32-bit call that the tables do not know */
	SC_NATIVE_BEYOND = 0xffff, /* a number that does not fit */
};

/* Versions of the event table, named after the release of Falco's libs that introduced them (P_0_25 in events.def). */
enum sc_schema {
	SC_SCHEMA_0_23 = 23,
	SC_SCHEMA_0_25 = 25,
};

/* How the syscall programs are attached; chosen before loading. */
enum sc_attach {
	SC_ATTACH_BTF,        /* tp_btf: the registers are an argument */
	SC_ATTACH_TRACEPOINT, /* tracepoint/raw_syscalls: the registers come from the current task */
	SC_ATTACH_FUNCTION,   /* fentry, fexit on the functions of calls: the registers are an argument */
};

/*
 * The bits of sc_settings.wanted: the wanted events of a slot, and the rules that leave some of them out. Both are in
 * one byte, so that a call without rules costs no second lookup.
 */
enum sc_wanted {
	SC_WANT_ENTER = 1,
	SC_WANT_EXIT = 2,
	SC_WANT_RULES = 0xfc, /* any bit below */
	SC_DROP_FAILED = 4,   /* no exit events of failed calls */
	/* While sampling: */
	SC_SAMPLE_BY_CLOCK = 8,     /* only events in the first part of each second */
	SC_SAMPLE_NOTHING = 16,     /* no events */
	SC_SAMPLE_DONE = 32,        /* no exit events of failed calls, unless enter events are wanted too */
	SC_SAMPLE_DESCRIPTORS = 64, /* no fcntl commands that leave descriptors unchanged */
	/* Exit events are recorded only for names: those that change one. No other rule applies. */
	SC_FOR_NAMES = 128,
} __attribute__((packed));

/* The bits of sc_routes.names: when a call's exit event changes a name. Without a bit, every success does. */
enum sc_names {
	SC_NAMES_DESCRIPTOR = 1, /* the result is a descriptor, possibly a directory's */
	SC_NAMES_FCNTL = 2,      /* only for commands that duplicate a descriptor */
	SC_NAMES_PRCTL = 4,      /* only for some options */
	SC_NAMES_ADDRESS = 8,    /* only with an address in argument 4 */
	SC_NAMES_MESSAGE = 16,   /* only with an address or control data in the message header in argument 1 */
} __attribute__((packed));

/* The bits of sc_settings.tracepoints: the wanted tracepoint events. */
enum sc_tracepoint {
	SC_TP_PROCESS_EXIT = 1,
	SC_TP_PROCESS_EXEC = 2,
	SC_TP_PROCESS_FORK = 4,
	SC_TP_SCHED_SWITCH = 8,
	SC_TP_SIGNAL_DELIVER = 16,
	SC_TP_PAGE_FAULT_USER = 32,
	SC_TP_PAGE_FAULT_KERNEL = 64,
	SC_TP_IO_URING = 128,
	/* The events that sampling leaves out: the same bits, shifted left by 8. */
	SC_TP_LEFT_OUT = 0xff00,
};

/* The arguments of io_uring_submit_sqe; those of io_uring_submit_req, from 6.4 on, are SC_IO_URING_SUBMIT_REQ. */
enum sc_io_uring_submit {
	SC_IO_URING_SUBMIT_REQ,      /* the request; from 6.0 */
	SC_IO_URING_SUBMIT_RING_REQ, /* the ring, the request, ...; from 5.13 */
};

/* The arguments of io_uring_complete. */
enum sc_io_uring_complete {
	SC_IO_URING_COMPLETE_CQE, /* the ring, the request, the entry; from 6.15 */
	SC_IO_URING_COMPLETE_REQ, /* the ring, the request, user_data, the result, flags, ...; from 5.18 */
	SC_IO_URING_COMPLETE_RES, /* the ring, user_data, the result, flags */
};

/* Set before the programs are loaded: the verifier removes branches that they exclude. */
struct sc_constants {
	enum sc_attach attach;
	u32 preemptible;             /* whether another task can preempt a system call's program */
	u32 tracepoints_preemptible; /* the same for tracepoint programs */
	u32 page_kib;                /* the page size in KiB */
	enum sc_schema schema;       /* parameters of later schemas are left out */
	/* The arguments of io_uring's tracepoints. */
	enum sc_io_uring_submit io_uring_submit;
	enum sc_io_uring_complete io_uring_complete;
	u32 no_env;     /* leave out the environment of programs */
	u32 no_data;    /* leave out the data that calls move, whatever the snaplen is */
	u32 filters;    /* the filter may be set */
	u32 arguments;  /* it may have tests of arguments: the kernel lets programs with functions call others */
	u32 args_limit; /* bytes of a program's arguments, and of its environment, that its extension keeps */
	/*
	 * Slots that are called directly: their tail calls have a constant index, so the kernel makes them plain jumps,
	 * which saves the guard on indirect jumps.
	 */
	enum sc_slot direct[SC_DIRECT];
};

/* The numbers that a test of the filter can be about: of the current task, or of the call that returns. */
struct sc_numbers {
	u64 tid, pid;
	u64 uid, gid; /* the effective ones */
	u64 result;
	u64 low_result; /* its low 32 bits, which are signed: all that some events have */
	u64 elapsed;    /* ns from the call's entry to its return */
};

/* What makes a test true whatever its number is. */
enum sc_fact {
	SC_FACT_ENTRY = 1, /* there is no result yet, and no time */
	/* Readers may have another user and group: so of a task in a user namespace, and of a 32-bit one. */
	SC_FACT_OPEN_OWNER = 2,
	SC_FACT_ANCESTOR = 16, /* the first bit of the tests in `ancestors` */
	SC_FACT_END = 256,     /* the first bit of those in `ends` */
};

/*
 * A test: its number is within bounds, and its name has some bytes; or not, if `negated`. Or one of its facts holds. All of it is
 * masks, so that a program has no branches: the verifier would follow each one in every test.
 */
struct sc_test {
	s64 least, most;
	struct sc_numbers numbers; /* all bits of the one that is compared, if any; else 0 is */
	u64 name[2], counts[2];    /* the bytes of a name, and the bits of them that count */
	u32 negated;               /* 1 or 0 */
	enum sc_fact facts;
	u64 lasts; /* a bit of `fails` of the process's verdict: it must not be set */
};

enum {
	SC_TESTS = 32,
	SC_CLAUSES = 16,
	SC_ANCESTORS = 4,
	SC_ENDS = 8,
	SC_ARGUED = (SC_COUNTED + 7) / 8 * 8,
	SC_COMPARED = 64,        /* groups of tests of arguments; a power of two */
	SC_COMPARED_OF_CALL = 8, /* the most of a group */
	SC_PARAMS = 64,          /* an event has fewer parameters */
	SC_TEXT = 255,           /* the bytes of a text that are compared, with its NUL */
	SC_TEXTS = 32768,        /* texts that arguments are compared with, in two filters */
	SC_PLAIN = 1024,         /* the most bytes of a path that is looked through for what makes it another one */
};

/* How an argument is compared. */
enum sc_argument_is {
	SC_ARGUMENT_OF_EXTENSION = 1, /* a parameter of the event's extension */
	SC_ARGUMENT_PATH = 2,         /* readers have the absolute path: one that may be another path may match */
	SC_ARGUMENT_DONE = 4,         /* readers have it only if the call returns 0 */
	SC_ARGUMENT_IF_ABSENT = 8,    /* the test is true if they do not have it */
	SC_ARGUMENT_REVERSED = 16,    /* its end is compared, backwards */
	SC_ARGUMENT_NEGATED = 32,
	SC_ARGUMENT_ENDS = 64,  /* the last of its clause */
	SC_ARGUMENT_LAST = 128, /* the last of its group */
} __attribute__((packed));

/* Whether a text that an event has as a parameter begins with one of some texts. */
struct sc_argument {
	u8 param; /* its index in the event, or in its extension */
	u8 bit;   /* of these texts, in the map `texts` */
	enum sc_argument_is is;
	u8 unused;
};

/*
 * A text in the map `texts`; an argument is compared with its longest start there. A text with its NUL at the end has to be all
 * of it.
 */
struct sc_text {
	u32 bits; /* the length of what follows */
	u8 space; /* bit 0: the sieve that it belongs to; bit 1: it is written backwards */
	u8 text[SC_TEXT];
};

/* Whether the id of an ancestor is within bounds, in the generations within bounds. The parent is one generation above. */
struct sc_ancestor {
	u32 pid, pids; /* the lowest id, and the number of ids */
	u32 generation, generations;
	s64 negated; /* -1: the id must not be within them */
};

/* Whether an end of a connection has an address in a network, and a port within bounds. */
struct sc_end {
	u64 address[2];  /* of IPv6, as in memory; IPv4 is mapped */
	u64 counts[2];   /* its bits that count */
	u32 port, ports; /* the lowest port, and the number of ports */
};

/*
 * What the kernel decides of a filter: an event is left out if all tests of a clause are false. `keeps` has the events of
 * each slot that are recorded even then (SC_WANT_ENTER; SC_WANT_EXIT for returns that change a name), so that the recorder
 * can decide the rest.
 */
struct sc_sieve {
	u16 count;         /* of the tests */
	u16 clauses_count; /* of the clauses */
	u8 timed;          /* whether a test takes the time of a call */
	u8 has_names;      /* whether one is about the task's name; and so on */
	u8 has_owners;
	u8 has_verdicts;
	struct sc_test tests[SC_TESTS];
	u64 clauses[SC_CLAUSES]; /* a bit for each test; none: the clause is false */
	u64 has_ancestors;
	struct sc_ancestor ancestors[SC_ANCESTORS];
	u64 has_ends;
	struct sc_end ends[SC_ENDS];
	u64 none, all; /* no bit, all bits: the verifier would follow the tests anew for each number that it knows */
	u8 keeps[SC_SLOTS];
	u8 of_descriptor[SC_SLOTS]; /* whether the first argument is a descriptor, which readers take the ends of */
	/* Whether events of a type have tests of arguments; by SC_COUNTER. */
	u8 argued[SC_ARGUED];
	/* The group of tests of an entry and of a return, + 1; 0 for none. */
	u8 compared[2][SC_SLOTS];
	struct sc_argument arguments[SC_COMPARED][SC_COMPARED_OF_CALL];
};

/* What the recorder has found out about a process. It applies while the process is as it was then. */
struct sc_verdict {
	u64 started; /* when its first thread was started, in ns since boot */
	u64 execs;   /* the kernel's count of its execs, which begins at that of its parent */
	u64 seen;    /* when a program first saw it so, as the time of an event */
	u32 session; /* the id of its session */
	u32 change;  /* the filter: `sieve` of the settings */
	u64 fails;   /* a bit for each test of the process that is false; 0 until the recorder knows */
};

/* May change during the capture: the recorder maps the memory. */
struct sc_settings {
	u64 boot_time;    /* the boot time in ns since the epoch: event time = this + CLOCK_BOOTTIME */
	u32 active;       /* the gate of the tracepoints: 0 while closed */
	u32 snaplen;      /* maximum bytes of data per event; SC_MAX_DATA is another limit */
	u32 skip_tgid;    /* the process to leave out, the recorder; -1 for none (0 is the idle tasks) */
	u32 targets_only; /* record only the tasks in the map `targets` */
	u32 submit_flags; /* BPF_RB_NO_WAKEUP; BPF_RB_FORCE_WAKEUP while the recorder sleeps */
	u32 backlog;      /* the recorder takes no events because the disk is behind: the cause of a full ring */
	enum sc_tracepoint tracepoints;
	u32 dynamic_snaplen;    /* some protocols keep more than the snaplen: see extract/snaplen.h */
	u32 full_capture_ports; /* its port range: the first port in the low half, the last in the high one; or 0 */
	u32 statsd_port;        /* its port of statsd; or 0 */
	u32 sample_ratio;       /* record the first 1/sample_ratio of each second; 0: no sampling */
	u32 extensions;         /* events with an extension have it */
	u32 directories_only;   /* only the names of directories are needed: see SC_FOR_NAMES */
	enum sc_wanted wanted[SC_SLOTS];
	/*
	 * The same by the call's number in any ABI; the last entry is for all larger numbers. A call not wanted here
	 * leaves without a look at the task. All 0 while the gate is closed.
	 */
	u8 wanted_number[SC_NR_MAX + 1];
	/*
	 * Counts the changes of the filter. The lowest bit says which sieve applies; the recorder writes the other one
	 * before it increments this.
	 */
	u32 sieve;
	struct sc_sieve sieves[2];
};

/* Events lost on CPUs without an entry in `cpus`. */
struct sc_elsewhere {
	u64 lost;
};

/* The state of sampling by the clock, written and read by the rules programs. */
struct sc_sampling {
	u32 leaving_out; /* a drop_e event was recorded, and no drop_x event since */
};

/* The calls of the slots. Written before the programs are loaded. */
struct sc_routes {
	u16 code[SC_SLOTS]; /* the stable code in generic events */
	enum sc_names names[SC_SLOTS];
	u16 compat_slot[SC_NR_MAX]; /* the slot of a 32-bit call */
	/* The slot by socketcall's first argument; socketcall's own if there is no such call. */
	u16 socketcall_slot[SC_SOCKETCALL_MAX];
};

/* The result of bpf/preemption.c. */
struct sc_preemption {
	u32 tid;      /* the thread that makes the call; set before attaching */
	s32 on_entry; /* the preempt count at the program's entry */
	s32 when_off; /* the preempt count with preemption disabled once more */
	u32 measured; /* whether both numbers were taken */
};

/* An id of a task or session, written by bpf/tasks.c; 0 if not visible in the namespace. */
struct sc_translated {
	u32 own;     /* in the recorder's pid namespace */
	u32 initial; /* in the initial one, as in events */
};

/* An entry of the map `targets`. */
enum sc_target {
	SC_TARGET_ACTIVE = 1,
	SC_TARGET_AT_EXEC = 2, /* becomes active when it enters execve */
};

/* The fate of the events of one type on one CPU. Events seen and not lost are in a ring. */
struct sc_counters {
	u64 seen;
	u64 lost_ring_full;
	u64 lost_backlog; /* the ring was full because the recorder waited for the disk */
	u64 lost_too_large;
	u64 lost_no_scratch;
};

/* Losses without an event type. */
struct sc_cpu_losses {
	u64 no_program;   /* a wanted call whose tail call failed */
	u64 targets_full; /* a child not followed because the map `targets` is full */
};

/* Wanted events that a rule left out: neither seen nor lost. */
struct sc_left_out {
	u64 failed;  /* exit events of failed calls */
	u64 sampled; /* events left out by sampling */
	u64 sieved;  /* events that cannot match the filter */
};

/* The entry points ("ways") into programs. Runs of one of the first two do not nest on a CPU. */
enum sc_way {
	SC_WAY_ENTER,
	SC_WAY_EXIT,
	SC_WAY_TRACEPOINT,
	SC_WAYS,
};

enum {
	/* Offsets are masked to SC_SCRATCH_HALF - 1; a single write has at most SC_SCRATCH_HALF bytes. */
	SC_SCRATCH_HALF = 65536,
	SC_SCRATCH_SIZE = 2 * SC_SCRATCH_HALF,
};

/*
 * The state of one CPU. The programs on that CPU write it; the recorder reads all but the scratch areas, in mapped
 * memory.
 *
 * A program increments `running` before it reads the clock, and decrements it after it has committed its event. So if
 * the merge reads the clock and then finds each way at 0 at some moment, the ring holds all events of that CPU from
 * before that time.
 */
struct sc_cpu {
	u64 running[SC_WAYS]; /* runs in progress */
	u32 tid;              /* from the dispatcher to the program that it calls: the current thread; */
	u32 compat;           /* whether its system call is a 32-bit one. Both unused if `preemptible` */
	u64 lost;             /* the sum of all losses below: one load shows whether there are new ones */
	struct sc_cpu_losses losses;
	struct sc_left_out left_out;
	struct sc_counters events[SC_COUNTED]; /* by SC_COUNTER */
	struct sc_described described[SC_WAYS];
	/* Where programs assemble events of variable size before they copy them into the ring. */
	u8 scratch[SC_WAYS][SC_SCRATCH_SIZE];
};
