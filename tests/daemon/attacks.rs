//! Attacks of another user of the machine on root's scapd, run as that user.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use scapd::daemon::Socket;

use crate::{
    GETGID,
    common::run,
    harness::{Daemon, Generator, Killed, NOBODY, config, ctl, until},
};

/// Returns a perl program with its arguments, run by a user without rights.
fn nobody(program: &str, arguments: &[&str]) -> Command {
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "perl", "-e", program]);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Returns a directory of that user.
fn nobodys_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    folder
}

/// A socket is replaced by a link as soon as it exists: anything done by path then hits the target of the link.
#[test]
fn a_control_socket_that_is_swapped_for_a_link() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), nobodys_folder());
    let victim = ours.path().join("victim");
    fs::write(&victim, "secret").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::metadata(&victim).unwrap();
    let swap = "my ($folder, $victim, $pid) = @ARGV; chdir $folder or die; \
                while (1) { for my $name ('control.sock', \"control.sock.$pid\") { \
                if (-l $name) { unlink $name } \
                elsif (-S $name) { rename $name, 'taken'; symlink $victim, $name } } }";
    let pid = std::process::id().to_string();
    let (folder, link) = (theirs.path().to_str().unwrap(), victim.to_str().unwrap());
    let _attacker = Killed(nobody(swap, &[folder, link, &pid]).spawn().unwrap());
    let taken = theirs.path().join("taken");
    until(|| {
        drop(Socket::bind(&theirs.path().join("control.sock"), 0o666));
        taken.exists()
    });
    let (end, mut made) = (Instant::now() + Duration::from_secs(3), 0);
    while Instant::now() < end {
        made += u32::from(Socket::bind(&theirs.path().join("control.sock"), 0o666).is_ok());
    }
    let after = fs::metadata(&victim).unwrap();
    assert!(made > 100, "{made}");
    assert_eq!(
        (after.mode(), after.uid(), after.ctime_nsec()),
        (before.mode(), before.uid(), before.ctime_nsec()),
        "after {made} sockets"
    );
    assert_eq!(fs::read(&victim).unwrap(), b"secret");
}

/// A pipe without a writer and an endless device would be read for ever.
#[test]
fn a_configuration_folder_with_pipes_and_devices() {
    let folder = nobodys_folder();
    let further = folder.path().join("config.d");
    let plant = "use POSIX; my ($folder) = @ARGV; mkdir $folder; mkfifo \"$folder/1.toml\", 0666 or die; \
                 symlink '/dev/zero', \"$folder/2.toml\" or die; symlink '1.toml', \"$folder/3.toml\" or die";
    let (code, ..) = run(&mut nobody(plant, &[further.to_str().unwrap()]));
    assert_eq!(code, Some(0));
    let file = folder.path().join("scapd.toml");
    fs::write(&file, "[record]\nsyscalls = 'openat'\n").unwrap();
    let (code, said, log) = run(Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_scapd"), "daemon", "--check", "--config"])
        .arg(&file));
    assert!(code == Some(0) && said.contains("the configuration is valid"), "{code:?} {said} {log}");
    for name in ["1.toml", "2.toml", "3.toml"] {
        assert!(log.contains(&format!("{name} is not a regular file: it is left alone")), "{log}");
    }
}

