//! The texts of the pages of summaries: `scapd top` and its kin, and exports.

use super::pages::{EMPTY, Page};

/// What the pages of summaries have in common.
const SUMMARY: Page = Page {
    exit: &[0, 1, 2, 3, 4, 5, 6, 126, 127],
    see_also: &["scapd", "scapd-read", "scapd-record", "scapd-trace", "scapd-top"],
    ..EMPTY
};

const SOURCES: &str = "With captures, it reads them; without, it records what happens, as scapd-trace(1) does: the \
    processes of `-p`, a command and what it starts, or the whole machine until ^C. With a command, its exit status is \
    that of scapd.";

/// All of them.
pub(super) const SUMMARIES: &[Page] = &[
    Page {
        command: "top",
        description: &[
            "Adds up system calls in groups: by call, as `strace -c` and `perf trace -s` do, or by any other keys.",
            SOURCES,
            "A call counts when it ends, if its exit event matches the filter. Its time is that from its enter event to its \
             exit event: a call whose enter event is not in the capture has none. A call that has not ended counts as \
             pending, not as a call. A request of io_uring counts as io_uring_complete. The messages of one sendmmsg or \
             recvmmsg are one call. Bytes that a call moves from one descriptor to another (sendfile, splice, \
             copy_file_range) are read from the one and written to the other. Percentiles are within 1 %.",
            "Calls without a value for one of the keys are in no group; their number is below the table. `file` also has \
             the files that a call could not open. `signal` counts signals instead of calls.",
            "`--waiting` divides the time of threads, from their start or that of the capture to their end. Without switch \
             events in the capture, a thread runs whenever it is in no call; with them (`--tracepoints sched_switch` of \
             scapd-record(1)), time on a CPU is told from waiting for one, also in calls. Threads without any event are \
             left out. Filter by thread or process only: the time of other events would count as running.",
            "`-j` shares the work among several threads. Each of them follows the whole capture and counts a part of it, so              that it pays where filters or keys ask for what an event is about, as files and command lines; what the type              of an event decides, such as `--by call` without a filter, is counted by one thread.",
        ],
        examples: &[
            ("scapd top -- make", "Count the system calls of a program, as strace -c does:"),
            (
                "scapd top all.scap --by process,file --sort out 'fd.type = file'",
                "Show who wrote to which files:",
            ),
            ("scapd top all.scap --by user,call evt.latency '>' 10ms", "Count slow calls by user:"),
            ("scapd top --every 5s --by process", "Watch the whole machine:"),
            ("scapd top --waiting all.scap", "Show what threads spent their time on:"),
        ],
        ..SUMMARY
    },
    Page {
        command: "slow",
        description: &[
            "Prints the calls that took longest, in the form of `scapd read --calls`, the slowest first. Calls that have \
             not ended are among them, with the time so far. Requests of io_uring are not.",
            SOURCES,
        ],
        examples: &[
            ("scapd slow all.scap fd.type = file", "Show the slowest calls on files:"),
            (
                "scapd slow --waits -n 5 all.scap proc.name = nginx",
                "Also calls that wait on purpose, of one program:",
            ),
        ],
        ..SUMMARY
    },
    Page {
        command: "errors",
        description: &[
            "Prints which calls failed with which errors in which programs, how often, and the first of each as an \
             example, in the form of `scapd read --calls`.",
            SOURCES,
        ],
        examples: &[
            ("scapd errors all.scap proc.name = nginx", "Show what fails in a program:"),
            ("scapd errors --by error,file all.scap", "Show which files cannot be used, and why:"),
        ],
        ..SUMMARY
    },
    Page {
        command: "files",
        description: &[
            "Prints how many bytes were read from files and written to them, how often they were opened, created, \
             deleted and renamed, and by which programs. The name of a file that is renamed is the old one.",
            SOURCES,
        ],
        examples: &[
            ("scapd files all.scap fd.name startswith /etc", "Show who used the files below a directory:"),
            ("scapd files --by folder --sort deleted all.scap", "Show where files were deleted:"),
        ],
        ..SUMMARY
    },
    Page {
        command: "net",
        description: &[
            "Prints who talked to whom through IP: bytes, connections that were made or tried, and accepted, the median \
             time to connect, and failures. Where `connect` does not wait, the time to connect ends at the first call \
             that transfers something, or that learns that the connection is there.",
            SOURCES,
        ],
        examples: &[
            ("scapd net all.scap fd.sport = 5432", "Show who uses a database:"),
            ("scapd net --by user,port --every 1m", "Watch the ports that users talk to:"),
        ],
        ..SUMMARY
    },
    Page {
        command: "tree",
        description: &[
            "Prints the processes that have events which match, below their parents: when they were started, how long they \
             lived, their exit status or the signal that ended them, calls, bytes, user, working directory (at the end, \
             where it differs from that of the parent), and the command line of what they executed last.",
            SOURCES,
        ],
        examples: &[
            ("scapd tree -- sh install.sh", "Show what a script runs:"),
            ("scapd tree all.scap user.name = www-data", "Show what a user ran:"),
        ],
        ..SUMMARY
    },
    Page {
        command: "state",
        description: &[
            "Prints the state of the recorded machine at a time: its processes and the calls that their main threads are \
             in, their descriptors, and their sockets. It is that behind the first event after the time.",
            "A filter is asked about each process as if it made a call, and about each descriptor as if it were closed: \
             descriptors of processes that match are shown, and processes of descriptors that match.",
        ],
        exit: &[0, 1, 2, 6],
        examples: &[
            ("scapd state all.scap --at 12:03:04", "Show what there was:"),
            (
                "scapd state all.scap --at 90s --show files fd.name startswith /var/log",
                "Show who had files open:",
            ),
            ("scapd state all.scap --show sockets", "Show the sockets at the end of a capture:"),
        ],
        see_also: &["scapd", "scapd-read", "scapd-top", "ps", "lsof(8)"],
        ..EMPTY
    },
    Page {
        command: "diff",
        description: &[
            "Compares two runs: groups calls as scapd-top(1) does, and prints the groups whose numbers changed, those with the \
             largest change in the first column first, with the number before, the one after, and the change. Groups are the \
             same if their keys have the same text: choose keys that do not depend on the run, such as call, exe, file, user \
             and peer, and not process, which has a process id.",
            "Without `--by`, it prints tables by call, exe, call and error, file, and peer and port.",
        ],
        exit: &[0, 1, 2, 6],
        examples: &[
            ("scapd diff before.scap after.scap", "Show what changed:"),
            (
                "scapd diff before.scap after.scap --by file --columns out,calls fd.name startswith /var",
                "Show which files got more or less data:",
            ),
        ],
        see_also: &["scapd", "scapd-top", "scapd-read"],
        ..EMPTY
    },
    Page {
        command: "export",
        description: &[
            "Writes captures for other programs. `parquet` makes a folder of tables: events by machine and hour, processes, \
             connections, and what the ledger says of losses. `csv` and `jsonl` write the table of events. `folded` adds up calls by \
             the process with its ancestors, and by the keys of `--by`; `svg` draws that as a flame graph. `perfetto` writes a \
             trace for ui.perfetto.dev, with switches if they were recorded (`--tracepoints sched_switch`).",
            "The columns are those that filters and scapd-top(1) have: counts and sums are the same there. Text is escaped as \
             in the lines of scapd-read(1), so that it is valid UTF-8 without control characters.",
            "PATH must not exist. It gets its name when it is complete; until then it is beside it, as PATH.*.partial, and \
             nothing of it is left if it cannot be finished. Of a damaged capture, what comes before the damage is exported, \
             and the table `ledger` says where it ends.",
        ],
        exit: &[0, 1, 2, 5, 6],
        examples: &[
            (
                "scapd export all.scap --to parquet -o all",
                "Make tables for DuckDB, Spark, ClickHouse and others:",
            ),
            ("scapd export all.scap --to svg -o all.svg", "Draw where the time of calls went:"),
            (
                "scapd export all.scap --to csv -o - 'evt.failed = true and evt.dir = <'",
                "Print the calls that failed:",
            ),
        ],
        see_also: &["scapd", "scapd-read", "scapd-top"],
        ..EMPTY
    },
    Page {
        command: "ship",
        description: &[
            "Brings closed captures to object storage. An object is called \
             PREFIX/captures/host=HOST/date=DATE/hour=HOUR/NAME, by the machine and the first event of the capture, in UTC. Its \
             manifest follows, as NAME.json: the one of `--write-manifest`, if there is one. So a capture with a manifest is \
             complete; large ones are sent in parts, and appear as a whole. `--as parquet` sends the tables of \
             scapd-export(1), as PREFIX/events/host=HOST/date=DATE/hour=HOUR/NAME-...-part-N.parquet and so on; they are made in \
             the folder for temporary files, for one capture at a time.",
            "A request that fails is repeated for the time of `--retry`. What has been shipped is remembered beside the capture, \
             in NAME.shipped, and of an upload that was broken off, in NAME.shipping, so that it goes on where it was. A capture \
             of the same name and hour that is in the store already is not replaced: the new one gets a name with its checksum. \
             A capture is not shipped if it is not what its manifest says.",
            "Captures that are written, or were closed less than two seconds ago, wait. So do those that a command of \
             `--on-close` compresses, until it has removed the original. Only one scapd ships from a folder: it locks .scapd-ship \
             there. As long as that file exists, the recorder warns when its retention deletes a capture that was not shipped.",
        ],
        exit: &[0, 1, 2],
        environment: &[
            (
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, ...",
                "S3 and what speaks its protocol. Without a key, those of the machine's role are used. AWS_ALLOW_HTTP=true \
                 permits an endpoint without TLS.",
            ),
            (
                "GOOGLE_SERVICE_ACCOUNT, GOOGLE_APPLICATION_CREDENTIALS, ...",
                "Google Cloud Storage: files with a key.",
            ),
            ("AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY, ...", "Azure Blob Storage."),
            ("TMPDIR", "The folder for temporary files, for `--as parquet`."),
        ],
        files: &[
            ("/etc/scapd/scapd.toml", "The section `[ship]`, for scapd-ship.service."),
            ("/etc/scapd/ship.env", "The environment of scapd-ship.service."),
            ("NAME.shipped, NAME.shipping, .scapd-ship", "What is remembered beside captures."),
        ],
        examples: &[
            (
                "scapd ship /var/lib/scapd --to s3://captures/fleet",
                "Ship what is closed, and what is not in the store yet:",
            ),
            (
                "scapd ship /var/lib/scapd --watch --delete --to gs://captures/fleet",
                "Go on, and delete here what has arrived:",
            ),
            (
                "scapd ship all.scap --as both --to file:///srv/captures",
                "Ship a capture and its tables to a folder:",
            ),
        ],
        see_also: &["scapd", "scapd-record", "scapd-daemon", "scapd-export"],
    },
    Page {
        command: "report",
        description: &[
            "Writes one page about captures, with charts, which a browser opens from the disk: what was \
             recorded and lost; calls, failures, time and bytes over time, by process; how long calls \
             took; what threads spent their time on; processes from their start to their end; files and \
             folders; who talked to whom; the slowest calls; failures. To drag over the first chart \
             selects a time, and everything else shows that time alone. The page also has the command line \
             of scapd-top(1) that prints the same numbers.",
            "The page is at most 3 MB: time is divided into at most 240 parts of the same length, and of \
             processes, files and peers those are named that cost most; the others are counted together. \
             The last section says what is not there. It has names, paths and arguments from the capture: \
             it is readable by its owner only, and no more harmless than the capture. None of this text \
             can run in the browser, and the page cannot use the network.",
            "Of a damaged capture, the page shows what is before the damage, and says so.",
        ],
        exit: &[0, 1, 2, 5, 6],
        examples: &[
            ("scapd report all.scap -o report.html", "Write a page about a capture:"),
            (
                "scapd report /var/log/scapd --from 14:03 --to 14:10 proc.name = nginx -o nginx.html",
                "Write one about a program, for some minutes of a series:",
            ),
        ],
        see_also: &["scapd", "scapd-top", "scapd-read", "scapd-record"],
        ..EMPTY
    },
];
