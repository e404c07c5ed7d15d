//! Tests the merge against a model of the programs. They begin, read the clock, reserve, commit and end, each step at
//! any time. They interrupt and preempt each other on a CPU, and share rings.

use std::{cell::RefCell, rc::Rc};

use proptest::{collection::vec, prelude::*};

use super::*;

/// The progress of a program.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// It has read the mark of its CPU and will raise it. Only if marks are not atomic.
    Raising(u64),
    Begun,
    ClockRead(u64),
    Reserved(usize),
    Committed,
    /// It has read the mark of its CPU and will lower it. Only if marks are not atomic.
    Lowering(u64),
}

/// A record: its bytes (leaked, so that a ring can lend them), and whether it is committed.
struct Slot {
    payload: &'static [u8],
    committed: bool,
}

#[derive(Default)]
struct Model {
    now: u64,
    elapsed: Duration,
    /// The remaining steps, the next one last.
    schedule: Vec<Action>,
    /// Whether a program raises or lowers the mark of its CPU in one step.
    atomic: bool,
    /// For each CPU, the number of programs that run on it, by their own count: `sc_cpu.running`.
    marks: Vec<u64>,
    /// For each CPU, the programs that run on it.
    running: Vec<Vec<Step>>,
    rings: Vec<Vec<Slot>>,
    released: Vec<u64>,
}

type Shared = Rc<RefCell<Model>>;

struct ModelRing {
    model: Shared,
    index: usize,
}

/// A ring of the model. A position is the index of a record.
impl Ring for ModelRing {
    fn producer_pos(&self) -> u64 {
        self.model.borrow_mut().go_on();
        self.model.borrow().rings[self.index].len() as u64
    }

    fn consumer_pos(&self) -> u64 {
        self.model.borrow().released[self.index]
    }

    fn record(&self, pos: u64) -> Record<'_> {
        self.model.borrow_mut().go_on();
        let model = self.model.borrow();
        assert!(pos >= model.released[self.index], "a released record is read");
        let slot = &model.rings[self.index][pos as usize];
        if slot.committed { Record::Committed { payload: slot.payload, next: pos + 1 } } else { Record::Busy }
    }

    fn release(&mut self, pos: u64) {
        let mut model = self.model.borrow_mut();
        assert!(pos >= model.released[self.index], "released twice");
        model.released[self.index] = pos;
    }
}

impl ProgramProgress for Shared {
    fn now(&self) -> u64 {
        self.borrow_mut().go_on();
        self.borrow().now
    }

    fn elapsed(&self) -> Duration {
        self.borrow().elapsed
    }

    fn cpus(&self) -> usize {
        self.borrow().running.len()
    }

    fn is_idle(&self, cpu: usize) -> bool {
        self.borrow_mut().go_on();
        self.borrow().marks[cpu] == 0
    }
}

impl Model {
    fn new(cpus: usize, rings: usize, mut schedule: Vec<Action>) -> Model {
        schedule.reverse();
        Model {
            now: 1_000_000,
            elapsed: Duration::ZERO,
            schedule,
            atomic: true,
            marks: vec![0; cpus],
            running: vec![Vec::new(); cpus],
            rings: (0..rings).map(|_| Vec::new()).collect(),
            released: vec![0; rings],
        }
    }

    /// Runs the steps that happen before the merge next looks at the programs.
    fn go_on(&mut self) {
        while let Some(action) = self.schedule.pop() {
            // Every step takes time, so all time stamps differ.
            self.now += 1;
            match action {
                Action::Begin(cpu) => self.begin(cpu),
                Action::Advance(cpu) => self.advance(cpu, 0),
                Action::AdvancePreempted(cpu, earlier) => self.advance(cpu, earlier),
                Action::Pass(time) => self.now += time,
                Action::Look => return,
            }
        }
    }

