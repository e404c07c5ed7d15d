//! The texts of the manual pages that clap does not have. Text between backticks is bold.

/// The page of a command.
pub(super) struct Page {
    /// The command, without `scapd`; empty for scapd itself.
    pub command: &'static str,
    /// Paragraphs after the command's first sentence.
    pub description: &'static [&'static str],
    /// The codes in [`exit::MEANINGS`](crate::exit::MEANINGS) that it exits with.
    pub exit: &'static [u8],
    /// Environment variables that it reads, and their purpose.
    pub environment: &'static [(&'static str, &'static str)],
    /// Files that it reads or writes, and their purpose.
    pub files: &'static [(&'static str, &'static str)],
    /// Example command lines, and what they do.
    pub examples: &'static [(&'static str, &'static str)],
    /// Other pages; section 1 unless given.
    pub see_also: &'static [&'static str],
}

const BTF: (&str, &str) = ("/sys/kernel/btf/vmlinux", "The kernel's type information; scapd requires it.");
const LOG: (&str, &str) = (
    "SCAPD_LOG",
    "The log filter for standard error, such as `warn` (the default), `debug`, or `scapd=debug,warn`; overrides `-v`.",
);

const SOCKET: (&str, &str) =
    ("/run/scapd/control.sock", "The socket through which scapd-ctl(1) reaches the service.");

/// An empty page, for struct updates.
pub(super) const EMPTY: Page = Page {
    command: "",
    description: &[],
    exit: &[],
    environment: &[],
    files: &[],
    examples: &[],
    see_also: &[],
};

/// The common parts of the `scapd ctl` pages.
const CTL: Page =
    Page { exit: &[0, 1, 2], files: &[SOCKET], see_also: &["scapd-ctl", "scapd-daemon"], ..EMPTY };

