//! Debian's sysdig and tshark open scapd's files, and Prometheus' client reads the daemon's metrics. If a program is not
//! installed, its tests are reported as ignored: `make test-readers` fetches its own sysdig and tshark.

#![allow(clippy::unwrap_used)]

mod common;

#[allow(dead_code)]
#[path = "daemon/harness.rs"]
mod harness;

use std::{
    collections::HashSet,
    fs,
    io::Write,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use harness::{Daemon, Generator, config};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use scap::{
    events::{EventType, event},
    format::{
        BlockType, EventBuilder, Reader, SockAddr, SockTuple, Value, frame_event,
        state::{
            Fd, FdKind, FdList, Group, Interface, InterfaceAddress, L4Proto, MachineInfo, MachineState,
            Thread, User,
        },
        write_state,
    },
};

/// Returns the state of a machine where `cat` runs as 4321 with an open file, a connection and a unix socket.
fn machine() -> MachineState {
    let thread = |tid, ptid, comm: &str| Thread {
        tid,
        pid: tid,
        ptid,
        comm: comm.into(),
        exe: format!("/bin/{comm}").into(),
        exepath: format!("/usr/bin/{comm}").into(),
        args: b"-n\0/etc/passwd\0".into(),
        cwd: b"/tmp/".into(),
        fdlimit: 1024,
        root: b"/".into(),
        vtid: tid as i64,
        vpid: tid as i64,
        ..Thread::default()
    };
    let tuple = FdKind::Ipv4 {
        source: (Ipv4Addr::LOCALHOST, 40000),
        destination: ([10, 0, 0, 9].into(), 443),
        l4: L4Proto::Tcp,
    };
    let fds = [
        FdKind::File { open_flags: 1, path: b"/var/log/old.log".into(), dev: 0 },
        tuple,
        FdKind::Unix { source: 0xabc, destination: 0xdef, path: b"/run/x.sock".into() },
    ];
    MachineState {
        machine: MachineInfo {
            num_cpus: 2,
            memory_size: 1 << 30,
            max_pid: 4_194_304,
            hostname: b"testhost".into(),
            ..MachineInfo::default()
        },
        interfaces: vec![Interface {
            name: b"lo".into(),
            address: InterfaceAddress::V4 {
                address: Ipv4Addr::LOCALHOST,
                netmask: [255, 0, 0, 0].into(),
                broadcast: [127, 255, 255, 255].into(),
            },
            link_speed: 0,
        }],
        users: vec![User {
            name: b"root".into(),
            home: b"/root".into(),
            shell: b"/bin/sh".into(),
            ..User::default()
        }],
        groups: vec![Group { gid: 0, name: b"root".into() }],
        threads: vec![thread(1, 0, "init"), thread(4321, 1, "cat")],
        fds: vec![FdList {
            pid: 4321,
            fds: (5..).zip(fds).map(|(fd, kind)| Fd { fd, ino: 1000 + fd, kind }).collect(),
        }],
        ..MachineState::default()
    }
}

/// The number of an event type, and its values.
type Row<'a> = (u16, &'a [Value<'a>]);

/// Returns events that open, read and close a file, read a file opened before, and connect.
fn events() -> Vec<Vec<u8>> {
    let name = Value::Text(b"/etc/passwd");
    let (at_cwd, flags, mode) = (Value::Fd(-100), Value::Flags(1), Value::Uint(0));
    let (source, destination) = ((Ipv4Addr::LOCALHOST.into(), 40001), (Ipv4Addr::LOCALHOST.into(), 8080));
    let address = Value::SockAddr(SockAddr::Inet(Ipv4Addr::LOCALHOST.into(), 8080));
    let tuple = Value::SockTuple(SockTuple::Inet { source, destination });
    let read = |fd| [Value::Errno(4), Value::Bytes(b"root"), Value::Fd(fd), Value::Uint(4096)];
    let (read3, read5, read6) = (read(3), read(5), read(6));
    let rows: [Row<'_>; 16] = [
        (306, &[at_cwd, name, flags, mode]),
        (307, &[Value::Fd(3), at_cwd, name, flags, mode, Value::Uint(0), Value::Uint(0)]),
        (6, &[Value::Fd(3), Value::Uint(4096)]),
        (7, &read3),
        (4, &[Value::Fd(3)]),
        (5, &[Value::Errno(0), Value::Fd(3)]),
        (6, &[Value::Fd(5), Value::Uint(4096)]),
        (7, &read5),
        (6, &[Value::Fd(6), Value::Uint(4096)]),
        (7, &read6),
        (18, &[Value::Enum(2), Value::Uint(1), Value::Uint(6)]),
        (19, &[Value::Fd(8), Value::Enum(2), Value::Uint(1), Value::Uint(6), Value::Absent]),
        (22, &[Value::Fd(8), address]),
        (23, &[Value::Errno(0), tuple, Value::Fd(8), address]),
        (4, &[Value::Fd(7)]),
        (5, &[Value::Errno(0), Value::Fd(7)]),
    ];
    (1_700_000_000_000_000_000..)
        .zip(rows)
        .map(|(ts, (ty, values))| {
            let start = EventBuilder::new(event(EventType(ty)).unwrap(), ts, 4321);
            values.iter().fold(start, |b, v| b.param(*v).unwrap()).build().unwrap()
        })
        .collect()
}

fn write_capture(path: &Path, state: &MachineState) {
    let mut file = Vec::new();
    write_state(&mut file, state).unwrap();
    events().iter().for_each(|e| frame_event(&mut file, 1, e));
    fs::write(path, file).unwrap();
}

/// The result of a test, or why it could not run.
type Tested = Result<(), NotInstalled>;

/// The program is not installed.
struct NotInstalled(&'static str);

/// Returns the lines that a program prints.
fn lines_of(program: &'static str, args: &[&str]) -> Result<HashSet<String>, NotInstalled> {
    let output = match Command::new(program).args(args).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(NotInstalled(program)),
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    Ok(lines.lines().map(|l| l.trim_end().to_string()).collect())
}

fn sysdig_reads_what_we_write() -> Tested {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.scap");
    write_capture(&path, &machine());
    let format = "%evt.dir %evt.type|%proc.name|%proc.cmdline|%fd.name|%fd.type|%proc.pname";
    let lines = lines_of("sysdig", &["-r", path.to_str().unwrap(), "-p", format])?;
    let cat = "cat|cat -n /etc/passwd";
    for expected in [
        format!("< openat|{cat}|/etc/passwd|file|init"),
        format!("< read|{cat}|/etc/passwd|file|init"),
        format!("< read|{cat}|/var/log/old.log|file|init"),
        format!("< read|{cat}|127.0.0.1:40000->10.0.0.9:443|ipv4|init"),
        format!("< connect|{cat}|127.0.0.1:40001->127.0.0.1:8080|ipv4|init"),
        format!("< close|{cat}|/run/x.sock|unix|init"),
    ] {
        assert!(lines.contains(&expected), "no {expected:?} in {lines:#?}");
    }
    Ok(())
}

fn sysdig_reads_a_list_in_several_blocks() -> Tested {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.scap");
    let mut state = machine();
    let pad = |tid| Thread {
        tid,
        pid: tid,
        env: vec![b'x'; 4000],
        args: vec![b'y'; 4000],
        ..state.threads[0].clone()
    };
    let many: Vec<Thread> = (10_000..10_800).map(pad).collect();
    // The recording thread comes last, in the last block.
    state.threads.splice(1..1, many);
    write_capture(&path, &state);
    let mut reader = Reader::new(fs::File::open(&path).unwrap()).unwrap();
    assert!(reader.next_event().unwrap().is_some());
    assert_eq!(reader.state(), &state);
    assert_eq!(reader.block_counts()[&BlockType::PROCESS_LIST], 2);
    let lines = lines_of("sysdig", &["-r", path.to_str().unwrap(), "-p", "%proc.name %proc.pname"])?;
    assert_eq!(lines, HashSet::from(["cat init".to_string()]));
    Ok(())
}

fn tshark_reads_what_we_write() -> Tested {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.scap");
    write_capture(&path, &machine());
    let fields = ["-T", "fields", "-e", "frame.number", "-e", "sysdig.event_type", "-e", "sysdig.thread_id"];
    let args = [&["-r", path.to_str().unwrap()][..], &fields].concat();
    let lines = lines_of("tshark", &args)?;
    assert_eq!(lines.len(), events().len(), "{lines:#?}");
    for expected in ["2\t307\t4321", "4\t7\t4321", "14\t23\t4321"] {
        assert!(lines.contains(expected), "no {expected:?} in {lines:#?}");
    }
    Ok(())
}

/// Has the client's strict parser read metrics on its standard input; 77 where there is no client.
const READ_METRICS: &str = "import sys\n\
    try: from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
    except ImportError: sys.exit(77)\n\
    print(len(list(parse(sys.stdin.read()))))";

/// Needs root: the daemon records.
fn prometheus_client_reads_the_metrics() -> Tested {
    const MISSING: NotInstalled = NotInstalled("python3-prometheus-client");
    let python = |text: &str| {
        let piped = Stdio::piped;
        let child = Command::new("/usr/bin/python3")
            .args(["-c", READ_METRICS])
            .stdin(piped())
            .stdout(piped())
            .spawn();
        let Ok(mut child) = child else { return Err(MISSING) };
        // One that has no client does not read.
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap_or_default();
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(77) => Err(MISSING),
            code => Ok((code, String::from_utf8(output.stdout).unwrap())),
        }
    };
    // Whether it is there, before a daemon is started for it.
    assert_eq!(python("# EOF\n")?, (Some(0), "0\n".to_owned()));
    let calls = Generator::start();
    let mut daemon = Daemon::start(&config(&calls, "getgid", "[metrics]\nmetrics = '127.0.0.1:0'\n"));
    daemon.wait_for("READY=1");
    let address = daemon.wait_for_log("metrics at ").split_whitespace().last().unwrap().to_owned();
    let response = minreq::get(&address).send().unwrap();
    let text = response.as_str().unwrap();
    let (code, families) = python(text)?;
    assert_eq!(code, Some(0), "prometheus_client refuses the metrics: {text}");
    assert!(families.trim().parse::<u32>().unwrap() > 10, "{families}: {text}");
    Ok(())
}

fn trial(name: &str, test: fn() -> Tested) -> Trial {
    Trial::ignorable_test(name, move || -> Result<Completion, Failed> {
        match test() {
            Ok(()) => Ok(Completion::Completed),
            Err(NotInstalled(program)) => Ok(Completion::ignored_with(format!("{program} is not installed"))),
        }
    })
}

fn main() {
    let trials = vec![
        trial("sysdig_reads_what_we_write", sysdig_reads_what_we_write),
        trial("sysdig_reads_a_list_in_several_blocks", sysdig_reads_a_list_in_several_blocks),
        trial("tshark_reads_what_we_write", tshark_reads_what_we_write),
        trial("prometheus_client_reads_the_metrics", prometheus_client_reads_the_metrics),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
