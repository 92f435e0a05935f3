//! Keeps the heap small: a compilation needs several times the memory that is kept afterwards.

/// Call this when the process starts. It selects a single arena, so that all threads share free memory, and allocates large
/// pieces directly from the kernel, so that they are returned at once.
pub fn set_up() {
    #[cfg(target_env = "gnu")]
    {
        const ONE_ARENA: libc::c_int = 1;
        const LARGE: libc::c_int = 128 << 10;
        // SAFETY: mallopt only changes parameters of malloc, and no other thread runs yet.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, ONE_ARENA) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

/// Returns free memory to the kernel.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
}
