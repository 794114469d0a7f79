/// What reads bytes that others have made: its name, and a function that does not panic whatever they are. Its assertions are what must
/// hold of what it has understood. `cargo xtask fuzz` tries them.
pub type Reader = (&'static str, fn(&[u8]));
