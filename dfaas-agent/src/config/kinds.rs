//! Which of several there is: HAProxy's keeper, the forecaster.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// Started and supervised by the agent.
    Managed,
    /// The system's own.
    External,
}

/// Who says what a node would use under a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForecasterKind {
    /// Costs learned on this node.
    Measured,
    /// Trained models in this process.
    Model,
    /// The original's service.
    Remote,
}
