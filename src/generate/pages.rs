//! What the manual pages say besides what clap knows. Names between backticks are bold.

/// The page of a command.
pub(super) struct Page {
    /// The command, without `scapd`; empty for scapd itself.
    pub command: &'static str,
    /// Paragraphs behind the command's first sentence.
    pub description: &'static [&'static str],
    /// Which of [`exit::MEANINGS`](crate::exit::MEANINGS) it ends with.
    pub exit: &'static [u8],
    /// Variables that it reads, and what for.
    pub environment: &'static [(&'static str, &'static str)],
    /// Files that it reads or writes, and what for.
    pub files: &'static [(&'static str, &'static str)],
    /// Command lines, and what they do.
    pub examples: &'static [(&'static str, &'static str)],
    /// Other pages; section 1 if none is said.
    pub see_also: &'static [&'static str],
}

const BTF: (&str, &str) = ("/sys/kernel/btf/vmlinux", "The kernel's types; scapd needs them.");
const LOG: (&str, &str) = (
    "SCAPD_LOG",
    "What to log on standard error, as `warn` (the default), `debug`, or `scapd=debug,warn`; it overrides `-v`.",
);

const SOCKET: (&str, &str) = ("/run/scapd/control.sock", "Where scapd-ctl(1) reaches the service.");

/// A page that says nothing yet.
const EMPTY: Page = Page {
    command: "",
    description: &[],
    exit: &[],
    environment: &[],
    files: &[],
    examples: &[],
    see_also: &[],
};

/// What the pages of `scapd ctl` share.
const CTL: Page =
    Page { exit: &[0, 1, 2], files: &[SOCKET], see_also: &["scapd-ctl", "scapd-daemon"], ..EMPTY };

