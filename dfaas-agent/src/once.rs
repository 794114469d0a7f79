//! Troubles are logged when they begin, when they become others, and when they end: not at every try.

/// What is wrong at the moment, by its cause.
#[derive(Debug)]
pub(crate) struct Once<C> {
    cause: Option<C>,
}

impl<C> Default for Once<C> {
    fn default() -> Self {
        Self { cause: None }
    }
}

impl<C: PartialEq> Once<C> {
    /// True if this is another trouble than at the last look.
    pub(crate) fn is_new(&mut self, cause: C) -> bool {
        let is_new = self.cause.as_ref() != Some(&cause);
        self.cause = Some(cause);
        is_new
    }

    /// All is well; true if it was not.
    pub(crate) fn is_over(&mut self) -> bool {
        self.cause.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_new_until_it_is_known_and_again_after_its_end() {
        let mut once = Once::default();
        assert!(!once.is_over());
        assert!(once.is_new(1));
        assert!(!once.is_new(1));
        assert!(once.is_new(2), "another cause");
        assert!(once.is_over());
        assert!(once.is_new(2));
    }
}