    /// Starts another program on a CPU.
    fn begin(&mut self, cpu: usize) {
        if self.running[cpu].len() == 3 {
            return;
        }
        if self.atomic {
            self.marks[cpu] += 1;
            self.running[cpu].push(Step::Begun);
        } else {
            self.running[cpu].push(Step::Raising(self.marks[cpu]));
        }
    }

    /// Makes one of the programs on a CPU do its next step: the one that began last, or an earlier one.
    fn advance(&mut self, cpu: usize, earlier: usize) {
        let ring = cpu % self.rings.len();
        let Some(last) = self.running[cpu].len().checked_sub(1) else { return };
        let program = last - earlier.min(last);
        let next = match self.running[cpu][program] {
            Step::Raising(mark) => {
                self.marks[cpu] = mark + 1;
                Step::Begun
            }
            Step::Begun => Step::ClockRead(self.now),
            Step::ClockRead(ts) => {
                let record = [&(cpu as u16).to_ne_bytes()[..], &ts.to_ne_bytes()].concat();
                let payload: &'static [u8] = Vec::leak(record);
                self.rings[ring].push(Slot { payload, committed: false });
                Step::Reserved(self.rings[ring].len() - 1)
            }
            Step::Reserved(slot) => {
                self.rings[ring][slot].committed = true;
                Step::Committed
            }
            Step::Committed if !self.atomic => Step::Lowering(self.marks[cpu]),
            Step::Committed => {
                self.marks[cpu] -= 1;
                self.running[cpu].remove(program);
                return;
            }
            Step::Lowering(mark) => {
                self.marks[cpu] = mark.saturating_sub(1);
                self.running[cpu].remove(program);
                return;
            }
        };
        self.running[cpu][program] = next;
    }

    /// Ends every program on a CPU.
    fn end_all(&mut self, cpu: usize) {
        while !self.running[cpu].is_empty() {
            self.advance(cpu, 0);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Begin(usize),
    /// The program that began last on a CPU does its next step.
    Advance(usize),
    /// The program that began this many programs before it does.
    AdvancePreempted(usize, usize),
    /// Time passes.
    Pass(u64),
    /// The merge reads the clock, a CPU's mark, a ring's producer position, or a record.
    Look,
}

fn action(cpus: usize) -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (0..cpus).prop_map(Action::Begin),
        8 => (0..cpus).prop_map(Action::Advance),
        4 => (0..cpus, 1..3usize).prop_map(|(cpu, earlier)| Action::AdvancePreempted(cpu, earlier)),
        2 => (1..SLACK).prop_map(Action::Pass),
        4 => Just(Action::Look),
    ]
}

fn take(merge: &mut Merge<ModelRing>, model: &Shared, taken: &mut Vec<u64>) {
    while let Some(event) = merge.next(model) {
        assert!(!event.late);
        taken.push(time_stamp(event.bytes));
    }
}

fn merge_over(model: &Shared) -> Merge<ModelRing> {
    let rings = 0..model.borrow().rings.len();
    Merge::new(rings.map(|index| ModelRing { model: model.clone(), index }).collect())
}

fn run(cpus: usize, rings: usize, schedule: Vec<Action>) {
    let model: Shared = Rc::new(RefCell::new(Model::new(cpus, rings, schedule)));
    let mut merge = merge_over(&model);
    let mut taken = Vec::new();
    while !model.borrow().schedule.is_empty() {
        take(&mut merge, &model, &mut taken);
    }
    // Finally every program ends.
    for cpu in 0..cpus {
        model.borrow_mut().end_all(cpu);
    }
    for _ in 0..3 {
        model.borrow_mut().now += 2 * SLACK;
        take(&mut merge, &model, &mut taken);
    }
    assert!(merge.is_drained());
    assert_eq!(merge.stalled(), 0);
    assert!(taken.is_sorted(), "out of order: {taken:?}");
    let produced: usize = model.borrow().rings.iter().map(Vec::len).sum();
    assert_eq!(taken.len(), produced, "not every event came out exactly once");
    let model = model.borrow();
    assert!(
        model.rings.iter().map(|ring| ring.len() as u64).eq(model.released.iter().copied()),
        "not released"
    );
}

