//! When a model is asked: once a period, or in the original's rhythm of load-test stages.

use super::{Mark, Window};

/// What sets the pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Asked at every period; an answer holds until the next.
    #[default]
    Periodic,
    /// Stages 4i and 4i+1 of a load test are served locally and observed, 4i+2 and 4i+3 by the model's answer.
    Stages,
}

impl std::str::FromStr for Pace {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "periodic" => Ok(Self::Periodic),
            "stages" => Ok(Self::Stages),
            _ => Err(format!("pace {s:?}: expected periodic or stages")),
        }
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// What holds goes on.
    Nothing,
    /// Serve everything here, from now on.
    AllLocal,
    Ask {
        current: Window,
        previous: Option<Window>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AllLocal,
    Model,
}

/// One function's rhythm. Marks are what its windows lie between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Driver {
    pace: Pace,
    phase: Option<Phase>,
    /// End of the last window, and of the one before.
    newest: Option<Mark>,
    older: Option<Mark>,
    /// Phase and marks before the last question.
    before: Option<(Option<Phase>, Option<Mark>, Option<Mark>)>,
}

impl Driver {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, ..Self::default() }
    }

    /// To be called at the start of each period. `stage` is what clients said last, 0 the first; `None`: they say
    /// nothing, or have stopped calling.
    pub(crate) fn step(&mut self, stage: Option<u32>, now: Mark, cores: u32) -> Action {
        let before = (self.phase, self.newest.clone(), self.older.clone());
        let action = match (self.pace, stage) {
            (Pace::Periodic, _) => self.ask(now, cores),
            (Pace::Stages, Some(stage)) => self.at_stage(stage, now, cores),
            (Pace::Stages, None) => Action::Nothing,
        };
        if matches!(action, Action::Ask { .. }) {
            self.before = Some(before);
        }
        action
    }

    /// The last question had no answer: it comes again with the next step, about all the time since the one before.
    pub(crate) fn not_answered(&mut self) {
        if let Some(before) = self.before.take() {
            (self.phase, self.newest, self.older) = before;
        }
    }

    /// As in the original, the phase changes with the stage, and the first one must be local.
    fn at_stage(&mut self, stage: u32, now: Mark, cores: u32) -> Action {
        let phase = if stage % 4 < 2 { Phase::AllLocal } else { Phase::Model };
        if self.phase == Some(phase) || (self.phase.is_none() && phase == Phase::Model) {
            return Action::Nothing;
        }
        self.phase = Some(phase);
        match phase {
            Phase::AllLocal => {
                self.mark(now);
                Action::AllLocal
            }
            Phase::Model => self.ask(now, cores),
        }
    }

    /// The current window is since the newest mark, the previous one lies before it.
    fn ask(&mut self, now: Mark, cores: u32) -> Action {
        let windows = self.newest.as_ref().map(|newest| {
            let current = Window::between(newest, &now, cores);
            let previous = self.older.as_ref().map(|older| Window::between(older, newest, cores));
            (current, previous)
        });
        self.mark(now);
        match windows {
            Some((current, previous)) => Action::Ask { current, previous },
            None => Action::Nothing,
        }
    }

    fn mark(&mut self, now: Mark) {
        self.older = self.newest.replace(now);
    }
}
