//! The proof that the modules can't panic.
//!
//! In a release build the handler calls a symbol that doesn't exist. If the optimiser can prove that no panic is reachable,
//! it removes the handler and with it the call; otherwise linking fails (`-z defs`).

/// Defines the panic handler of a module. Only the shared objects have it: programs that link this crate have that of std.
#[macro_export]
macro_rules! panic_handler {
    () => {
        #[cfg(not(debug_assertions))]
        #[panic_handler]
        fn panic(_: &::core::panic::PanicInfo<'_>) -> ! {
            unsafe extern "C" {
                fn a_panic_can_be_reached_in_this_module() -> !;
            }
            // SAFETY: never runs: an object that would call this symbol doesn't link.
            unsafe { a_panic_can_be_reached_in_this_module() }
        }

        // Without optimisation every bounds check is a reachable panic.
        #[cfg(debug_assertions)]
        #[panic_handler]
        fn panic(_: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::abort()
        }

        /// Unoptimised parts of core refer to this for unwinding, which never happens.
        #[cfg(debug_assertions)]
        #[unsafe(no_mangle)]
        extern "C" fn rust_eh_personality() {}
    };
}

/// Ends the process.
pub fn abort() -> ! {
    // SAFETY: abort takes nothing and doesn't return.
    unsafe { libc::abort() }
}
