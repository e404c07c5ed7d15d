//! Captures that tests make, and the values of fields at their last event.

use super::{Fields, Key, Reference, Registry, Source, Value};
use crate::{
    events::EVENTS,
    format::{
        EventBuilder, Keep, MachineState, Reader, Value as Param, frame_event,
        state::{Fd, FdKind, FdList, Group, MachineInfo, NamedFd, Thread, User},
        write_state,
    },
    replay::{Moment, Position, Replay},
};

pub const OK: Param<'static> = Param::Errno(0);
pub const BOOT: u64 = 1_000_000_000;

/// A capture: its state, then events that are 10 ns apart, or another [step](Capture::clock).
pub struct Capture {
    bytes: Vec<u8>,
    /// The time of the next event, in ns since the epoch.
    pub ts: u64,
    step: u64,
    cpu: u16,
}

fn thread(tid: u64, ptid: u64, comm: &str) -> Thread {
    Thread {
        tid,
        pid: tid,
        ptid,
        sid: 50,
        pgid: 60,
        vpgid: 60,
        vtid: tid as i64,
        vpid: tid as i64,
        comm: comm.into(),
        exe: format!("-{comm}").into(),
        exepath: format!("/bin/{comm}").into(),
        args: b"-a\0b c\0".into(),
        env: format!("NAME={comm}\0EMPTY=\0").into(),
        cwd: b"/srv".into(),
        cgroups: b"cpu=/a\0io=/b\0".into(),
        fdlimit: 200,
        tty: 34816,
        loginuid: u32::MAX,
        ..Thread::default()
    }
}

/// init, a shell of a session, make in a group of its own, and what runs in it.
pub fn state() -> MachineState {
    let named = |fd, name: &str| {
        let kind = FdKind::Named { kind: NamedFd::Fifo, name: name.into() };
        Fd { fd, ino: 0, kind }
    };
    let own =
        Thread { uid: 7, gid: 8, cap_effective: 1 << 24 | 1 << 40, loginuid: 7, ..thread(70, 60, "cc") };
    let user = User {
        uid: 7,
        name: b"ann".into(),
        home: b"/h".into(),
        shell: b"/bin/zsh".into(),
        ..User::default()
    };
    MachineState {
        machine: MachineInfo { boot_time: BOOT, ..MachineInfo::default() },
        threads: vec![
            Thread { sid: 1, pgid: 1, ..thread(1, 0, "init") },
            Thread { pgid: 50, ..thread(50, 1, "zsh") },
            thread(60, 50, "make"),
            own,
        ],
        users: vec![user],
        groups: vec![Group { gid: 8, name: b"staff".into() }],
        fds: vec![FdList { pid: 70, fds: vec![named(0, "pipe:[1]"), named(1, "pipe:[2]")] }],
        ..MachineState::default()
    }
}

impl Capture {
    pub fn new() -> Capture {
        Capture::of(&state())
    }

    pub fn of(state: &MachineState) -> Capture {
        let mut bytes = Vec::new();
        write_state(&mut bytes, state).unwrap();
        Capture { bytes, ts: BOOT + 1010, step: 10, cpu: 0 }
    }

    /// Sets the time of the next event, and how much later each further one is, in ns.
    pub fn clock(self, ts: u64, step: u64) -> Capture {
        Capture { ts, step, ..self }
    }

    /// Sets the CPU of the next events, at first 0.
    pub fn on_cpu(self, cpu: u16) -> Capture {
        Capture { cpu, ..self }
    }

