//! Names of descriptors and processes in the output of `scapd read`. Needs root, for real recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    thread::sleep,
    time::Duration,
};

use common::{file, run, scapd};
use scap::events::{Arch, Syscall};

fn number(call: &str) -> String {
    Syscall::by_name(call).unwrap().number(Arch::NATIVE).unwrap().to_string()
}

/// Records a command, and returns the lines of `scapd read`.
fn recorded(command: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "names.scap");
    let (code, _, said) = run(scapd().args(["record", "-w"]).arg(&path).arg("--").args(command));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing lost"), "{said}");
    let (code, lines, said) = run(scapd().arg("read").arg(&path));
    assert_eq!(code, Some(0), "{said}");
    lines.lines().map(str::to_owned).collect()
}

/// Returns the parameter with this name in the single line with all these parts.
fn parameter<'a>(lines: &'a [String], parts: &[&str], name: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).collect();
    let [line] = found[..] else { panic!("{} lines with {parts:?}: {found:#?}", found.len()) };
    let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}"));
    let rest = &line[start + name.len() + 2..];
    // A name in parentheses may have spaces.
    let value = rest.find(' ').unwrap_or(rest.len());
    let is_named = rest[..value].contains('(');
    let end = if is_named { rest.find(") ").map_or(rest.len(), |end| end + 1) } else { value };
    rest[..end].trim_end()
}

/// The offset of each `lseek` identifies the descriptor.
const DESCRIPTORS: &str = r#"
    use POSIX ();
    my ($folder, $openat, $clone, $pidfd_open, $pidfd_getfd, $exit) = @ARGV;
    sub look { POSIX::lseek($_[0], $_[1], 0) }
    my $nameless = syscall($openat, -100, $folder, 020200002, 0600);
    look($nameless, 101);
    my $file = POSIX::open("/etc/passwd", 0);
    open(my $handle, "<&=", $file);
    fcntl($handle, 1, 0);
    # CLONE_FILES and SIGCHLD: the child closes what is the parent's as well.
    my $child = syscall($clone, 0x400 | 17, 0, 0, 0, 0);
    if ($child == 0) { POSIX::close($file); syscall($exit, 0) }
    waitpid($child, 0);
    look($file, 102);
    # Another process, with a descriptor that the parent does not have.
    pipe(my $ready, my $tell);
    $child = fork();
    if ($child == 0) { POSIX::dup2(POSIX::open("/etc/group", 0), 77); syswrite($tell, "x"); sleep 60; POSIX::_exit(0) }
    sysread($ready, my $byte, 1);
    my $pidfd = syscall($pidfd_open, $child, 0);
    look(syscall($pidfd_getfd, $pidfd, 77, 0), 103);
    kill 9, $child;
    waitpid($child, 0);
"#;

#[test]
fn descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let calls = ["openat", "clone", "pidfd_open", "pidfd_getfd", "exit"].map(number);
    let mut command = vec!["perl", "-e", DESCRIPTORS, path];
    command.extend(calls.iter().map(String::as_str));
    let lines = recorded(&command);

    let nameless = parameter(&lines, &["> lseek", "offset=101 "], "fd");
    assert!(nameless.contains(&format!("(<f>{path}/#")) && nameless.ends_with(" (deleted))"), "{nameless}");
    let close = parameter(&lines, &["< close res=0", "/etc/passwd"], "fd");
    let (number, _) = close.split_once('(').unwrap();
    assert_eq!(parameter(&lines, &["> lseek", "offset=102 "], "fd"), number, "closed by the child");
    let getfd = format!("fd={close}");
    assert_eq!(
        parameter(&lines, &["< fcntl", "F_GETFD", &getfd], "res"),
        "1",
        "perl sets it, and 1 is not a descriptor here"
    );
    let target = parameter(&lines, &["< pidfd_getfd"], "target_fd");
    assert_eq!(target, "77(<f>/etc/group)");
    assert!(parameter(&lines, &["< pidfd_getfd"], "pid_fd").contains("(<P>pid:"));
    assert!(parameter(&lines, &["> lseek", "offset=103 "], "fd").ends_with("(<f>/etc/group)"));
    let anonymous = |line: &&String| line.contains("> mmap") && line.contains("MAP_ANONYMOUS");
    let maps: Vec<_> = lines.iter().filter(anonymous).collect();
    assert!(!maps.is_empty() && maps.iter().all(|line| line.contains(" fd=-1 ")), "{maps:#?}");
}

#[test]
fn processes_of_a_pid_namespace() {
    let script = "/bin/true; kill -0 1; exit 0";
    let lines = recorded(&["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script]);
    assert_eq!(parameter(&lines, &["> kill", " sig=0"], "pid"), "1(sh)");
    let born = parameter(&lines, &["vtid=2(", " res=0 "], "vtid");
    assert_eq!(born, "2(sh)");
    let returned = parameter(&lines, &[" sh (", "< ", "fork res=2("], "res");
    assert!(["2(sh)", "2(true)"].contains(&returned), "{returned}");
}

/// Both ends of a connection made before are shown from client to server.
#[test]
fn sockets_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "sockets.scap");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let pid = std::process::id().to_string();
    let mut recorder = scapd();
    recorder.args(["record", "-q", "-p", &pid, "--duration", "1", "-w"]).arg(&path);
    let mut recorder = recorder.spawn().unwrap();
    while recorder.try_wait().unwrap().is_none() {
        client.write_all(b"from client").unwrap();
        server.write_all(b"from server").unwrap();
        sleep(Duration::from_millis(50));
    }
    let (code, lines, said) = run(scapd().arg("read").arg(&path).args(["--syscalls", "sendto,write"]));
    assert_eq!(code, Some(0), "{said}");
    let port = |socket: &TcpStream| socket.local_addr().unwrap().port();
    let name = format!("127.0.0.1:{}->127.0.0.1:{})", port(&client), port(&server));
    for data in ["data=from client", "data=from server"] {
        let sent: Vec<_> = lines.lines().filter(|line| line.contains(data)).collect();
        assert!(!sent.is_empty() && sent.iter().all(|line| line.contains(&name)), "{name}: {sent:#?}");
    }
}
