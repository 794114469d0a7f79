//! What a setting is: its name, what is written of it for people, and how its text is read.

/// One setting, without the type of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Empty: none.
    pub(crate) default: &'static str,
    /// What a value looks like.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
    /// Never shown.
    pub(crate) secret: bool,
    /// Taken over by a running agent on SIGHUP.
    pub(crate) live: bool,
    /// Why a text is none of its values.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

impl Key {
    /// `AGENT_NODE_IP` is `--node-ip`.
    pub(crate) fn flag(&self) -> String {
        self.name.trim_start_matches("AGENT_").to_lowercase().replace('_', "-")
    }
}

/// A setting and the reader of its text.
#[derive(Debug)]
pub(crate) struct Setting<T: 'static> {
    pub(crate) key: Key,
    pub(crate) read: fn(&str) -> Result<T, String>,
}

pub(super) const fn key(name: &'static str, default: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, default, value, help, secret: false, live: false, check: |_| Ok(()) }
}

pub(super) const fn secret(key: Key) -> Key {
    Key { secret: true, ..key }
}

pub(super) const fn live(key: Key) -> Key {
    Key { live: true, ..key }
}

/// One of the original's that means nothing here: it is accepted, so that its settings files are, and its syntax is checked.
pub(super) const fn unused(name: &'static str, value: &'static str) -> Key {
    key(name, "", value, "Accepted from settings of the original; has no effect here")
}

/// Makes a constant of each setting, and the table of all: `NAME: type of the value = reader, key;`.
macro_rules! settings {
    ($($name:ident: $value:ty = $read:expr, $key:expr;)*) => {
        $(pub(crate) const $name: Setting<$value> = Setting {
            key: Key { check: |text| { let read: fn(&str) -> Result<$value, String> = $read; read(text).map(drop) }, ..$key },
            read: $read,
        };)*
        pub(crate) const KEYS: &[Key] = &[$($name.key),*];
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}
pub(super) use settings;
