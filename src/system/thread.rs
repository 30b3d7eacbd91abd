//! Settings of the calling thread.

/// Makes the calling thread one that works through what waits instead of hurrying to each single thing.
///
/// The kernel lets a thread that is woken interrupt another one on the same core. A thread that runs models is
/// woken with each request, and on a busy machine it would take the core from the very thread that is about to
/// hand it more. Marked as a batch thread it waits for that one to pause; on a core that is free it still
/// starts at once. Where the system does not allow it, all stays as it is.
pub fn let_work_gather() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the call changes the calling thread (0) alone, and only reads `parameters`.
        unsafe {
            let parameters: libc::sched_param = std::mem::zeroed();
            libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters);
        }
    }
}
