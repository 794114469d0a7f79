//! Agents that choose, in every step, how much of their input they serve, give to each neighbour, or refuse.
//!
//! What a node gets in a step is served as the queue model says; what it has to reject comes back to the senders.

pub mod arrivals;
pub mod episode;
pub mod policy;
pub mod step;
pub mod topology;

use super::queue::Load;

/// What all nodes have in common; times in seconds unless the name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    pub warm_service_s: f64,
    pub cold_service_s: f64,
    pub idle_before_kill_s: f64,
    pub maximum_concurrency: usize,
    pub request_bytes: f64,
    pub answer_bytes: f64,
    /// Before the first bit, in each direction.
    pub access_delay_ms: f64,
    pub bandwidth_mbps: f64,
}

impl Default for Parameters {
    /// Of the recorded episodes: a node serves 66.7 calls per second.
    fn default() -> Self {
        Self {
            warm_service_s: 15.0,
            cold_service_s: 30.0,
            idle_before_kill_s: 600.0,
            maximum_concurrency: 1000,
            request_bytes: 1024.0,
            answer_bytes: 2048.0,
            access_delay_ms: 5.0,
            bandwidth_mbps: 100.0,
        }
    }
}

impl Parameters {
    fn load(&self, arrival_rate: u32) -> Load {
        Load {
            arrival_rate: f64::from(arrival_rate),
            warm_service_s: self.warm_service_s,
            cold_service_s: self.cold_service_s,
            idle_before_kill_s: self.idle_before_kill_s,
            maximum_concurrency: self.maximum_concurrency,
            faster: true,
        }
    }

    /// Calls per second that a node can serve.
    pub fn capacity(&self) -> f64 {
        self.maximum_concurrency as f64 / self.warm_service_s
    }

    fn transfer_ms(&self, bytes: f64) -> f64 {
        // Megabits per second are kilobits per millisecond.
        self.access_delay_ms + 8.0 * bytes / (self.bandwidth_mbps * 1000.0)
    }
}
