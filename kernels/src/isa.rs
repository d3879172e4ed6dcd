//! Which instruction set a kernel runs on.
//!
//! [`Isa`] is a proof token: its field is private and only detection builds one, so holding a
//! value is the evidence that the CPU has every feature of that level. The feature list of a
//! level is written once, in `with_*!`, and read by detection and by entry alike; a rung that
//! needs one feature more than was detected does not compile.

use std::fmt;
use std::sync::LazyLock;

/// The environment variable that narrows [`Isa::available`] and [`Isa::best`].
pub(crate) const ISA_VARIABLE: &str = "KEYSTILL_ISA";

macro_rules! with_avx2 {
    ($then:ident! $($rest:tt)*) => {
        $then! { ["avx2", "bmi1", "bmi2", "lzcnt", "pclmulqdq", "popcnt"] $($rest)* }
    };
}

macro_rules! with_avx512 {
    ($then:ident! $($rest:tt)*) => {
        $then! { ["avx2", "bmi1", "bmi2", "lzcnt", "pclmulqdq", "popcnt", "avx512f", "avx512bw",
            "avx512dq", "avx512vl", "avx512vbmi", "avx512vbmi2", "avx512bitalg",
            "avx512vpopcntdq", "gfni", "vpclmulqdq"] $($rest)* }
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! with_neon {
    ($then:ident! $($rest:tt)*) => { $then! { ["neon", "aes"] $($rest)* } };
}

#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    ([$($feature:tt),+]) => { true $(&& std::arch::is_x86_feature_detected!($feature))+ };
}

#[cfg(target_arch = "aarch64")]
macro_rules! detected {
    ([$($feature:tt),+]) => { true $(&& std::arch::is_aarch64_feature_detected!($feature))+ };
}

/// Calls a rung from a frame that enables exactly the detected features: a rung that needs more
/// than was detected is a compile error (E0133), not a crash on somebody's machine.
macro_rules! enter {
    ([$($feature:tt),+] $name:path, ($($arg:ident: $type:ty),*) $(-> $output:ty)?) => {{
        #[target_feature($(enable = $feature),+)]
        #[allow(clippy::too_many_arguments, reason = "a frame takes what its kernel takes")]
        fn enter($($arg: $type),*) $(-> $output)? {
            $name($($arg),*)
        }
        // SAFETY: an `Isa` of this level exists only where every feature listed was detected.
        unsafe { enter($($arg),*) }
    }};
}

/// Declares a kernel: a public function that takes an [`Isa`] first and dispatches to the rung of
/// that name in the modules `scalar`, `portable`, `avx2`, `avx512` (x86-64) and `neon` (AArch64)
/// in scope. A rung that does not pay is an import of the one below it.
macro_rules! kernel {
    ($($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $output:ty)?;)+) => {$(
        $(#[$meta])*
        pub fn $name(isa: $crate::Isa, $($arg: $type),*) $(-> $output)? {
            match isa.level() {
                $crate::isa::Level::Scalar => scalar::$name($($arg),*),
                $crate::isa::Level::Portable => portable::$name($($arg),*),
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Level::Avx2 => {
                    with_avx2!(enter! avx2::$name, ($($arg: $type),*) $(-> $output)?)
                }
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Level::Avx512 => {
                    with_avx512!(enter! avx512::$name, ($($arg: $type),*) $(-> $output)?)
                }
                #[cfg(target_arch = "aarch64")]
                $crate::isa::Level::Neon => {
                    with_neon!(enter! neon::$name, ($($arg: $type),*) $(-> $output)?)
                }
            }
        }
    )+};
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Scalar,
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// An instruction set that this CPU has; the levels are ordered, the best is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

impl Isa {
    /// Plain Rust, the reference that every other level must equal.
    pub const SCALAR: Self = Self(Level::Scalar);

    /// The levels that run here, worst first; `KEYSTILL_ISA` cuts the list after the level it
    /// names (a name that no level bears cuts nothing: see [`Isa::named`]).
    pub fn available() -> impl Iterator<Item = Self> {
        static FOUND: LazyLock<Vec<Isa>> = LazyLock::new(|| {
            let limit = std::env::var(ISA_VARIABLE).ok().and_then(|name| Isa::named(&name).ok());
            let kept = |isa: &Isa| limit.is_none_or(|limit| *isa <= limit);
            detect().into_iter().filter(kept).collect()
        });
        FOUND.iter().copied()
    }

    /// The best level that runs here, not above `KEYSTILL_ISA`.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().unwrap_or(Self::SCALAR)
    }

    /// The level with this name, if the CPU has it.
    ///
    /// # Errors
    /// [`UnknownIsa`] if no level bears the name or the CPU lacks it.
    pub fn named(name: &str) -> Result<Self, UnknownIsa> {
        let found = detect().into_iter().find(|isa| isa.name() == name);
        found.ok_or_else(|| UnknownIsa { name: name.to_owned() })
    }

    /// The name: `scalar`, `portable`, `avx2`, `avx512` or `neon`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
        }
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No instruction set of this name runs on this CPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("instruction set `{name}` is unknown or this CPU lacks it; use one of {}", names())]
pub struct UnknownIsa {
    /// The name asked for.
    pub name: String,
}

fn names() -> String {
    detect().into_iter().map(Isa::name).collect::<Vec<_>>().join(", ")
}

fn detect() -> Vec<Isa> {
    #[allow(unused_mut, reason = "no level is added on architectures without a SIMD rung")]
    let mut found = vec![Isa::SCALAR, Isa(Level::Portable)];
    #[cfg(target_arch = "x86_64")]
    if with_avx2!(detected!) {
        found.push(Isa(Level::Avx2));
    }
    #[cfg(target_arch = "x86_64")]
    if with_avx512!(detected!) {
        found.push(Isa(Level::Avx512));
    }
    #[cfg(target_arch = "aarch64")]
    if with_neon!(detected!) {
        found.push(Isa(Level::Neon));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_named() {
        let found = detect();
        assert_eq!(found[0], Isa::SCALAR, "the reference always runs");
        assert!(found.is_sorted(), "worst first: {found:?}");
        for isa in found {
            assert_eq!(Isa::named(isa.name()), Ok(isa), "a name leads back to its level");
        }
    }

    #[test]
    fn unknown_name_is_refused_with_the_choices() {
        let error = Isa::named("avx1024").expect_err("no CPU has it");
        assert!(error.to_string().contains("scalar"), "{error}");
    }
}
