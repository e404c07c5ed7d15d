//! The merge against a model of what it merges: programs that begin, read the clock, reserve, commit and end, each step
//! at any time; that interrupt each other on a CPU; that share rings.

use std::{cell::RefCell, rc::Rc};

use proptest::{collection::vec, prelude::*};

use super::*;

/// How far a program has come.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Begun,
    ClockRead(u64),
    Reserved(usize),
    Committed,
}

/// A record: its bytes (which live for ever, so that a ring can lend them), and whether it is committed.
struct Slot {
    payload: &'static [u8],
    committed: bool,
}

#[derive(Default)]
struct Model {
    now: u64,
    /// What is still to happen, the next last.
    schedule: Vec<Action>,
    /// For each CPU, the programs that run on it: each interrupts the one before.
    running: Vec<Vec<Step>>,
    rings: Vec<Vec<Slot>>,
    released: Vec<u64>,
}

type Shared = Rc<RefCell<Model>>;

struct ModelRing {
    model: Shared,
    index: usize,
}

/// A position is the number of a record.
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
        assert!(pos >= model.released[self.index], "a released record is looked at");
        let slot = &model.rings[self.index][pos as usize];
        if slot.committed { Record::Committed { payload: slot.payload, next: pos + 1 } } else { Record::Busy }
    }

    fn release(&mut self, pos: u64) {
        let mut model = self.model.borrow_mut();
        assert!(pos >= model.released[self.index], "released twice");
        model.released[self.index] = pos;
    }
}

impl Progress for Shared {
    fn now(&self) -> u64 {
        self.borrow_mut().go_on();
        self.borrow().now
    }

    fn cpus(&self) -> usize {
        self.borrow().running.len()
    }

    fn is_idle(&self, cpu: usize) -> bool {
        self.borrow_mut().go_on();
        self.borrow().running[cpu].is_empty()
    }
}

impl Model {
    fn new(cpus: usize, rings: usize, mut schedule: Vec<Action>) -> Model {
        schedule.reverse();
        Model {
            now: 1_000_000,
            schedule,
            running: vec![Vec::new(); cpus],
            rings: (0..rings).map(|_| Vec::new()).collect(),
            released: vec![0; rings],
        }
    }

    /// What happens before the merge's next look at the programs.
    fn go_on(&mut self) {
        while let Some(action) = self.schedule.pop() {
            // Time passes with every step, and differs from any other time stamp.
            self.now += 1;
            match action {
                Action::Begin(cpu) => self.begin(cpu),
                Action::Advance(cpu) => self.advance(cpu),
                Action::Pass(time) => self.now += time,
                Action::Look => return,
            }
        }
    }

    /// Another program begins on a CPU.
    fn begin(&mut self, cpu: usize) {
        if self.running[cpu].len() < 3 {
            self.running[cpu].push(Step::Begun);
        }
    }

    /// The program that runs on a CPU does its next step.
    fn advance(&mut self, cpu: usize) {
        let ring = cpu % self.rings.len();
        let Some(step) = self.running[cpu].pop() else { return };
        let next = match step {
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
            Step::Committed => return,
        };
        self.running[cpu].push(next);
    }
}

#[derive(Debug, Clone)]
enum Action {
    Begin(usize),
    Advance(usize),
    /// Time passes.
    Pass(u64),
    /// The merge looks: at the clock, a CPU, a ring's producer, or a record.
    Look,
}

fn action(cpus: usize) -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (0..cpus).prop_map(Action::Begin),
        8 => (0..cpus).prop_map(Action::Advance),
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
    // Every program ends in the end.
    for cpu in 0..cpus {
        while !model.borrow().running[cpu].is_empty() {
            model.borrow_mut().advance(cpu);
        }
    }
    for _ in 0..3 {
        model.borrow_mut().now += 2 * SLACK;
        take(&mut merge, &model, &mut taken);
    }
    assert!(merge.is_drained());
    assert_eq!(merge.stalled(), 0);
    assert!(taken.is_sorted(), "out of order: {taken:?}");
    let produced: usize = model.borrow().rings.iter().map(Vec::len).sum();
    assert_eq!(taken.len(), produced, "not every event was given out once");
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
    // It has read the clock only; it has reserved its record, too.
    for on_its_way in [vec![Begin(0), Advance(0)], vec![Begin(0), Advance(0), Advance(0)]] {
        let younger = [Begin(1), Advance(1), Advance(1), Advance(1), Advance(1)];
        let later = [Pass(SLACK), Pass(SLACK)];
        let schedule = [&on_its_way[..], &younger, &later].concat();
        let model: Shared = Rc::new(RefCell::new(Model::new(2, 2, schedule)));
        let (mut merge, mut taken) = (merge_over(&model), Vec::new());
        take(&mut merge, &model, &mut taken);
        assert!(taken.is_empty());
        while !model.borrow().running[0].is_empty() {
            model.borrow_mut().advance(0);
        }
        take(&mut merge, &model, &mut taken);
        assert!(taken.len() == 2 && taken.is_sorted(), "{taken:?}");
    }
}

#[test]
fn an_event_behind_one_that_is_being_written_holds_back_younger_ones() {
    use Action::*;
    // CPUs 0 and 2 share a ring. 2 has read the clock before 1 does.
    let old = [Begin(2), Advance(2), Begin(1), Advance(1), Advance(1), Advance(1), Advance(1)];
    // The merge reads the clock and finds CPU 0 idle; then CPU 0 reserves a record, and only then CPU 2 does.
    let looks = [Pass(SLACK), Pass(SLACK), Look, Look, Begin(0), Advance(0), Advance(0)];
    let behind = [Advance(2), Advance(2), Advance(2)];
    let schedule = [&old[..], &looks, &behind].concat();
    let model: Shared = Rc::new(RefCell::new(Model::new(3, 2, schedule)));
    let (mut merge, mut taken) = (merge_over(&model), Vec::new());
    take(&mut merge, &model, &mut taken);
    assert!(taken.is_empty(), "{taken:?}");
    while !model.borrow().running[0].is_empty() {
        model.borrow_mut().advance(0);
    }
    take(&mut merge, &model, &mut taken);
    assert!(taken.len() == 2 && taken.is_sorted(), "{taken:?}");
}