/// The disk is full, so that none of the rotations is done.
#[test]
fn rotations_that_cannot_be_made_keep_neither_status_nor_stop_out() {
    let calls = Generator::start();
    let open = "[files]\nkeep-free = '99%'\n[control]\ncontrol-mode = '0666'\n";
    let mut daemon = Daemon::start(&config(&calls, GETGID, open));
    daemon.wait_for("READY=1");
    daemon.open_folder();
    let ask = "use IO::Socket::UNIX; my ($path, $rotating) = @ARGV; my @all; \
               for (1..60) { my $s = IO::Socket::UNIX->new(Peer => $path) or next; push @all, $s; \
               print $s $_ <= $rotating ? qq({\"request\":\"rotate\"}\\n) : qq({); $s->flush; \
               sleep 1 if $_ == $rotating } \
               print qq(there\\n); close STDOUT; \
               for (@all[0 .. $rotating - 1]) { my $line = <$_>; print STDERR $line } sleep 100";
    let socket = daemon.socket();
    let mut attacker = nobody(ask, &[socket.to_str().unwrap(), "20"]);
    let mut attacker = Killed(attacker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut there = String::new();
    attacker.0.stdout.take().unwrap().read_to_string(&mut there).unwrap();
    assert_eq!(there, "there\n");
    for _ in 0..3 {
        let start = Instant::now();
        assert!(daemon.status()["state"].is_string());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    // Each of them gets its answer: 8 wait, and 12 are refused.
    let mut told = String::new();
    let mut answers = BufReader::new(attacker.0.stderr.take().unwrap());
    for _ in 0..20 {
        answers.read_line(&mut told).unwrap();
    }
    let count = |what: &str| told.matches(what).count();
    assert_eq!((count("are already waiting; try again"), count("not done within 30 s")), (12, 8), "{told}");
    // A setting that would help can be changed, too.
    assert_eq!(run(&mut ctl(&daemon, &["set", "keep-files=1000"])).0, Some(0));
    assert_eq!(run(&mut ctl(&daemon, &["stop"])).0, Some(0));
    daemon.end();
}

/// docs/SECURITY.md names existing tests.
#[test]
fn the_page_on_security_names_tests_that_there_are() {
    let root = env!("CARGO_MANIFEST_DIR");
    let (_, sources, _) = run(Command::new("grep")
        .args(["-rhoE", "--include=*.rs", "^ *fn [a-z0-9_]+"])
        .args(["src", "tests", "scap"].map(|folder| format!("{root}/{folder}"))));
    let page = fs::read_to_string(format!("{root}/docs/SECURITY.md")).unwrap();
    let column =
        page.lines().filter_map(|line| line.strip_suffix(" |")?.strip_prefix("| ")?.split(" | ").nth(2));
    let names: Vec<_> = column
        .flat_map(|column| column.split('`').skip(1).step_by(2))
        .filter_map(|path| path.rsplit("::").next())
        .filter(|name| name.contains('_'))
        .collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(sources.lines().any(|line| line.trim_start().strip_prefix("fn ") == Some(name)), "{name}");
    }
}

fn metrics(daemon: &mut Daemon) -> SocketAddr {
    let line = daemon.wait_for_log("metrics at ");
    line.split('/').find_map(|part| part.parse().ok()).unwrap()
}

/// Sends a request, and returns the whole answer.
fn http(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn requests_that_never_end_keep_nobody_from_the_metrics() {
    let calls = Generator::start();
    let mut daemon = Daemon::start(&config(&calls, GETGID, "[metrics]\nmetrics = '127.0.0.1:0'\n"));
    daemon.wait_for("READY=1");
    let address = metrics(&mut daemon);
    let half = "use IO::Socket::INET; my ($address) = @ARGV; my @all; \
                for (1..200) { my $s = IO::Socket::INET->new(PeerAddr => $address) or next; push @all, $s; \
                print $s qq(GET /metrics HT); $s->flush } print qq(there\\n); close STDOUT; sleep 100";
    let mut attacker = nobody(half, &[&address.to_string()]);
    let mut attacker = Killed(attacker.stdout(Stdio::piped()).spawn().unwrap());
    let mut there = String::new();
    attacker.0.stdout.take().unwrap().read_to_string(&mut there).unwrap();
    let start = Instant::now();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    for _ in 0..5 {
        let answer = http(address, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("# EOF\n"), "{answer}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A client gets its answer even if it sends more than its request.
    let long = [request.replace("GET", "POST").as_bytes(), &vec![b'x'; 300 << 10]].concat();
    for _ in 0..20 {
        assert!(http(address, &long).starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    }
    let headers = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nX: {}", "x".repeat(10 << 10));
    assert!(http(address, headers.as_bytes()).starts_with("HTTP/1.1 431 "));
}

/// A web page whose name resolves to 127.0.0.1 makes a browser on this machine ask for the metrics.
#[test]
fn a_page_of_the_web_learns_nothing() {
    let calls = Generator::start();
    let more = "[metrics]\nmetrics = '127.0.0.1:0'\nmetrics-host = 'metrics.example.org'\n";
    let mut daemon = Daemon::start(&config(&calls, GETGID, more));
    daemon.wait_for("READY=1");
    let address = metrics(&mut daemon);
    let ask = |host: &str, path: &str| {
        http(address, format!("GET {path} HTTP/1.1\r\nHost: {host}:{}\r\n\r\n", address.port()).as_bytes())
    };
    for path in ["/metrics", "/healthz"] {
        let answer = ask("rebound.example.com", path);
        assert!(answer.starts_with("HTTP/1.1 421 ") && answer.contains("metrics-host"), "{answer}");
        assert!(!answer.contains("scapd_") && !answer.contains("ok\n"), "{answer}");
        for host in ["localhost", "127.0.0.1", "metrics.example.org"] {
            assert!(ask(host, path).starts_with("HTTP/1.1 200 OK\r\n"), "{host}");
        }
    }
}

/// A member of the control group has old files deleted, by a lower limit or by enough new files.
#[test]
fn deletions_can_be_kept_from_the_control_group() {
    let calls = Generator::start();
    let more = "[files]\nkeep-files = 2\n[control]\ncontrol-mode = '0666'\ncontrol-allow = 'reload,set'\n";
    let mut daemon = Daemon::start(&config(&calls, GETGID, more));
    daemon.wait_for("READY=1");
    daemon.open_folder();
    let ask = "use IO::Socket::UNIX; my ($path, $request) = @ARGV; \
               my $s = IO::Socket::UNIX->new(Peer => $path) or die; print $s qq($request\\n); $s->flush; \
               print scalar <$s>";
    let ask = |request: &str| run(&mut nobody(ask, &[daemon.socket().to_str().unwrap(), request])).1;
    for (request, name) in [
        (r#"{"request":"rotate"}"#, "rotate"),
        (r#"{"request":"set","values":{"keep-files":"1"}}"#, "keep"),
        (r#"{"request":"set","values":{"snaplen":"90","keep-bytes":"1"}}"#, "keep"),
        (r#"{"request":"stop"}"#, "stop"),
        (r#"{"request":"set","values":{"control-allow":"keep,rotate"}}"#, "control-allow"),
    ] {
        let said = ask(request);
        assert!(said.contains("\"ok\":false") && said.contains(name), "{request}: {said}");
    }
    for request in [r#"{"request":"status"}"#, r#"{"request":"set","values":{"snaplen":"90"}}"#] {
        assert!(ask(request).contains("\"ok\":true"), "{request}");
    }
    // Only the owner can send a signal.
    daemon.signal(rustix::process::Signal::USR1);
    daemon.wait_for_log("started a new file");
}
