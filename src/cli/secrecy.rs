//! Keeping a process' secrets out of the files that the system writes of its memory.

/// What the system granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guarded {
    /// No page of this process is written to a swap file.
    pub(crate) swap: bool,
    /// It leaves no core dump.
    pub(crate) dumps: bool,
}

/// Asks the system to lock all memory of this process and to write no core dump; what it refuses is no
/// error: hash keys and pads are locked apart from this, and `keystill doctor` tells the rest.
///
/// All memory is locked only where its amount is not limited: at a limit the next allocation would fail.
/// Pages are locked as they are touched, so that room which is only reserved takes no memory. They leave only with
/// their mapping, so large buffers get mappings of their own.
#[cfg(target_os = "linux")]
pub(crate) fn guard() -> Guarded {
    use keystill_kernels::os::give_back_large_buffers;
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

    give_back_large_buffers();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none).is_ok();
    // A handler of dumps that the kernel pipes to does not heed the limit.
    let dumps = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok() && limited;
    let unlimited = Rlimit { current: None, maximum: None };
    let permitted =
        getrlimit(Resource::Memlock).current.is_none() || setrlimit(Resource::Memlock, unlimited).is_ok();
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    Guarded { swap: permitted && mlockall(all).is_ok(), dumps }
}

/// Nothing is asked of systems other than Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn guard() -> Guarded {
    Guarded::default()
}
