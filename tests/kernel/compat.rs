//! System calls as a 32-bit program on x86-64 makes them: other numbers, 32-bit registers and pointers. Elsewhere this only
//! compiles: no test that runs makes one (`harness::lacking`).

#[cfg(target_arch = "x86_64")]
use libc::MAP_32BIT;
#[cfg(not(target_arch = "x86_64"))]
const MAP_32BIT: i32 = 0;

/// Whether this program can make such calls.
pub const HERE: bool = cfg!(target_arch = "x86_64");

/// Memory that 32-bit pointers can reach; freed with the process.
pub struct LowMemory {
    base: *mut u8,
    used: usize,
}

impl LowMemory {
    const SIZE: usize = 1 << 16;

    pub fn new() -> LowMemory {
        // SAFETY: a new private mapping does not affect others.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LowMemory::SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | MAP_32BIT | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        LowMemory { base: base.cast(), used: 0 }
    }

    /// Copies bytes there, and returns their address.
    pub fn put(&mut self, bytes: &[u8]) -> u32 {
        assert!(self.used + bytes.len() <= LowMemory::SIZE);
        // SAFETY: the bytes fit after the used ones.
        let to = unsafe {
            let to = self.base.add(self.used);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            to
        };
        self.used += bytes.len().next_multiple_of(8);
        u32::try_from(to as usize).unwrap()
    }

    /// Copies 32-bit words there, and returns their address.
    pub fn put_words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.put(&bytes)
    }

    /// Returns the bytes now at an address from `put`.
    pub fn bytes<const N: usize>(&self, address: u32) -> [u8; N] {
        let offset = address as usize - self.base as usize;
        assert!(offset + N <= self.used);
        // SAFETY: they are in the used part of the mapping.
        unsafe { self.base.add(offset).cast::<[u8; N]>().read_volatile() }
    }

    /// Returns the 32-bit words now at an address from `put`.
    pub fn words<const N: usize>(&self, address: u32) -> [i32; N] {
        let offset = address as usize - self.base as usize;
        assert!(offset + size_of::<[i32; N]>() <= self.used);
        // SAFETY: they are in the used part of the mapping; any bytes are valid integers.
        unsafe { self.base.add(offset).cast::<[i32; N]>().read_volatile() }
    }
}

/// Makes the system call with this number in the i386 table. An error is a negative errno.
#[cfg(not(target_arch = "x86_64"))]
pub fn syscall32(number: u32, _: [u32; 6]) -> i64 {
    panic!("this architecture does not have the calls of i386, such as {number}");
}

/// Makes the system call with this number in the i386 table. An error is a negative errno.
#[cfg(target_arch = "x86_64")]
pub fn syscall32(number: u32, args: [u32; 6]) -> i64 {
    let result: i32;
    // SAFETY: the call accesses only memory that the caller's pointers give it; rbx and rbp, which asm may not name,
    // are restored.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "push rbp",
            "mov ebx, r12d",
            "mov ebp, r13d",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            inlateout("eax") number => result,
            in("r12d") args[0],
            in("ecx") args[1],
            in("edx") args[2],
            in("esi") args[3],
            in("edi") args[4],
            in("r13d") args[5],
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    result.into()
}

/// Makes a socket call by socketcall, from its number and the address of its arguments.
pub fn socketcall(memory: &mut LowMemory, number: u32, args: &[u32]) -> i64 {
    let args = memory.put_words(args);
    syscall32(102, [number, args, 0, 0, 0, 0])
}