proptest! {
    #[test]
    fn every_schedule_comes_out_in_order(actions in vec(action(4), 0..400)) {
        run(4, 4, actions);
    }

    #[test]
    fn every_schedule_comes_out_in_order_where_cpus_share_rings(actions in vec(action(5), 0..400)) {
        run(5, 2, actions);
    }
}

#[test]
fn an_event_on_its_way_holds_back_younger_ones() {
    use Action::*;
    // The program has read the clock; in the second case it has also reserved its record.
    for on_its_way in [vec![Begin(0), Advance(0)], vec![Begin(0), Advance(0), Advance(0)]] {
        let younger = [Begin(1), Advance(1), Advance(1), Advance(1), Advance(1)];
        let later = [Pass(SLACK), Pass(SLACK)];
        let schedule = [&on_its_way[..], &younger, &later].concat();
        let model: Shared = Rc::new(RefCell::new(Model::new(2, 2, schedule)));
        let (mut merge, mut taken) = (merge_over(&model), Vec::new());
        take(&mut merge, &model, &mut taken);
        assert!(taken.is_empty());
        model.borrow_mut().end_all(0);
        take(&mut merge, &model, &mut taken);
        assert!(taken.len() == 2 && taken.is_sorted(), "{taken:?}");
    }
}

#[test]
fn an_event_behind_one_that_is_being_written_holds_back_younger_ones() {
    use Action::*;
    // CPUs 0 and 2 share a ring. CPU 2 reads the clock before CPU 1 does.
    let old = [Begin(2), Advance(2), Begin(1), Advance(1), Advance(1), Advance(1), Advance(1)];
    // The merge reads the clock and finds CPU 0 idle. Then CPU 0 reserves a record, and only then CPU 2 does.
    let looks = [Pass(SLACK), Pass(SLACK), Look, Look, Begin(0), Advance(0), Advance(0)];
    let behind = [Advance(2), Advance(2), Advance(2)];
    let schedule = [&old[..], &looks, &behind].concat();
    let model: Shared = Rc::new(RefCell::new(Model::new(3, 2, schedule)));
    let (mut merge, mut taken) = (merge_over(&model), Vec::new());
    take(&mut merge, &model, &mut taken);
    assert!(taken.is_empty(), "{taken:?}");
    model.borrow_mut().end_all(0);
    take(&mut merge, &model, &mut taken);
    assert!(taken.len() == 2 && taken.is_sorted(), "{taken:?}");
}

/// Runs two programs on CPU 0. The first is preempted when it begins, the second after it has read the clock; then the
/// first one runs to its end.
fn preempted_at_the_start(atomic: bool) -> Vec<Action> {
    use Action::*;
    // A mark that is not atomic takes one more step at the start and at the end.
    let more = usize::from(!atomic);
    let second = vec![Advance(0); 1 + more];
    let first = vec![AdvancePreempted(0, 1); 4 + 2 * more];
    [&[Begin(0), Begin(0)][..], &second, &first, &[Pass(SLACK), Pass(SLACK)]].concat()
}

#[test]
fn a_program_that_was_preempted_holds_back_younger_events() {
    for (atomic, in_order) in [(true, true), (false, false)] {
        let model: Shared = Rc::new(RefCell::new(Model::new(1, 1, preempted_at_the_start(atomic))));
        model.borrow_mut().atomic = atomic;
        let (mut merge, mut taken) = (merge_over(&model), Vec::new());
        let mut late = 0;
        for _ in 0..3 {
            while let Some(event) = merge.next(&model) {
                late += u32::from(event.late);
                taken.push(time_stamp(event.bytes));
            }
            model.borrow_mut().end_all(0);
            model.borrow_mut().now += 2 * SLACK;
        }
        assert_eq!(taken.len(), 2);
        // Updates of marks that are not atomic get lost, which breaks the merge: the model shows it.
        assert_eq!((taken.is_sorted(), late == 0), (in_order, in_order), "atomic: {atomic}, {taken:?}");
    }
}

