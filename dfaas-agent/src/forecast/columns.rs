//! Names in the files of models and scalers.

/// Columns of the models, in their order.
pub const FEATURES: [&str; 4] =
    ["rate_group_HIGH_USAGE", "rate_group_LOW_USAGE", "rate_group_MEDIUM_USAGE", "node_type"];
pub const METRICS: [&str; 3] = ["cpu_usage_node", "ram_usage_node", "power_usage_node"];
pub const OVERLOADED: &str = "overloaded_node";
