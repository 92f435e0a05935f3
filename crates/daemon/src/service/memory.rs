//! Keeping the heap small: a compilation needs several times what stays.

/// For the process's start: one arena, so that what one thread gives back another can use, and large pieces
/// from the kernel directly, which have them back at once.
pub fn set_up() {
    #[cfg(target_env = "gnu")]
    {
        const ONE_ARENA: libc::c_int = 1;
        const LARGE: libc::c_int = 128 << 10;
        // SAFETY: mallopt changes parameters of malloc alone, and no other thread runs yet.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, ONE_ARENA) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }
}

/// Gives back what isn't in use.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
}