/// A program on CPU 0 stops after this many steps and does not end. A program on CPU 1 makes a newer event.
fn stuck(steps: usize) -> (Shared, Merge<ModelRing>) {
    use Action::*;
    let on_its_way = [&[Begin(0)][..], &vec![Advance(0); steps]].concat();
    let younger = [Begin(1), Advance(1), Advance(1), Advance(1), Advance(1), Pass(SLACK), Pass(SLACK)];
    let model: Shared = Rc::new(RefCell::new(Model::new(2, 2, [&on_its_way[..], &younger].concat())));
    let merge = merge_over(&model);
    (model, merge)
}

#[test]
fn an_epoch_whose_programs_do_not_end_is_given_up() {
    // After 1 step it has read the clock, after 2 it has also reserved its record.
    for steps in [1, 2] {
        let (model, mut merge) = stuck(steps);
        assert_eq!(merge.next(&model), None);
        model.borrow_mut().elapsed += STALLED - Duration::from_nanos(1);
        assert_eq!(merge.next(&model), None);
        assert_eq!(merge.stalled(), 0);
        model.borrow_mut().elapsed += Duration::from_nanos(1);
        // The scan times out, too. Then a record that is still being written holds back only its own ring.
        let mut looks = 0;
        let younger = loop {
            looks += 1;
            assert!(looks < 5, "it never gives up");
            if let Some(event) = merge.next(&model) {
                break (event.cpu, event.late, time_stamp(event.bytes));
            }
        };
        assert_eq!((younger.0, younger.1), (1, false));
        assert_eq!(merge.stalled(), if steps == 2 { 2 } else { 1 });
        // A program that ends after all makes an event that is out of order and marked as late.
        model.borrow_mut().end_all(0);
        model.borrow_mut().now += 2 * SLACK;
        let older = merge.next(&model).map(|event| (event.cpu, event.late, time_stamp(event.bytes)));
        assert!(
            older.is_some_and(|older| (older.0, older.1) == (0, true) && older.2 < younger.2),
            "{older:?}"
        );
        assert_eq!(merge.next(&model), None);
        assert!(merge.is_drained());
        assert_eq!(merge.stalled(), if steps == 2 { 2 } else { 1 }, "later epochs are not affected");
    }
}

#[test]
fn an_epoch_is_measured_from_its_own_start() {
    let (model, mut merge) = stuck(1);
    model.borrow_mut().elapsed = 100 * STALLED;
    assert_eq!(merge.next(&model), None);
    assert_eq!(merge.stalled(), 0);
    model.borrow_mut().end_all(0);
    let taken = std::iter::from_fn(|| merge.next(&model).map(|event| event.late)).collect::<Vec<_>>();
    assert_eq!(taken, [false, false]);
    assert_eq!(merge.stalled(), 0);
}

#[test]
fn what_is_not_given_out_yet_is_not_drained() {
    use Action::*;
    // The event is committed and scanned, but newer than the horizon.
    let schedule = vec![Begin(0), Advance(0), Advance(0), Advance(0), Advance(0)];
    let model: Shared = Rc::new(RefCell::new(Model::new(1, 1, schedule)));
    let mut merge = merge_over(&model);
    assert_eq!(merge.next(&model), None);
    assert!(!merge.is_drained());
    model.borrow_mut().now += 2 * SLACK;
    assert!(merge.next(&model).is_some());
    assert!(merge.is_drained());
}

#[test]
fn records_of_the_same_time_keep_their_order() {
    let mut entries = VecDeque::new();
    for (ts, pos) in [(10, 0), (10, 8), (5, 16), (10, 24), (5, 32)] {
        insert(&mut entries, Entry { ts, pos });
    }
    let sorted: Vec<_> = entries.iter().map(|entry| (entry.ts, entry.pos)).collect();
    assert_eq!(sorted, [(5, 16), (5, 32), (10, 0), (10, 8), (10, 24)]);
}
