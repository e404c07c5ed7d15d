//! A set of system calls.

use std::fmt;

use super::SelectError;
use crate::events::{SYSCALLS, Syscall};

const WORDS: usize = SYSCALLS.len().div_ceil(u64::BITS as usize);

/// A set of system calls: one bit for each row of [`SYSCALLS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SyscallSet {
    words: [u64; WORDS],
}

impl SyscallSet {
    /// Returns the empty set.
    pub const fn none() -> Self {
        SyscallSet { words: [0; WORDS] }
    }

    /// Returns every call of this machine. A 32-bit call with a 64-bit counterpart is selected with it; a call that
    /// only 32-bit programs have is a member of its own (`ipc`, on x86-64).
    pub fn all() -> Self {
        SYSCALLS.iter().filter(|call| call.is_here()).collect()
    }

    /// Returns the calls with these stable codes.
    ///
    /// # Errors
    /// [`SelectError::UnknownCode`] for the first code that no call has.
    pub fn from_codes(codes: impl IntoIterator<Item = u16>) -> Result<Self, SelectError> {
        codes
            .into_iter()
            .map(|code| Syscall::by_code(code).ok_or(SelectError::UnknownCode { code }))
            .collect()
    }

    /// Adds a call, and returns whether it is new.
    pub fn insert(&mut self, call: &Syscall) -> bool {
        let Some((word, bit)) = place(call) else { return false };
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// Removes a call, and returns whether it was in the set.
    pub fn remove(&mut self, call: &Syscall) -> bool {
        let Some((word, bit)) = place(call) else { return false };
        let there = self.words[word] & bit != 0;
        self.words[word] &= !bit;
        there
    }

    /// Returns whether the call is in the set.
    pub fn contains(&self, call: &Syscall) -> bool {
        place(call).is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    /// Returns the number of calls in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Returns the calls that are in either set.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    /// Returns the calls that are in this set and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// Returns the calls of this machine that are not in the set.
    pub fn complement(&self) -> Self {
        Self::all().difference(self)
    }

    /// Returns the calls in the order of their stable codes.
    pub fn iter(&self) -> Iter {
        Iter { words: self.words, word: 0 }
    }

    fn combine(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        SyscallSet { words: std::array::from_fn(|i| op(self.words[i], other.words[i])) }
    }
}

/// Returns the word index and the bit of a call.
fn place(call: &Syscall) -> Option<(usize, u64)> {
    let index = SYSCALLS.binary_search_by_key(&call.code, |row| row.code).ok()?;
    Some((index / u64::BITS as usize, 1 << (index % u64::BITS as usize)))
}

/// An iterator over the calls of a [`SyscallSet`].
#[derive(Debug, Clone)]
pub struct Iter {
    words: [u64; WORDS],
    word: usize,
}

impl Iterator for Iter {
    type Item = &'static Syscall;

    fn next(&mut self) -> Option<Self::Item> {
        while self.word < WORDS {
            let bits = self.words[self.word];
            if bits != 0 {
                self.words[self.word] = bits & (bits - 1);
                return SYSCALLS.get(self.word * u64::BITS as usize + bits.trailing_zeros() as usize);
            }
            self.word += 1;
        }
        None
    }
}

impl IntoIterator for &SyscallSet {
    type Item = &'static Syscall;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

impl<'a> FromIterator<&'a Syscall> for SyscallSet {
    fn from_iter<I: IntoIterator<Item = &'a Syscall>>(calls: I) -> Self {
        let mut set = Self::none();
        set.extend(calls);
        set
    }
}

impl<'a> Extend<&'a Syscall> for SyscallSet {
    fn extend<I: IntoIterator<Item = &'a Syscall>>(&mut self, calls: I) {
        for call in calls {
            self.insert(call);
        }
    }
}

/// Writes a list that [`parse`](super::parse) takes: `all`, `none`, or names separated by commas.
impl fmt::Display for SyscallSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        if *self == Self::all() {
            return f.write_str("all");
        }
        for (i, call) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}", call.name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for SyscallSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyscallSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> &'static Syscall {
        Syscall::by_name(name).unwrap()
    }

    #[test]
    fn every_call_has_a_bit_of_its_own() {
        let mut set = SyscallSet::none();
        for (i, call) in SYSCALLS.iter().enumerate() {
            assert!(!set.contains(call));
            assert!(set.insert(call));
            assert!(!set.insert(call), "{} twice", call.name);
            assert_eq!(set.len(), i + 1);
        }
        assert!(set.iter().eq(SYSCALLS.iter()));
        for call in SYSCALLS {
            assert!(set.remove(call));
            assert!(!set.remove(call));
        }
        assert!(set.is_empty());
    }

    #[test]
    fn all_is_what_this_machine_has() {
        let all = SyscallSet::all();
        assert!(all.contains(call("openat")));
        assert_eq!(all.contains(call("ipc")), cfg!(target_arch = "x86_64"), "a 32-bit call");
        assert!(!all.contains(call("waitpid")), "a 32-bit call that comes with wait4");
        assert!(!all.contains(call("s390_sthyi")), "a call of another machine");
        assert_eq!(all.complement(), SyscallSet::none());
        assert_eq!(SyscallSet::none().complement(), all);
    }

    #[test]
    fn sets_combine() {
        let ab: SyscallSet = [call("read"), call("write")].into_iter().collect();
        let bc: SyscallSet = [call("write"), call("close")].into_iter().collect();
        assert_eq!(ab.union(&bc).to_string(), "read,write,close");
        assert_eq!(ab.difference(&bc).to_string(), "read");
        assert_eq!(ab.complement().len(), SyscallSet::all().len() - 2);
        assert_eq!(SyscallSet::none().to_string(), "none");
        assert_eq!(SyscallSet::all().to_string(), "all");
    }

    #[test]
    fn stable_codes_name_calls() {
        let set = SyscallSet::from_codes([call("execve").code, call("read").code]).unwrap();
        assert_eq!(set.to_string(), "read,execve");
        assert_eq!(SyscallSet::from_codes([3, 0]), Err(SelectError::UnknownCode { code: 0 }));
    }
}
