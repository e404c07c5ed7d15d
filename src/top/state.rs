//! `scapd state`: the processes, descriptors and sockets at a time.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{
    table::{OutputForm, align},
    units::time,
};
use crate::{
    choice::{Choice, choices},
    json::{VERSION, escape, safe},
    print::{DependsOn, MakeView, View, json_bytes, plain_table, rfc3339},
};
use scap::{
    events::EVENTS,
    filter::Filter,
    format::{EventBuilder, EventView, Keep, Value},
    model::{FdClass, OpenFd},
    replay::{Moment, Now},
    text,
};

choices! {
    /// A part of the state.
    pub enum Part {
        Processes = "processes": "The processes, as ps shows them",
        Files = "files": "The open descriptors, as lsof shows them",
        Sockets = "sockets": "The sockets of IP, as netstat shows them",
    }
}

/// How a state is shown.
#[derive(Debug, Clone)]
pub struct StateForm {
    /// As text or JSON.
    pub form: OutputForm,
    /// What is shown.
    pub parts: Vec<Part>,
    /// Only processes and descriptors that match.
    pub filter: Option<Filter>,
}

impl MakeView for StateForm {
    fn view(&self) -> Box<dyn View> {
        Box::new(StateView { form: self.clone(), page: None })
    }
}

struct StateView {
    form: StateForm,
    /// The state at the end of the last capture.
    page: Option<String>,
}

impl View for StateView {
    fn event(&mut self, _moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let state = State::of(now, self.form.filter.as_ref());
        let mut page = String::new();
        match self.form.form {
            OutputForm::Json => escape(&mut page, &format!("{}\n", safe(state.json(&self.form.parts)))),
            OutputForm::Text | OutputForm::Csv => state.text(&mut page, &self.form.parts),
        }
        self.page = Some(page);
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.page.take().unwrap_or_default().as_bytes())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}

/// What is shown of the machine.
struct State<'a> {
    now: Now<'a>,
    /// Processes that match, or that have descriptors that do.
    pids: Vec<u64>,
    fds: Vec<(u64, i64, &'a OpenFd)>,
}