/// All pages.
pub(super) const PAGES: &[Page] = &[
    Page {
        command: "",
        description: &[
            "A capture contains, for each system call, the caller, the arguments and the result. It starts with the \
             state of the machine: processes, open files, users and network addresses. scapd counts and reports every \
             lost event, with its cause.",
            "Recording requires root, or the capabilities CAP_BPF and CAP_PERFMON, plus CAP_SYS_PTRACE and \
             CAP_DAC_READ_SEARCH to see the open files of other users' processes. It requires Linux 5.8 or later with \
             BTF; `scapd check` tests whether a machine can record. Reading a capture requires only the file.",
            "A capture contains the data that calls transfer and the environment of processes: treat it as secret.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        environment: &[LOG],
        files: &[BTF],
        examples: &[
            ("scapd record -w all.scap", "Record the whole machine until ^C:"),
            ("scapd read all.scap", "Print the recorded events, one per line:"),
            ("scapd verify all.scap", "Check whether any events are missing:"),
        ],
        see_also: &[
            "scapd-record",
            "scapd-daemon",
            "scapd-read",
            "scapd-top",
            "scapd-export",
            "scapd-ship",
            "scapd-merge",
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
            "Without a command, a process or a time, scapd records the whole machine until a signal (INT or TERM). \
             The first signal drains the buffers and closes the file; a second one ends scapd at once. With a command, \
             scapd runs it, records it and its descendants, and exits with its exit status.",
            "`--syscalls` takes a comma-separated list of names, `!name` (exclude), `%class` (`%file`, `%network`, \
             `%process`, ...), `/regex`, and `?name` (no error if it does not exist); `scapd list syscalls` prints all \
             calls and classes. A call without a program of its own is recorded as a generic event: the call, the \
             caller and the time.",
            "FILTER is one in the language of scapd-read(1), and the capture holds what a reading of everything with it \
             would show. `--explain` prints where each part is decided: what the type of an event decides is not loaded, \
             the kernel decides what the task, the connection, the result, the time or a path of a call says, and the recorder decides \
             the rest. What they leave out is counted.",
            "An exit event includes the arguments of its call: `--events exit` halves the volume and loses only the \
             time of entry. Under overload, scapd drops the events that a reader needs for its state (processes, \
             descriptors) last. Each gap leaves a notice in the capture, and the capture ends with its balance.",
            "scapd writes FILE.partial, which scapd-read(1) can read meanwhile, and renames it to FILE when it is \
             complete. After a kill or an error, scapd-repair(1) turns FILE.partial into a complete capture; the next \
             recording keeps it as FILE.1.partial. A second recorder of the same file is refused.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 7],
        environment: &[LOG],
        files: &[BTF],
        examples: &[
            ("scapd record -w all.scap", "Record the whole machine until ^C:"),
            (
                "scapd record --syscalls openat,%network -- curl https://example.org",
                "Record the files and addresses that a program and its descendants use:",
            ),
            (
                "scapd record -p 1234 -s 1024 --duration 1m",
                "Record a process and its descendants for a minute, with more of their data:",
            ),
            (
                "scapd record 'evt.type = openat and fd.name startswith /etc'",
                "Record the files below /etc that are opened:",
            ),
            ("scapd record --events exit -z -w small.scap.gz", "Keep the file small:"),
            ("scapd record -w - | strato -r -", "Print events as they happen:"),
            (
                "scapd record -q --on-loss fail --stats-file stats.json -n 1000000",
                "Record a million events in a script, and fail if any was lost:",
            ),
        ],
        see_also: &["scapd", "scapd-read", "scapd-verify", "scapd-list", "bpf(2)", "capabilities(7)"],
    },
    Page {
        command: "daemon",
        description: &[
            "Records until stopped, as configured in /etc/scapd/scapd.toml: each key is a long option of \
             scapd-record(1), with the same values. `--check` reports every mistake with its file, line and key. The \
             captures are in /var/lib/scapd.",
            "systemd starts it as scapd.service, which is ready once an event of scapd's own has gone all the way from \
             the kernel into the file. It runs as the user scapd with four capabilities, and drops those that it no \
             longer needs once its programs are loaded.",
            "Signals: HUP reloads the configuration, USR1 starts a new file, USR2 logs the status, TERM and INT end \
             it; a second TERM or INT ends it at once, without draining the buffers. scapd-ctl(1) does the same, and \
             more.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 7],
        environment: &[
            LOG,
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC",
                "Set by systemd: the socket for status messages, and the watchdog timeout.",
            ),
        ],
        files: &[
            ("/etc/scapd/scapd.toml", "The configuration; it lists the defaults."),
            ("/etc/scapd/config.d/*.toml", "Read after it, sorted by name; the last value of a key wins."),
            ("/var/lib/scapd", "The captures, readable only by the user scapd."),
            SOCKET,
            BTF,
        ],
        examples: &[
            ("scapd daemon --check", "Report mistakes in the configuration:"),
            (
                "scapd daemon --print-config",
                "Print the resulting configuration, with the origin of each value:",
            ),
        ],
        see_also: &["scapd", "scapd-ctl", "scapd-record", "systemctl", "systemd.service(5)"],
    },
    Page {
        command: "ctl",
        description: &[
            "Requests require write access to the service's socket: root and members of the group scapd have it.",
        ],
        examples: &[
            ("scapd ctl status", "Print the status of the recording:"),
            (
                "scapd ctl set syscalls=openat,%network snaplen=200",
                "Change the selection until the next reload:",
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
        description: &[
            "Prints the event rate, the numbers of events written and lost, and what fills the buffers.",
        ],
        examples: &[("scapd ctl status --json", "Print the status as JSON:")],
        ..CTL
    },
    Page {
        command: "ctl rotate",
        description: &[
            "Closes the file and starts a new one, which can be read on its own. No event is lost.",
        ],
        examples: &[("scapd ctl rotate", "Close the file, to move it elsewhere:")],
        ..CTL
    },
    Page {
        command: "ctl dump",
        description: &[
            "Writes a capture of the events that a recording with --keep has in memory, and of what follows for a while. It \
             does not wait for that. If a capture is being written that still goes on, that one has the request, and goes on \
             longer.",
        ],
        examples: &[
            ("scapd ctl dump the site is slow", "Write what has happened, with the reason:"),
            ("scapd ctl dump --after 0", "Write what has happened, and nothing that follows:"),
        ],
        ..CTL
    },
    Page {
        command: "ctl reload",
        description: &[
            "The recording continues without a gap. If the new configuration is invalid, the old one stays in effect, \
             and the mistakes are reported. Changed keys that need a restart are named.",
        ],
        examples: &[("scapd ctl reload", "Apply changes in /etc/scapd:")],
        ..CTL
    },
    Page {
        command: "ctl set",
        description: &["The recording continues without a gap. A key that needs a restart is refused."],
        examples: &[(
            "scapd ctl set syscalls=openat,%network snaplen=200",
            "Record other calls, with more of their data:",
        )],
        ..CTL
    },
    Page {
        command: "ctl stop",
        description: &["systemd does not restart the service."],
        examples: &[("scapd ctl stop", "Stop the service:")],
        ..CTL
    },
    Page {
        command: "read",
        description: &[
            "A line has the event's number, the time, the CPU, the command name and the thread id, `>` for the entry \
             to a call or `<` for its return, the event's name, and the arguments with their meanings. A truncated \
             file is printed up to the cut.",
            "Several captures and folders of captures are read in the order of their first events, and their events \
             are numbered as those of one. An argument that is no file begins the filter; all words behind it belong \
             to it. `--follow` ends when the recorder closes the capture; a folder is followed until it is interrupted.",
            "`--syscalls` takes the same lists as in scapd-record(1), and the names of other events (procexit, \
             switch, signaldeliver, container, ...). In old captures, accept4 is called accept: `accept` finds both.",
            "A filter joins tests with `and`, `or`, `not` and parentheses. A test has a field, an operator and a value: \
             `=`, `!=`, `<`, `<=`, `>`, `>=`; `contains`, `startswith`, `endswith` (with `i` before them, letters match in \
             either case; with `b`, the value is in hexadecimal digits); `glob`, `iglob`, `regex`, which match the whole \
             text; `in` and `intersects` with a list such as (cat, dd); `pmatch` with a list of paths, which also match \
             what is below them; `exists` without a value. Values with blanks or one of ()\"'=, need quotes. Numbers take \
             units of size (4K, 1.5M), times of time (10ms, 1.5s; ns without), fd.net networks (10.0.0.0/8). tolower(), \
             toupper(), basename(), b64(), len(), join() and concat() change a field before it is compared; val() is the \
             value of another field. An argument stands in brackets or behind a dot: evt.arg[0], evt.arg.flags, \
             proc.aname[2]. A test of a field that the event does not have is false. `scapd list fields` prints all \
             fields.",
            "`-p` takes the formats of sysdig. `%proc.name` is the value of a field, `%evt.arg[0]` that of one with an \
             argument, `%20proc.name` cuts it to 20 characters or pads it with blanks, `%toupper(proc.name)` is a \
             transformer of the filter language; braces end a name before letters (`%{evt.latency}ns`); `%%`, `\\n`, \
             `\\r`, `\\t` and `\\\\` are a percent sign and control characters. An event without a value for one of the \
             fields prints no line; if the format begins with `*`, it prints <NA> there. A field with several values \
             prints them as (a,b).",
            "`-o` prints a table: fields with tabs between, and nothing for a missing value. `--tsv` and `--csv` put a \
             line with the names in front; `--csv` quotes as RFC 4180 says. A semicolon stands between several values \
             of one field. Text is escaped as in lines, so a cell has neither tabs nor newlines. With `--json`, each \
             line is an object with these fields.",
            "`-t` chooses the times in lines: `h` local time of day, `a` seconds since the epoch, `r` seconds since the \
             first event, `d` the duration of the call at its exit event, `D` seconds since the event printed before. \
             `-A`, `-x`, `-X` and `-b` choose the form of data: only its text, a dump in hexadecimal, the same with \
             ASCII, base64. `-pc` adds the container to each line; `-pp` prints the format of the default lines.",
            "With `-w`, the events become a capture. It has the state of the machine before its first event, the events \
             that keep names right, which readers do not show, and the losses of its source. A signal, a full disk or \
             another error leaves nothing of it and an older file as it was; of a damaged source, the capture has what \
             is before the damage. Memory of processes (thread.vmsize, ...) is that of the start and of the events in \
             the capture.",
        ],
        exit: &[0, 1, 2, 5, 6],
        examples: &[
            ("scapd read all.scap -n 20", "Print the first events:"),
            ("scapd read all.scap --syscalls execve,exit_group", "Print executed programs and their exits:"),
            (
                "scapd read all.scap proc.name = bash and evt.latency '>' 1ms",
                "Print the slow calls of a program:",
            ),
            (
                "scapd read all.scap \"evt.type in (open, openat) and evt.failed = true and not fd.name pmatch (/proc, /sys)\"",
                "Print opens that failed, outside of some folders:",
            ),
            (
                "scapd read all.scap 'fd.net = 10.0.0.0/8 and (evt.buflen > 4K or proc.aname = sshd)'",
                "Print large transfers in a network, and those of all processes below sshd:",
            ),
            (
                "scapd read /var/log/scapd --from 14:03 --to 14:04:30",
                "Print a part of the files of a series:",
            ),
            (
                "scapd read all.scap -p '%evt.num %10proc.name %evt.type' evt.type = execve",
                "Print other fields:",
            ),
            (
                "scapd read all.scap --csv -o evt.num,proc.name,evt.type,evt.latency",
                "Print a table for a spreadsheet:",
            ),
            (
                "scapd read all.scap -X -t d 'evt.type in (read, write)'",
                "Print data as dumps, and durations:",
            ),
            (
                "zcat old.scap.gz | scapd read - --json --pid 1234",
                "Print the events of a process as JSON, from a pipe:",
            ),
            (
                "scapd read all.scap 'proc.name = nginx' -w nginx.scap",
                "Write the events of some processes to a capture:",
            ),
        ],
        see_also: &["scapd", "scapd-info", "scapd-record", "scapd-merge"],
        ..EMPTY
    },
    Page {
        command: "merge",
        description: &[
            "Each section of a capture becomes a section of the result, with its own state and balance, so that names \
             and losses are those of the captures. Where captures of different processes overlap, the later one \
             begins a section that has the state of both. Each capture is read twice, so none can be a pipe.",
        ],
        exit: &[0, 1, 2, 5, 6],
        examples: &[
            ("scapd merge -w day.scap morning.scap evening.scap", "Put captures in time order:"),
            (
                "scapd merge web-*.scap -w web.scap.gz",
                "Merge the files of a series, and compress the result:",
            ),
        ],
        see_also: &["scapd", "scapd-read", "scapd-verify"],
        ..EMPTY
    },
    Page {
        command: "trace",
        description: &[
            "Records, and shows the events as scapd-read(1) would show those of a capture, without a file. The traced \
             programs are not stopped, as they are by ptrace. If scapd cannot keep up, events are lost, and it says so \
             at the end.",
            "With a command, its exit status is that of scapd. Without a command and `-p`, the whole machine is traced.",
        ],
        exit: &[0, 1, 2, 3, 4, 5, 126, 127],
        examples: &[
            ("scapd trace -- ls", "Show the system calls of a program:"),
            (
                "scapd trace --syscalls openat evt.failed = true",
                "Show what cannot be opened, on the whole machine:",
            ),
            ("scapd trace -p 1234 -o trace.txt", "Trace a running process into a file:"),
        ],
        see_also: &["scapd", "scapd-read", "scapd-record"],
        ..EMPTY
    },
    Page {
        command: "info",
        description: &[
            "Prints where and when the file was recorded, the size of the machine's state in it, the number of events \
             by type and by process, and the losses.",
        ],
        exit: &[0, 1, 2, 6],
        examples: &[
            (
                "scapd info all.scap --top 5",
                "Summarize a file, with the five most frequent events and processes:",
            ),
            ("scapd info --json all.scap", "Print the summary as JSON:"),
        ],
        see_also: &["scapd", "scapd-read", "scapd-verify"],
        ..EMPTY
    },
    Page {
        command: "verify",
        description: &[
            "A capture ends with its balance: the numbers of events seen, written, and lost by cause. `scapd verify` \
             reads the whole file, compares its event count with the balance, and prints `complete`, or lists the gaps \
             with their times, CPUs, event counts and types, and causes.",
        ],
        exit: &[0, 1, 2, 6, 7, 8],
        examples: &[
            ("scapd verify all.scap", "Check whether a file is complete:"),
            ("scapd verify --json all.scap", "Print the result as JSON:"),
        ],
        see_also: &["scapd", "scapd-info", "scapd-record"],
        ..EMPTY
    },
    Page {
        command: "repair",
        description: &[
            "Keeps every readable event and removes the damaged or truncated part; a notice in the capture records \
             this. The repaired capture replaces the damaged one, unless `-o` names another file. A .partial file, \
             left by a recorder that did not end normally, also loses that suffix.",
            "Of the window that a flight recorder (scapd-record(1), `--keep-on-disk`) left when it was killed, it makes a              capture: FILE.scap, unless `-o` names another file. The window is then removed.",
        ],
        exit: &[0, 1, 2, 5, 6],
        examples: &[
            ("scapd repair all.scap --keep", "Repair a file, and keep the damaged one as all.scap.damaged:"),
            ("scapd repair all.scap -o whole.scap", "Write the repaired capture to another file:"),
            (
                "scapd repair scapd.window -o crash.scap",
                "Make a capture of what a killed flight recorder had kept:",
            ),
        ],
        see_also: &["scapd", "scapd-verify", "scapd-read"],
        ..EMPTY
    },
    Page {
        command: "list",
        description: &[
            "`syscalls` prints each system call with its number, its events, and its classes, which `--syscalls` takes \
             as `%class`. `events` prints the event types of the file format with their parameters. `fields` prints the \
             fields that the filter of scapd-read(1) takes, with their types.",
        ],
        exit: &[0, 1, 2],
        examples: &[
            ("scapd list syscalls", "Print which calls can be recorded, and how:"),
            ("scapd list events --json", "Print the event types as JSON:"),
            ("scapd list fields", "Print what a filter can ask for:"),
        ],
        see_also: &["scapd", "scapd-record", "scapd-read"],
        ..EMPTY
    },
    Page {
        command: "check",
        description: &[
            "Loads the programs into the kernel, attaches them, and removes them. If something is missing, it reports \
             that with the remedy, and exits with a nonzero status. With `-v`, it also prints the verifier's cost of \
             each program.",
        ],
        exit: &[0, 1, 2, 3, 4],
        environment: &[LOG],
        files: &[BTF],
        examples: &[("scapd check", "Test whether this machine can record:")],
        see_also: &["scapd", "scapd-record", "bpf(2)", "capabilities(7)"],
    },
    Page {
        command: "bench",
        description: &["Has the same requirements as recording: root, and a kernel with BTF."],
        exit: &[0, 1, 2, 3, 4],
        environment: &[LOG],
        examples: &[("scapd bench kernel", "Measure the programs:")],
        see_also: &["scapd", "scapd-bench-kernel"],
        ..EMPTY
    },
    Page {
        command: "bench kernel",
        description: &[
            "A thread repeats calls without side effects, in turns: with no programs attached, with bare programs, and \
             with scapd's own. It prints the medians of the turns.",
        ],
        exit: &[0, 1, 2, 3, 4],
        environment: &[LOG],
        examples: &[("scapd bench kernel --rounds 31", "Measure quickly:")],
        see_also: &["scapd", "scapd-bench"],
        ..EMPTY
    },
];
