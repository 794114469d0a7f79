//! Settings of the strategies that work off the loop: what a node may use, who forecasts, which model is asked.

use std::path::PathBuf;

use super::{keys, kinds::ForecasterKind, reader::Reader};
use crate::{
    endpoint::Endpoint,
    forecast::{NodeType, Usage},
    strategy::rl_agent::Pace,
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlanningConfig {
    pub(crate) node_type: NodeType,
    /// Above one of these a node is overloaded.
    pub(crate) thresholds: Usage,
    pub(crate) forecaster: ForecasterKind,
    pub(crate) forecaster_address: Endpoint,
    /// Samples, one a second.
    pub(crate) forecast_memory: u32,
    pub(crate) models_dir: PathBuf,
    pub(crate) group_list: PathBuf,
    pub(crate) function_cgroups: PathBuf,
    pub(crate) model_address: Endpoint,
    pub(crate) explore: bool,
    pub(crate) pace: Pace,
}

impl PlanningConfig {
    /// `None`: something is wrong, and noted.
    pub(super) fn read(read: &mut Reader<'_>) -> Option<Self> {
        let forecaster = read.get(&keys::FORECASTER)?;
        let models_dir = read.get(&keys::MODELS_DIR)?;
        if forecaster == ForecasterKind::Model && models_dir.is_none() {
            read.wrong(&keys::MODELS_DIR.key, "not given, expected a folder, because AGENT_FORECASTER is model");
        }
        Some(Self {
            node_type: read.get(&keys::NODE_TYPE)?,
            thresholds: Usage {
                cpu: read.get(&keys::NMS_CPU_THRESHOLD)?,
                ram: read.get(&keys::NMS_RAM_THRESHOLD)?,
                power: read.get(&keys::NMS_POWER_THRESHOLD)?,
            },
            forecaster,
            forecaster_address: Endpoint {
                host: read.get(&keys::FORECASTER_HOST)?,
                port: read.get(&keys::FORECASTER_PORT)?,
            },
            forecast_memory: read.get(&keys::FORECAST_MEMORY)?,
            models_dir: models_dir.unwrap_or_default(),
            group_list: read.get(&keys::GROUP_LIST_FILE_NAME)?,
            function_cgroups: read.get(&keys::FUNCTION_CGROUPS)?,
            model_address: Endpoint { host: read.get(&keys::RLMODEL_HOST)?, port: read.get(&keys::RLMODEL_PORT)? },
            explore: read.get(&keys::RLMODEL_EXPLORE)?,
            pace: read.get(&keys::RLMODEL_PACE)?,
        })
    }
}