impl<'a> State<'a> {
    fn of(now: Now<'a>, filter: Option<&Filter>) -> State<'a> {
        let machine = now.machine;
        let mut pids: Vec<_> =
            machine.threads().into_iter().filter_map(|tid| machine.process_of(tid)).collect();
        pids.sort_unstable();
        pids.dedup();
        let (mut shown, mut fds) = (Vec::new(), Vec::new());
        for pid in pids {
            // As if the process made a call, or closed the descriptor: so filters have all fields.
            let of_process = filter.is_none_or(|filter| matches(now, filter, "getuid", pid, None));
            let is_shown = |fd: i64| {
                of_process || filter.is_some_and(|filter| matches(now, filter, "close", pid, Some(fd)))
            };
            let before = fds.len();
            fds.extend(
                machine
                    .fds(pid)
                    .into_iter()
                    .filter(|(fd, _)| is_shown(*fd))
                    .map(|(fd, open)| (pid, fd, open)),
            );
            if of_process || fds.len() > before {
                shown.push(pid);
            }
        }
        State { now, pids: shown, fds }
    }

    fn sockets(&self) -> impl Iterator<Item = &(u64, i64, &'a OpenFd)> {
        self.fds.iter().filter(|(_, _, open)| matches!(open.class, FdClass::Ipv4(_) | FdClass::Ipv6(_)))
    }

    fn comm(&self, pid: u64) -> String {
        self.now
            .machine
            .process_comm(pid)
            .or_else(|| self.now.machine.comm(pid))
            .map_or_else(String::new, escaped)
    }

    fn text(&self, page: &mut String, parts: &[Part]) {
        for (number, part) in parts.iter().enumerate() {
            page.push_str(if number > 0 { "\n" } else { "" });
            let (mut table, numbers) = match part {
                Part::Processes => (self.processes(), 5),
                Part::Files => (self.descriptors(self.fds.iter()), 2),
                Part::Sockets => (self.descriptors(self.sockets()), 2),
            };
            align(&mut table, numbers);
            page.extend(table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]));
        }
    }

    fn processes(&self) -> comfy_table::Table {
        let mut table = plain_table();
        table.set_header(["pid", "ppid", "threads", "fds", "age", "user", "call", "command"]);
        for pid in &self.pids {
            let Some(process) = self.process(*pid) else { continue };
            let number =
                |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            let age =
                process.started.map_or_else(|| "-".to_owned(), |ts| time(self.now.ts.saturating_sub(ts)));
            let call = process.call.map_or_else(String::new, |(name, ns)| format!("{name} {}", time(ns)));
            let command = match process.command.is_empty() {
                true => format!("[{}]", self.comm(*pid)),
                false => escaped(&process.command.join(&b' ')),
            };
            table.add_row([
                pid.to_string(),
                number(process.ppid),
                number(process.threads),
                number(process.fds),
                age,
                process.user,
                call,
                command,
            ]);
        }
        table
    }

    fn descriptors<'s>(&self, fds: impl Iterator<Item = &'s (u64, i64, &'s OpenFd)>) -> comfy_table::Table {
        let mut table = plain_table();
        table.set_header(["pid", "fd", "process", "type", "name"]);
        for (pid, fd, open) in fds {
            table.add_row([
                pid.to_string(),
                fd.to_string(),
                self.comm(*pid),
                kind(open),
                escaped(&open.name),
            ]);
        }
        table
    }

    fn json(&self, parts: &[Part]) -> Json {
        let descriptor = |(pid, fd, open): &(u64, i64, &OpenFd)| {
            json!({
                "pid": pid,
                "fd": fd,
                "type": kind(open),
                "name": json_bytes(&open.name),
            })
        };
        let process = |pid: &u64| {
            let process = self.process(*pid)?;
            Some(json!({
                "pid": pid,
                "ppid": process.ppid,
                "comm": self.now.machine.process_comm(*pid).map(json_bytes),
                "command": process.command.iter().map(|word| json_bytes(word)).collect::<Vec<_>>(),
                "user": process.user,
                "threads": process.threads,
                "fds": process.fds,
                "started": process.started.and_then(rfc3339),
                "call": process.call.map(|(name, _)| name),
                "call_ns": process.call.map(|(_, ns)| ns),
            }))
        };
        let mut object = json!({"v": VERSION, "time": rfc3339(self.now.ts)});
        for part in parts {
            object[part.name()] = match part {
                Part::Processes => self.pids.iter().filter_map(process).collect(),
                Part::Files => self.fds.iter().map(descriptor).collect(),
                Part::Sockets => self.sockets().map(descriptor).collect(),
            };
        }
        object
    }

    fn process(&self, pid: u64) -> Option<Process> {
        let machine = self.now.machine;
        let info = machine.process(pid)?;
        let uid = machine.thread_info(pid).map(|thread| thread.uid).filter(|uid| *uid != u32::MAX);
        let name = |uid: u32| machine.user(uid).map_or_else(|| uid.to_string(), |user| escaped(&user.name));
        let args = info.args.strip_suffix(b"\0").unwrap_or(&info.args);
        let words = info.exe.iter().as_slice();
        let mut command = Vec::new();
        if !words.is_empty() {
            command.push(words.to_vec());
            command.extend(args.split(|byte| *byte == 0).filter(|_| !args.is_empty()).map(<[u8]>::to_vec));
        }
        let call = machine.call(pid).map(|call| (call.name(), self.now.ts.saturating_sub(call.entered)));
        Some(Process {
            ppid: Some(info.ptid).filter(|ptid| *ptid != u64::MAX),
            threads: machine.thread_count(pid),
            fds: machine.fd_count(pid),
            started: Some(info.started).filter(|started| *started != 0),
            user: uid.map_or_else(String::new, name),
            call,
            command,
        })
    }
}

/// What is shown of a process.
struct Process {
    ppid: Option<u64>,
    threads: Option<u64>,
    fds: Option<u64>,
    /// When it was cloned, in ns since the epoch, if the capture shows it.
    started: Option<u64>,
    user: String,
    /// The call that its main thread is in, and since how many ns.
    call: Option<(&'static str, u64)>,
    command: Vec<Vec<u8>>,
}

/// Returns the kind of a descriptor, with the protocol of a socket.
fn kind(open: &OpenFd) -> String {
    match open.class.protocol_word() {
        Some(protocol) => format!("{} {protocol}", open.class.word()),
        None => open.class.word().to_owned(),
    }
}

/// Returns whether the start of a call matches a filter, if a process made it now.
fn matches(now: Now<'_>, filter: &Filter, call: &str, pid: u64, fd: Option<i64>) -> bool {
    let row = EVENTS.iter().rfind(|row| row.name == call && row.ty.is_enter());
    let event = row.and_then(|row| {
        let event = EventBuilder::new(row, now.ts, pid);
        let event = match fd {
            Some(fd) => event.param(Value::Fd(fd)).ok()?,
            None => event,
        };
        event.build_short().ok()
    });
    let event = event.as_deref().and_then(|event| EventView::parse(event, false).ok());
    event.is_some_and(|event| filter.matches(&now.with(event)))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    text::escape(&mut text, bytes);
    text
}