/// All pages.
pub(super) const PAGES: &[Page] = &[
    Page {
        command: "",
        description: &[
            "A capture holds, for each system call, who made it, with which arguments, and what came of it; before the \
             first event stands the state of the machine: its processes, what they have open, its users and network \
             addresses. Every event that could not be kept is counted, with its cause, and reported.",
            "To record takes root, or the capabilities CAP_BPF and CAP_PERFMON, and CAP_SYS_PTRACE and \
             CAP_DAC_READ_SEARCH to see what the processes of other users have open. Linux must be 5.8 or later, with \
             BTF; `scapd check` says whether a machine is fit. To read a capture takes nothing but the file.",
            "A capture holds the data that calls move, and the environment of processes: treat it as secret.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 6, 7],
        environment: &[LOG],
        files: &[BTF],
        examples: &[
            ("scapd record -w all.scap", "Record the whole machine until ^C:"),
            ("scapd read all.scap", "Print what was recorded, one event a line:"),
            ("scapd verify all.scap", "Find out whether anything is missing in it:"),
        ],
        see_also: &[
            "scapd-record",
            "scapd-daemon",
            "scapd-read",
            "scapd-info",
            "scapd-verify",
            "scapd-repair",
            "scapd-list",
            "scapd-check",
            "sysdig(8)",
            "tshark",
        ],
    },
    Page {
        command: "record",
        description: &[
            "Without a command, a process or a time, the whole machine is recorded until a signal (INT or TERM) ends \
             it. The first signal takes what is in the buffers and closes the file; a second one ends scapd at once. \
             With a command, scapd runs it, records it and what it starts, and ends with its exit status.",
            "`--syscalls` takes names, `!name` (not this one), `%class` (`%file`, `%network`, `%process`, ...), \
             `/regex`, and `?name` (no error where it does not exist), with commas between them; `scapd list syscalls` \
             prints what there is. A call without a program of its own is recorded as a generic event: which call, by \
             whom, when.",
            "An exit event holds the arguments of its call, too: `--events exit` halves the volume and loses nothing \
             but the time of entry. When events come faster than they can be taken, those that build a reader's \
             picture (processes, descriptors) are kept longest; each gap leaves a notice in the capture, which ends \
             with its balance.",
            "A file is written as FILE.partial, which scapd-read(1) reads meanwhile, and replaces FILE when it is whole. \
             After a kill or an error, scapd-repair(1) makes FILE.partial a whole capture; the next recording keeps it as \
             FILE.1.partial. A second recorder of the same file is refused.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 7],
        environment: &[LOG],
        files: &[BTF],
        examples: &[
            ("scapd record -w all.scap", "Record the whole machine until ^C:"),
            (
                "scapd record --syscalls openat,%network -- curl https://example.org",
                "Record which files and addresses a program uses, and what it starts:",
            ),
            (
                "scapd record -p 1234 -s 1024 --duration 1m",
                "Record a process and its descendants for a minute, with more of its data:",
            ),
            ("scapd record --events exit -z -w small.scap.gz", "Keep the file small:"),
            ("scapd record -w - | strato -r -", "Look at events as they happen:"),
            (
                "scapd record -q --on-loss fail --stats-file stats.json -n 1000000",
                "Record a million events in a script, and fail if one was lost:",
            ),
        ],
        see_also: &["scapd", "scapd-read", "scapd-verify", "scapd-list", "bpf(2)", "capabilities(7)"],
    },
    Page {
        command: "daemon",
        description: &[
            "Records until it is told to stop, as /etc/scapd/scapd.toml says: each of its keys is a long flag of \
             scapd-record(1), with the same values. `--check` names every mistake with its file, line and key. The \
             files are in /var/lib/scapd.",
            "systemd starts it as scapd.service, which is ready when an event of scapd's own has gone all the way from \
             the kernel into the file. It runs as the user scapd with four capabilities, and gives up those that it \
             needs no more once its programs are loaded.",
            "Signals: HUP reads the configuration again, USR1 begins a new file, USR2 logs how it goes, TERM and INT \
             end it; a second one at once, without taking what is in the buffers. scapd-ctl(1) does the same, and \
             more.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 7],
        environment: &[
            LOG,
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by systemd: where to tell the state, and how often at least.",
            ),
        ],
        files: &[
            ("/etc/scapd/scapd.toml", "The configuration; it shows the defaults."),
            (
                "/etc/scapd/config.d/*.toml",
                "Read after it, in the order of their names; the last value of a key counts.",
            ),
            ("/var/lib/scapd", "The captures, readable by the user scapd alone."),
            SOCKET,
            BTF,
        ],
        examples: &[
            ("scapd daemon --check", "Say what is wrong with the configuration:"),
            ("scapd daemon --print-config", "Print what it comes to, and where each value is from:"),
        ],
        see_also: &["scapd", "scapd-ctl", "scapd-record", "systemctl", "systemd.service(5)"],
    },
    Page {
        command: "ctl",
        description: &[
            "Whoever may write to the service's socket may make requests: root, and members of the group scapd.",
        ],
        examples: &[
            ("scapd ctl status", "Say how the recording goes:"),
            (
                "scapd ctl set syscalls=openat,%network snaplen=200",
                "Record something else until the next reload:",
            ),
        ],
        see_also: &[
            "scapd-daemon",
            "scapd-ctl-status",
            "scapd-ctl-rotate",
            "scapd-ctl-reload",
            "scapd-ctl-set",
            "scapd-ctl-stop",
        ],
        ..CTL
    },
    Page {
        command: "ctl status",
        description: &["Prints the events a second, what was written and lost, and what fills the buffers."],
        examples: &[("scapd ctl status --json", "For a program:")],
        ..CTL
    },
    Page {
        command: "ctl rotate",
        description: &["The file is closed, and another one begun, which stands alone; no event is lost."],
        examples: &[("scapd ctl rotate", "Close the file, to move it elsewhere:")],
        ..CTL
    },
    Page {
        command: "ctl reload",
        description: &[
            "The recording goes on without a break. If the new configuration is wrong, the old one stays, and the \
             mistakes are told; keys that need a restart are named.",
        ],
        examples: &[("scapd ctl reload", "Take what was changed in /etc/scapd:")],
        ..CTL
    },
    Page {
        command: "ctl set",
        description: &["The recording goes on without a break. A key that needs a restart is refused."],
        examples: &[(
            "scapd ctl set syscalls=openat,%network snaplen=200",
            "Record other calls, and more of them:",
        )],
        ..CTL
    },
    Page {
        command: "ctl stop",
        description: &["systemd does not start it again."],
        examples: &[("scapd ctl stop", "End the service:")],
        ..CTL
    },
    Page {
        command: "read",
        description: &[
            "A line has the event's number, its time, the CPU, the process and its thread id, `>` for a call or `<` \
             for its return, the name, and the arguments with what they mean. A file that is cut off is printed up to \
             there.",
            "`--syscalls` takes what it takes when recording, and the names of other events (procexit, switch, \
             signaldeliver, container, ...). Captures of old have one name, accept, for two calls: it finds both.",
        ],
        exit: &[0, 1, 2, 6],
        examples: &[
            ("scapd read all.scap -n 20", "Print the first events:"),
            ("scapd read all.scap --syscalls execve,exit_group", "Print what was executed:"),
            (
                "zcat old.scap.gz | scapd read - --json -p 1234",
                "Print the events of a process as JSON, from a pipe:",
            ),
        ],
        see_also: &["scapd", "scapd-info", "scapd-record"],
        ..EMPTY
    },
    Page {
        command: "info",
        description: &[
            "Prints where and when the file was recorded, what state of the machine it holds, how many events of \
             which type and of which process, and what was lost.",
        ],
        exit: &[0, 1, 2, 6],
        examples: &[
            ("scapd info all.scap --top 5", "Say what is in a file, with the five most frequent events:"),
            ("scapd info --json all.scap", "The same for a program:"),
        ],
        see_also: &["scapd", "scapd-read", "scapd-verify"],
        ..EMPTY
    },
    Page {
        command: "verify",
        description: &[
            "A capture ends with its balance: how many events were seen, written, and lost by cause. `scapd verify` \
             reads the whole file, counts, compares, and says `complete`, or lists the gaps: when, on which CPUs, how \
             many events of which types, and why.",
        ],
        exit: &[0, 1, 2, 6, 7],
        examples: &[
            ("scapd verify all.scap", "Say whether a file is whole:"),
            ("scapd verify --json all.scap", "The same for a program:"),
        ],
        see_also: &["scapd", "scapd-info", "scapd-record"],
        ..EMPTY
    },
    Page {
        command: "repair",
        description: &[
            "Keeps every event that can be read, and leaves out what is damaged or cut off; a notice in the capture says \
             so. The repaired capture takes the place of the damaged one, unless `-o` names another file; a .partial, \
             which a recorder left that did not end as it should, also loses that part of its name.",
        ],
        exit: &[0, 1, 2, 5, 6],
        examples: &[
            ("scapd repair all.scap --keep", "Repair a file, and keep the damaged one as all.scap.damaged:"),
            ("scapd repair all.scap -o whole.scap", "Leave it as it is, and write another one:"),
        ],
        see_also: &["scapd", "scapd-verify", "scapd-read"],
        ..EMPTY
    },
    Page {
        command: "list",
        description: &[
            "`syscalls` prints each system call with its number, the events that it is recorded as, and the classes \
             that `--syscalls` takes with a `%`. `events` prints the event types of the file format with their \
             parameters.",
        ],
        exit: &[0, 1, 2],
        examples: &[
            ("scapd list syscalls", "Which calls can be recorded, and how:"),
            ("scapd list events --json", "The event types, for a program:"),
        ],
        see_also: &["scapd", "scapd-record"],
        ..EMPTY
    },
    Page {
        command: "check",
        description: &[
            "Loads the programs into the kernel, attaches them, and removes them. If something is missing, it is named \
             with its remedy, and the exit status is not 0. With `-v`, it also prints what each program cost the \
             kernel's verifier.",
        ],
        exit: &[0, 1, 2, 3, 4],
        environment: &[LOG],
        files: &[BTF],
        examples: &[("scapd check", "Say whether this machine can record:")],
        see_also: &["scapd", "scapd-record", "bpf(2)", "capabilities(7)"],
    },
    Page {
        command: "bench",
        description: &["Takes what recording takes: root, and a kernel with BTF."],
        exit: &[0, 1, 2, 3, 4],
        environment: &[LOG],
        examples: &[("scapd bench kernel", "Measure the programs:")],
        see_also: &["scapd", "scapd-bench-kernel"],
        ..EMPTY
    },
    Page {
        command: "bench kernel",
        description: &[
            "A thread makes calls that do nothing else, in turns: not recorded, with bare programs attached, and with \
             scapd's own. The medians of the turns are printed.",
        ],
        exit: &[0, 1, 2, 3, 4],
        environment: &[LOG],
        examples: &[("scapd bench kernel --rounds 31", "Measure quickly:")],
        see_also: &["scapd", "scapd-bench"],
        ..EMPTY
    },
];
