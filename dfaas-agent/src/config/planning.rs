//! Settings of the strategies that work off the loop: what a node may use, who forecasts, which model is asked.

use std::path::PathBuf;

use super::values::Reader;
use crate::{
    endpoint::Endpoint,
    forecast::{NodeType, Usage},
    strategy::rl_agent::Pace,
};

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

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlanningConfig {
    pub node_type: NodeType,
    /// Above one of these a node is overloaded.
    pub thresholds: Usage,
    pub forecaster: ForecasterKind,
    pub forecaster_address: Endpoint,
    /// Samples, one a second.
    pub forecast_memory: u32,
    pub models_dir: PathBuf,
    pub group_list: PathBuf,
    pub function_cgroups: PathBuf,
    pub model_address: Endpoint,
    pub explore: bool,
    pub pace: Pace,
}

impl PlanningConfig {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let forecaster = read.choice(
            "AGENT_FORECASTER",
            &[
                ("measured", ForecasterKind::Measured),
                ("model", ForecasterKind::Model),
                ("remote", ForecasterKind::Remote),
            ],
        );
        let models_dir = if forecaster == ForecasterKind::Model {
            read.parse("AGENT_MODELS_DIR")
        } else {
            read.optional("AGENT_MODELS_DIR").unwrap_or_default()
        };
        Self {
            node_type: read
                .choice("AGENT_NODE_TYPE", &[("1", NodeType::Mid), ("0", NodeType::Heavy), ("2", NodeType::Light)]),
            thresholds: Usage {
                cpu: read.positive("AGENT_NMS_CPU_THRESHOLD"),
                ram: read.positive("AGENT_NMS_RAM_THRESHOLD"),
                power: read.positive("AGENT_NMS_POWER_THRESHOLD"),
            },
            forecaster,
            forecaster_address: Endpoint {
                host: read.parse("AGENT_FORECASTER_HOST"),
                port: read.port("AGENT_FORECASTER_PORT"),
            },
            forecast_memory: read.whole("AGENT_FORECAST_MEMORY", 10),
            models_dir,
            group_list: read.parse("AGENT_GROUP_LIST_FILE_NAME"),
            function_cgroups: read.parse("AGENT_FUNCTION_CGROUPS"),
            model_address: Endpoint { host: read.parse("AGENT_RLMODEL_HOST"), port: read.port("AGENT_RLMODEL_PORT") },
            explore: read.bool("AGENT_RLMODEL_EXPLORE"),
            pace: read.choice("AGENT_RLMODEL_PACE", &[("periodic", Pace::Periodic), ("stages", Pace::Stages)]),
        }
    }
}
