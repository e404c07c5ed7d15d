//! Generators that run other programs.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use super::{
    Work,
    calls::{self, Ball, Files},
};

/// The number of functions in the generated C file: gcc takes some tenths of a second.
const FUNCTIONS: u32 = 40;
/// The number of connections of redis-benchmark.
const CLIENTS: u32 = 20;
/// The number of iterations of the mix between two processes.
const PROCESS_EVERY: u64 = 1_000;
/// The time limit for the start of a server.
const SERVER_LIMIT: Duration = Duration::from_secs(20);

pub fn fork_exec() -> Work {
    let run = |iterations| {
        for _ in 0..iterations {
            run_true()?;
        }
        Ok(())
    };
    Work { run: Box::new(run), calls: None }
}

fn run_true() -> anyhow::Result<()> {
    let status = Command::new("/bin/true").status().context("cannot run /bin/true")?;
    ensure!(status.success(), "/bin/true failed: {status}");
    Ok(())
}

pub fn compile(dir: &Path) -> anyhow::Result<Work> {
    let (source, object) = (dir.join("generated.c"), dir.join("generated.o"));
    fs::write(&source, c_source()).with_context(|| format!("cannot write {}", source.display()))?;
    let run = move |iterations| {
        for _ in 0..iterations {
            let mut gcc = Command::new("gcc");
            let status = gcc.args(["-O2", "-c", "-o"]).arg(&object).arg(&source).status();
            let status = status.context("cannot run gcc")?;
            ensure!(status.success(), "gcc failed: {status}");
        }
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: None })
}

/// Returns a C file with headers to include and code to optimize.
fn c_source() -> String {
    let mut source = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n".to_owned();
    for i in 0..FUNCTIONS {
        let _ = write!(
            source,
            "int f{i}(const char *text, int n) {{\n\
             \tint sum = {i}, table[64];\n\
             \tfor (int i = 0; i < 64; i++)\n\t\ttable[i] = i * n + {i};\n\
             \tfor (int i = 0; i < n; i++)\n\t\tsum = sum * 31 + table[i & 63] % (i + {i} + 1);\n\
             \tif (strlen(text) > (size_t)n)\n\t\tsum ^= atoi(text);\n\
             \tprintf(\"%d %s\\n\", sum, text);\n\
             \treturn sum;\n}}\n"
        );
    }
    source
}

/// A server that is killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn redis(dir: &Path) -> anyhow::Result<Work> {
    let port = free_port()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]).arg(port.to_string());
    command.arg("--dir").arg(dir).stdout(Stdio::null());
    let mut server = Server(command.spawn().context("cannot run redis-server")?);
    let since = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = server.0.try_wait()? {
            bail!("redis-server ended: {status}");
        }
        ensure!(since.elapsed() < SERVER_LIMIT, "redis-server does not listen on port {port}");
        thread::sleep(Duration::from_millis(5));
    }
    let run = move |iterations: u64| {
        // The server must live as long as the closure.
        let _server = &server;
        if iterations == 0 {
            return Ok(());
        }
        let mut client = Command::new("redis-benchmark");
        client.args(["-t", "get", "-q", "-p"]).arg(port.to_string());
        client.arg("-c").arg(CLIENTS.to_string()).arg("-n").arg(iterations.to_string());
        let status = client.stdout(Stdio::null()).status().context("cannot run redis-benchmark")?;
        ensure!(status.success(), "redis-benchmark failed: {status}");
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: None })
}

/// Returns an unused port.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr()?.port())
}

pub fn mix() -> anyhow::Result<Work> {
    let (mut files, mut ball) = (Files::open()?, Ball::new()?);
    let mut done: u64 = 0;
    let run = move |iterations| {
        for _ in 0..iterations {
            calls::call_getppid();
            calls::call_access();
            calls::call_open_close()?;
            files.read_write()?;
            ball.there_and_back()?;
            if done.is_multiple_of(PROCESS_EVERY) {
                run_true()?;
            }
            done += 1;
        }
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_file_has_all_functions() {
        let source = c_source();
        assert_eq!(source.matches("int f").count(), FUNCTIONS as usize);
        assert_eq!(source.matches('{').count(), source.matches('}').count());
    }
}