    /// Adds an event of the newest row of that name, with the values of the parameters named.
    pub fn event(&mut self, tid: u64, name: &str, values: &[(&str, Param<'_>)]) -> &mut Capture {
        let (name, direction) = name.split_at(name.len() - 2);
        let row = EVENTS.iter().rfind(|e| e.name == name && e.ty.is_enter() == (direction == "_e")).unwrap();
        values.iter().for_each(|(name, _)| assert!(row.param(name).is_some(), "{name}"));
        let builder = row.params.iter().fold(EventBuilder::new(row, self.ts, tid), |builder, param| {
            let value = values.iter().find(|(name, _)| *name == param.name);
            builder.param(value.map_or(Param::Absent, |(_, value)| *value)).unwrap()
        });
        self.add(&builder.build_short().unwrap())
    }

    /// Adds the bytes of an event.
    pub fn add(&mut self, event: &[u8]) -> &mut Capture {
        frame_event(&mut self.bytes, self.cpu, event);
        self.ts += self.step;
        self
    }

    /// Adds an event that changes nothing.
    pub fn call(&mut self, tid: u64) -> &mut Capture {
        self.event(tid, "getcwd_x", &[])
    }

    /// Adds the child's return of a clone.
    pub fn fork(&mut self, tid: u64, pid: u64, parent: u64, flags: u32, own: (i64, i64)) -> &mut Capture {
        let ids = [("pid", Param::Pid(pid as i64)), ("ptid", Param::Pid(parent as i64))];
        let nested = [("vtid", Param::Pid(own.0)), ("vpid", Param::Pid(own.1))];
        let rest = [("res", Param::Pid(0)), ("flags", Param::Flags(flags)), ("comm", Param::Text(b"child"))];
        let user = [("uid", Param::Uint(7)), ("gid", Param::Uint(8))];
        let memory =
            [("vm_size", Param::Uint(11)), ("vm_rss", Param::Uint(12)), ("vm_swap", Param::Uint(13))];
        let faults = [("pgft_maj", Param::Uint(1)), ("pgft_min", Param::Uint(2))];
        self.event(tid, "clone_x", &[&ids[..], &nested, &rest, &user, &memory, &faults].concat())
    }

    pub fn child(&mut self, tid: u64, parent: u64) -> &mut Capture {
        self.fork(tid, tid, parent, 0, (tid as i64, tid as i64))
    }

    pub fn exec(&mut self, tid: u64, parent: i64, args: &'static [u8]) -> &mut Capture {
        let ids = [("res", OK), ("pid", Param::Pid(tid as i64)), ("ptid", Param::Pid(parent))];
        let texts = [("exe", Param::Text(b"ls")), ("comm", Param::Text(b"ls")), ("args", Param::Bytes(args))];
        let more = [("exe_ino", Param::Uint(9)), ("exe_ino_ctime", Param::AbsTime(BOOT + 400))];
        let caps = [("cap_effective", Param::Uint(1)), ("env", Param::Bytes(b"B=2\0"))];
        let file = [("flags", Param::Flags(1)), ("fdlimit", Param::Uint(100))];
        self.event(tid, "execve_x", &[&ids[..], &texts, &more, &caps, &file].concat())
    }

    pub fn gap(&mut self, desc: &'static str) -> &mut Capture {
        let notice = [("id", Param::Text(b"scapd.gap")), ("desc", Param::Text(desc.as_bytes()))];
        self.event(0, "notification_e", &notice)
    }

    /// Returns the bytes of the capture.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Calls `each` with each event.
    pub fn replay(&self, mut each: impl FnMut(&Moment<'_>)) {
        let mut reader = Reader::new(&self.bytes[..]).unwrap().keep(Keep::All);
        let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
        while let Some(moment) = replay.next().unwrap() {
            each(&moment);
        }
    }

    /// Returns the values of a field at each event.
    pub fn at_each(&self, field: &str) -> Vec<Vec<String>> {
        let field = reference(field);
        let mut all = Vec::new();
        self.replay(|moment| all.push(values(moment, &field)));
        all
    }

    /// Returns the values of fields at the last event, each as text: all of a field with commas, `-` for none.
    pub fn at_end(&self, fields: &[&str]) -> Vec<String> {
        let fields: Vec<_> = fields.iter().map(|field| reference(field)).collect();
        let mut last = Vec::new();
        let text = |values: Vec<String>| if values.is_empty() { "-".into() } else { values.join(",") };
        self.replay(|moment| last = fields.iter().map(|field| text(values(moment, field))).collect());
        last
    }

    #[track_caller]
    pub fn has(&self, expected: &[(&str, &str)]) {
        let (fields, expected): (Vec<_>, Vec<_>) = expected.iter().copied().unzip();
        let got = self.at_end(&fields);
        let pairs: Vec<_> = fields.iter().zip(&got).collect();
        assert_eq!(got, expected, "{pairs:?}");
    }
}

/// Returns a field by its name, with an argument in brackets or behind the last dot.
pub fn reference(text: &str) -> Reference {
    let find = |name: &str| Fields.fields().iter().position(|field| field.name == name);
    if let Some((name, key)) = text.split_once('[') {
        let key = key.trim_end_matches(']');
        let argument = Some(key.parse().map_or_else(|_| Key::Name(key.into()), Key::Index));
        return Reference { field: find(name).unwrap_or_else(|| panic!("{text}")), argument };
    }
    let with_name = || {
        let (name, key) = text.rsplit_once('.').unwrap();
        Reference {
            field: find(name).unwrap_or_else(|| panic!("{text}")),
            argument: Some(Key::Name(key.into())),
        }
    };
    find(text).map_or_else(with_name, |field| Reference { field, argument: None })
}

/// Returns the values of a field, each as text.
fn values(source: &dyn Source, field: &Reference) -> Vec<String> {
    let mut values = Vec::new();
    source.values(field, &mut |value| {
        values.push(plain(value));
        true
    });
    values
}

/// Returns a value as text.
fn plain(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => text.escape_ascii().to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Ip(ip) => ip.to_string(),
    }
}
