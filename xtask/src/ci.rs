//! Whether a change is judged here.

/// True where a change is judged: what is missing there is a failure, not a thing left out.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}
